//! Projects of deps.edn: its aliases, and what a `build.clj` for tools.build makes.

use std::collections::BTreeMap;

use crate::plan::PlanError;
use crate::repo::Repo;

use super::reader::{self, Form};

pub(super) const DEPS: &str = "deps.edn";
pub(super) const BUILD: &str = "build.clj";

/// Values of definitions are followed this far.
const DEPTH: usize = 8;

/// Aliases that start a program, best first; others come after them.
const STARTING: [&str; 9] = [
    "prod", "run", "main", "run-m", "start", "server", "serve", "app", "run-x",
];

/// Aliases for development.
const DEVELOPING: [&str; 14] = [
    "build", "dev", "test", "repl", "nrepl", "cider", "lint", "format", "fmt", "outdated",
    "kaocha", "bench", "cljs", "shadow",
];

/// What deps.edn says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deps {
    /// Folders of sources and resources.
    pub(super) paths: Vec<String>,
    /// Whether libraries come from repositories of Git.
    pub(super) git: bool,
    aliases: Vec<(String, Form)>,
}

/// How an alias starts a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// Arguments for `clojure.main`.
    Main(Vec<String>),
    /// A function, with its namespace.
    Function(String),
}

impl Deps {
    pub(super) fn read(repo: &Repo) -> Result<Self, PlanError> {
        let Some(text) = repo.text(DEPS)? else {
            return Ok(Self::default());
        };
        let forms = reader::read(DEPS, &text)?;
        let Some(map) = forms.first() else {
            return Ok(Self::default());
        };
        let aliases = map.get("aliases").map(Form::inside).unwrap_or_default();
        let mut deps = Self {
            paths: vec!["src".to_owned()],
            git: ["git/sha", "git/tag", "sha"]
                .iter()
                .any(|key| after(map, key, 0).is_some()),
            aliases: aliases
                .chunks_exact(2)
                .filter_map(|pair| {
                    Some((pair.first()?.keyword()?.to_owned(), pair.last()?.clone()))
                })
                .collect(),
        };
        if let Some(paths) = map.get("paths") {
            deps.paths = texts(paths);
        }
        Ok(deps)
    }

    fn alias(&self, name: &str) -> Option<&Form> {
        self.aliases
            .iter()
            .find(|(alias, _)| alias == name)
            .map(|(_, form)| form)
    }

    /// The alias that `build.clj` is called with: that whose functions are there, else `build`.
    pub(super) fn building(&self) -> &str {
        let builds = |form: &Form| form.get("ns-default").and_then(Form::symbol) == Some("build");
        self.aliases
            .iter()
            .find(|(_, form)| builds(form))
            .map_or("build", |(name, _)| name)
    }

    /// The alias that starts the program, how, and the others that could.
    pub(super) fn program(&self) -> Option<(String, Entry, Vec<String>)> {
        let rank = |name: &str| {
            let place = STARTING.iter().position(|known| *known == name);
            place.unwrap_or(STARTING.len())
        };
        let mut found: Vec<(&String, Entry)> = self
            .aliases
            .iter()
            .filter(|(name, _)| !DEVELOPING.contains(&name.as_str()))
            .filter_map(|(name, form)| Some((name, entry(form)?)))
            .collect();
        found.sort_by_key(|(name, _)| rank(name));
        let mut found = found.into_iter();
        let (name, entry) = found.next()?;
        Some((
            name.clone(),
            entry,
            found.map(|(name, _)| name.clone()).collect(),
        ))
    }

    /// Folders that an alias adds.
    pub(super) fn paths_of(&self, alias: &str) -> Vec<String> {
        let form = self.alias(alias);
        let more = form.and_then(|form| form.get("extra-paths"));
        more.map(texts).unwrap_or_default()
    }

    /// Options for Java that an alias adds.
    pub(super) fn java_options(&self, alias: &str) -> Vec<String> {
        let form = self.alias(alias);
        let options = form.and_then(|form| form.get("jvm-opts"));
        options.map(texts).unwrap_or_default()
    }

