let text alive = if alive then "hello from OCaml" else "nobody"
