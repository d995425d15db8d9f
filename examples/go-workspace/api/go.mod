module example.org/ferry/api

go 1.25.0

require (
	example.org/ferry/greeting v0.0.0
	github.com/go-chi/chi/v5 v5.2.3
)

replace example.org/ferry/greeting => ../greeting
