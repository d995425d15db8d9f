;; Calls the function that -X and -T name, with the arguments of the aliases and those of the command line.
(ns packwright.exec
  (:require [clojure.edn :as edn]))

(defn- fail [& words]
  (binding [*out* *err*]
    (apply println "clojure:" words))
  (System/exit 1))

(defn- qualified
  "A function's whole name: its namespace may be an alias, or the default of the aliases."
  [{:keys [ns-default ns-aliases]} function]
  (let [written (some-> (namespace function) symbol)
        space (if written (get ns-aliases written written) ns-default)]
    (if space
      (symbol (str space) (name function))
      (fail "no namespace for" function))))

(defn- arguments
  "The given map with further keys, or paths of keys, and their values; a map may come last."
  [given words]
  (loop [all given, [key value :as words] words]
    (cond
      (empty? words) all
      (next words) (recur (assoc-in all (if (vector? key) key [key]) value) (nnext words))
      (map? key) (merge all key)
      :else (fail "no value for" key))))

(let [basis (edn/read-string {:default tagged-literal} (slurp (System/getProperty "clojure.basis")))
      {:keys [exec-fn exec-args] :as aliases} (:argmap basis)
      words (map edn/read-string *command-line-args*)
      named (first (filter symbol? (take 1 words)))
      function (or named exec-fn (fail "nothing says which function to call"))
      whole (qualified aliases function)
      call (or (requiring-resolve whole) (fail whole "is not there"))]
  (call (arguments exec-args (if named (rest words) words))))
