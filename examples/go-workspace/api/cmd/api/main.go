// Command api greets passengers over HTTP.
package main

import (
	"fmt"
	"net/http"
	"os"

	"example.org/ferry/greeting"
	"github.com/go-chi/chi/v5"
)

func main() {
	router := chi.NewRouter()
	router.Get("/passengers/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, greeting.Of(chi.URLParam(r, "name")))
	})
	if err := http.ListenAndServe(":"+os.Getenv("PORT"), router); err != nil {
		panic(err)
	}
}
