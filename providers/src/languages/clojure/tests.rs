use super::*;
use crate::languages::proposed;

#[test]
fn leiningen_makes_one_jar() {
    let project = "(defproject tide \"1.0\" :main tide.core)";
    let proposal = proposed(
        &Clojure,
        &[(PROJECT, project), (".jdk-version", "11\n")],
        &[],
    );
    assert_eq!(proposal.tools(), ["jdk@11", "jre@11", "leiningen"]);
    assert_eq!(proposal.commands("build"), ["lein uberjar"]);
    let (command, files) = proposal.started();
    assert_eq!(
        command,
        "java $JAVA_OPTS -jar target/tide-1.0-standalone.jar"
    );
    assert_eq!(files, ["target/tide-1.0-standalone.jar"]);
}

#[test]
fn a_namespace_that_is_not_compiled_is_started_by_clojure() {
    let project = "(defproject tide \"1.0\" :main ^:skip-aot tide.core)";
    let proposal = proposed(&Clojure, &[(PROJECT, project)], &[]);
    assert_eq!(
        proposal.started().0,
        "java $JAVA_OPTS -cp target/tide-1.0-standalone.jar clojure.main -m tide.core"
    );
}

#[test]
fn tools_build_comes_before_leiningen() {
    let build = "(ns build) (defn uberjar [_] (b/uber {:uber-file (str \"target/\" x \".jar\")}))";
    let deps = "{:aliases {:build {:ns-default build}}}";
    let proposal = proposed(
        &Clojure,
        &[(PROJECT, ""), (BUILD, build), (DEPS, deps)],
        &[],
    );
    assert_eq!(proposal.tools(), ["jdk@21", "jre@21", "clojure"]);
    assert_eq!(proposal.commands("build"), ["clojure -T:build uberjar"]);
    let (command, files) = proposal.started();
    assert!(
        command.starts_with("java $JAVA_OPTS -jar $(ls -1 target/*.jar |"),
        "{command}"
    );
    assert_eq!(files, ["target/*.jar"]);
}

#[test]
fn deps_without_a_build_are_copied_and_started() {
    let deps = "{:paths [\"src\" \"resources\"] :aliases {:run {:main-opts [\"-m\" \"tide.core\" \"a b\"]}}}";
    let proposal = proposed(&Clojure, &[(DEPS, deps)], &[]);
    assert!(proposal.commands("build")[1].contains("clojure -A:run -Spath"));
    let (command, files) = proposal.started();
    assert_eq!(
        command,
        "java $JAVA_OPTS -cp \"$(cat target/app/class-path)\" clojure.main -m tide.core 'a b'"
    );
    assert_eq!(
        files,
        [
            "target/app/class-path",
            "target/app/lib",
            "src",
            "resources"
        ]
    );
    let function = deps.replace(
        ":main-opts [\"-m\" \"tide.core\" \"a b\"]",
        ":exec-fn tide.core/go :jvm-opts [\"-Xss1m\"]",
    );
    assert_eq!(
        proposed(&Clojure, &[(DEPS, &function)], &[]).started().0,
        "java -Xss1m $JAVA_OPTS -cp \"$(cat target/app/class-path)\" clojure.main -e '((requiring-resolve '\\''tide.core/go) {})'"
    );
}

#[test]
fn nothing_to_start_is_told() {
    let proposal = proposed(&Clojure, &[(DEPS, "{}")], &[]);
    assert!(proposal.without_start.unwrap().contains("main-opts"));
}

#[test]
fn a_broken_project_names_its_place() {
    let repo = Repo::in_memory(&[(PROJECT, "(defproject a\n")]);
    let request = Request {
        repo: &repo,
        variables: &std::collections::BTreeMap::new(),
        test: false,
        assisting: false,
    };
    let error = Clojure.propose(&request).unwrap_err().to_string();
    assert!(error.starts_with("project.clj:2:"), "{error}");
}

#[test]
fn deps_alone_are_a_weaker_sign() {
    let claim = |files: &[(&str, &str)]| {
        Clojure
            .detect(&Repo::in_memory(files))
            .unwrap()
            .unwrap()
            .strength
    };
    assert_eq!(claim(&[(DEPS, "{}")]), Strength::Likely);
    assert_eq!(claim(&[(DEPS, "{}"), (BUILD, "")]), Strength::Definite);
}
