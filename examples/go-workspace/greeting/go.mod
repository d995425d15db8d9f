module example.org/ferry/greeting

go 1.25.0
