(defproject ferry "1.0.0"
  :description "Says when the next ferry leaves."
  :dependencies [[org.clojure/clojure "1.12.0"]
                 [org.clojure/data.json "2.5.0"]]
  :main ^:skip-aot ferry.core
  :target-path "target/%s"
  :profiles {:uberjar {:aot :all}})
