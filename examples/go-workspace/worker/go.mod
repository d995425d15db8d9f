module example.org/ferry/worker

go 1.25.0
