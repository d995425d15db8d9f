(ns ferry.core
  (:gen-class)
  (:require [clojure.data.json :as json])
  (:import (com.sun.net.httpserver HttpExchange HttpHandler HttpServer)
           (java.net InetSocketAddress)))

(def departures [380 455 530 605 680 755 830 905 980 1055 1130])

(defn clock [minutes]
  (format "%02d:%02d" (quot minutes 60) (rem minutes 60)))

(defn next-ferry
  "The first departure at or after a time such as 09:30."
  [time]
  (let [[hours minutes] (map parse-long (re-seq #"\d+" time))
        now (+ (* 60 hours) minutes)]
    (first (filter #(>= % now) departures))))

(defn answer [^HttpExchange exchange]
  (let [time (subs (.getPath (.getRequestURI exchange)) 1)
        ferry (next-ferry time)
        body (.getBytes (json/write-str {:asked time :leaves (some-> ferry clock)}))]
    (.sendResponseHeaders exchange 200 (count body))
    (with-open [out (.getResponseBody exchange)]
      (.write out body))))

(defn -main [& _]
  (let [port (parse-long (or (System/getenv "PORT") "3000"))
        server (HttpServer/create (InetSocketAddress. port) 0)]
    (.createContext server "/" (reify HttpHandler (handle [_ exchange] (answer exchange))))
    (.start server)))
