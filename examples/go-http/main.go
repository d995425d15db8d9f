// A small HTTP server with one dependency: chi routes, net/http serves.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strconv"

	"example.org/go-http/internal/quotes"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func main() {
	router := chi.NewRouter()
	router.Use(middleware.Recoverer)
	router.Get("/quotes/{number}", func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.Atoi(chi.URLParam(r, "number"))
		if err != nil {
			http.Error(w, "the number is not a number", http.StatusBadRequest)
			return
		}
		w.Header().Set("content-type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"quote": quotes.At(number)})
	})

	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	log.Printf("listening on port %s", port)
	log.Fatal(http.ListenAndServe("0.0.0.0:"+port, router))
}