    /// The command that runs the tests.
    pub(super) fn test(&self, build: &Program) -> Option<String> {
        let alias = self.alias("test").and_then(entry);
        match alias {
            Some(Entry::Main(_)) => Some("clojure -M:test".to_owned()),
            Some(Entry::Function(_)) => Some("clojure -X:test".to_owned()),
            None => build
                .has("test")
                .then(|| format!("clojure -T:{} test", self.building())),
        }
    }
}

fn texts(form: &Form) -> Vec<String> {
    let inside = form.inside().iter();
    inside.filter_map(Form::text).map(str::to_owned).collect()
}

fn entry(form: &Form) -> Option<Entry> {
    let options = form.get("main-opts").map(texts).unwrap_or_default();
    if !options.is_empty() {
        return Some(Entry::Main(options));
    }
    let function = form.get("exec-fn")?.symbol()?;
    let whole = match (function.contains('/'), form.get("ns-default")) {
        (false, Some(space)) => format!("{}/{function}", space.symbol()?),
        _ => function.to_owned(),
    };
    whole.contains('/').then_some(Entry::Function(whole))
}

/// A `build.clj`.
#[derive(Debug, Default)]
pub(super) struct Program {
    forms: Vec<Form>,
    /// Definitions by their names.
    values: BTreeMap<String, Form>,
}

impl Program {
    /// A program that this cannot read says nothing: it is Clojure's business.
    pub(super) fn read(repo: &Repo) -> Result<Self, PlanError> {
        let text = repo.text(BUILD)?.unwrap_or_default();
        let forms = reader::read(BUILD, &text).unwrap_or_default();
        let mut values = BTreeMap::new();
        for form in &forms {
            if let Some([name, .., value]) = form.call("def")
                && let Some(name) = name.symbol()
            {
                values.insert(name.to_owned(), value.clone());
            }
        }
        Ok(Self { forms, values })
    }

    /// Whether it has a function.
    fn has(&self, name: &str) -> bool {
        let named = |form: &Form| {
            let defined = form.call("defn").and_then(<[Form]>::first);
            defined.and_then(Form::symbol) == Some(name)
        };
        self.forms.iter().any(named)
    }

    /// The function that makes a jar of the whole program, and whether it is there for sure.
    pub(super) fn function(&self) -> (&'static str, bool) {
        let known = ["uber", "uberjar", "uber-jar"];
        let found = known.into_iter().find(|name| self.has(name));
        found.map_or(("uber", false), |name| (name, true))
    }

    /// The jar that it makes, as a pattern where only running would tell; none when nothing says it.
    pub(super) fn jar(&self) -> Option<String> {
        let form = self
            .forms
            .iter()
            .find_map(|form| after(form, "uber-file", 0))?;
        let pattern = self.text(form, 0);
        let known = pattern.trim_start_matches("./");
        let jar = known.strip_suffix(".jar").is_some();
        (known.contains('/') && jar).then(|| known.to_owned())
    }

    /// The text that an expression is, with a star for each part that is not known.
    fn text(&self, form: &Form, depth: usize) -> String {
        let unknown = || "*".to_owned();
        if depth > DEPTH {
            return unknown();
        }
        let inner = |form: &Form| self.text(form, depth + 1);
        match form {
            Form::Text(text) => text.clone(),
            Form::Symbol(name) => self.values.get(name).map_or_else(unknown, inner),
            Form::Meta(_, form) => inner(form),
            Form::Mark('\'', form) => form.symbol().map_or_else(unknown, str::to_owned),
            Form::List(forms) => {
                let Some((function, arguments)) = forms.split_first() else {
                    return unknown();
                };
                let mut texts = arguments.iter().map(inner);
                match function.symbol() {
                    Some("str") => joined(&texts.collect::<String>()),
                    Some("format") => texts
                        .next()
                        .map_or_else(unknown, |pattern| joined(&formatted(&pattern, texts))),
                    Some("name") => texts.next().map_or_else(unknown, |whole| {
                        whole.rsplit('/').next().unwrap_or_default().to_owned()
                    }),
                    Some("or") => texts.next_back().unwrap_or_else(unknown),
                    _ => unknown(),
                }
            }
            _ => unknown(),
        }
    }
}

