(display "hello from Guile") (newline)
