(ns harvest.core
  (:gen-class)
  (:require [clojure.data.csv :as csv]
            [clojure.java.io :as io]))

(defn -main [& _]
  (with-open [reader (io/reader (io/resource "harvest.csv"))]
    (let [[_ & rows] (csv/read-csv reader)
          total (reduce + (map (comp parse-long second) rows))]
      (println "The orchard gave" total "kg from" (count rows) "rows."))))