/// The form that follows a keyword anywhere inside a form.
fn after<'a>(form: &'a Form, keyword: &str, depth: usize) -> Option<&'a Form> {
    if depth > 100 {
        return None;
    }
    let inside = match form {
        Form::Meta(_, form) | Form::Mark(_, form) => std::slice::from_ref(&**form),
        form => form.inside(),
    };
    let here = inside
        .iter()
        .position(|one| *one == Form::Keyword(keyword.to_owned()));
    here.and_then(|index| inside.get(index + 1))
        .or_else(|| inside.iter().find_map(|one| after(one, keyword, depth + 1)))
}

/// A text with `%s` and the like replaced in turn.
fn formatted(pattern: &str, mut values: impl Iterator<Item = String>) -> String {
    let mut whole = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        whole.push_str(before);
        let value = values.next().unwrap_or_else(|| "*".to_owned());
        let mut letters = after.chars();
        // Numbers may be written in many ways.
        whole.push_str(if letters.next() == Some('s') {
            &value
        } else {
            "*"
        });
        rest = letters.as_str();
        if whole.len() > 1024 {
            return "*".to_owned();
        }
    }
    whole + rest
}

/// Stars that touch are one.
fn joined(text: &str) -> String {
    let mut whole = String::new();
    for letter in text.chars().take(1024) {
        if letter != '*' || !whole.ends_with('*') {
            whole.push(letter);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(text: &str) -> Option<String> {
        Program::read(&Repo::in_memory(&[(BUILD, text)]))
            .unwrap()
            .jar()
    }

    #[test]
    fn the_jar_is_what_the_definitions_come_to() {
        let text = "(def lib 'my/tide) (def version \"1.2\")\n(def uber-file (format \"target/%s-%s-standalone.jar\" (name lib) version))
                    (defn uber [_] (b/uber {:class-dir c :uber-file uber-file}))";
        assert_eq!(jar(text).unwrap(), "target/tide-1.2-standalone.jar");
        let counted = text.replace("\"1.2\"", "(format \"1.%s\" (b/git-count-revs nil))");
        assert_eq!(jar(&counted).unwrap(), "target/tide-1.*-standalone.jar");
        assert_eq!(
            jar("(defn uber [opts] (b/uber (assoc opts :uber-file (or (:uber-file opts) (str \"out/\" (:name opts) x \".jar\")))))").unwrap(),
            "out/*.jar"
        );
        assert_eq!(jar("(defn uber [_] (b/uber {:uber-file (path)}))"), None);
        assert_eq!(jar("(def a a) (f :uber-file a)"), None);
        assert_eq!(jar("(((("), None);
    }

    #[test]
    fn aliases_build_start_and_test() {
        let text = "{:aliases {:dev {:main-opts [\"-m\" \"no\"]} :x {:exec-fn y/z} :b {:ns-default build}
                     :run {:main-opts [\"-m\" \"tide.core\"] :jvm-opts [\"-Xss2m\"] :extra-paths [\"etc\"]} :test {:exec-fn t :ns-default u}}}";
        let deps = Deps::read(&Repo::in_memory(&[(DEPS, text)])).unwrap();
        assert_eq!(deps.building(), "b");
        let main = Entry::Main(vec!["-m".to_owned(), "tide.core".to_owned()]);
        assert_eq!(
            deps.program(),
            Some(("run".to_owned(), main, vec!["x".to_owned()]))
        );
        assert_eq!(deps.paths_of("run"), ["etc"]);
        assert_eq!(deps.java_options("run"), ["-Xss2m"]);
        assert_eq!(deps.test(&Program::default()).unwrap(), "clojure -X:test");
        assert_eq!(deps.paths, ["src"]);
        assert!(!deps.git);
        let git = "{:aliases {:build {:deps {io.github.clojure/tools.build {:git/tag \"v0.10.9\" :git/sha \"e405aac\"}}}}}";
        assert!(Deps::read(&Repo::in_memory(&[(DEPS, git)])).unwrap().git);
    }
}
