// Command server shows a board of departures.
package main

import (
	"html/template"
	"net/http"
	"os"

	"example.org/board/internal/board"
	"github.com/go-chi/chi/v5"
)

func main() {
	page := template.Must(template.ParseFiles("templates/board.html"))
	router := chi.NewRouter()
	router.Get("/", func(w http.ResponseWriter, _ *http.Request) {
		if err := page.Execute(w, board.Today()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	if err := http.ListenAndServe(":"+os.Getenv("PORT"), router); err != nil {
		panic(err)
	}
}
