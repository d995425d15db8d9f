let () = print_endline (Greeting.text (Unix.getpid () > 0))
