//! Every example is built, run and asked what its `expect.toml` says.
//!
//! `[http]` (or several `[[http]]`): the image is a server; `path`, `status` (200), `contains`.
//! `[output]`: the image prints and ends with 0; `contains`. `env`: variables for the run;
//! `build_env`: for the process that builds.
//! `[plan]`: `reason` says why it is only planned, by the tests of the providers.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    build_env: BTreeMap<String, String>,
    #[serde(default)]
    http: OneOrMany<Http>,
    output: Option<Printed>,
    plan: Option<PlanOnly>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanOnly {
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    path: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    contains: OneOrMany<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Printed {
    contains: OneOrMany<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

fn ok() -> u16 {
    200
}

fn expect_of(name: &str) -> Expect {
    let path = common::example(name).join("expect.toml");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn build_run_and_ask(name: &str) {
    let expect = expect_of(name);
    let app = common::example(name);
    let before = common::fingerprint(&app);
    let image = format!("example-{name}:test");
    let cache = common::shared_cache();
    let build = common::build_with(&cache, &app, &image, &[], &expect.build_env);
    assert!(build.digest.starts_with("sha256:"), "{}", build.digest);
    assert_eq!(
        before,
        common::fingerprint(&app),
        "the build changed the app's folder"
    );

    if let Some(printed) = &expect.output {
        let mut run = common::packwright(["run"]);
        run.args(common::env_arguments(&expect.env)).arg(&image);
        let output = common::finish(&mut run, Duration::from_secs(60)).expect_success("run");
        for text in printed.contains.as_slice() {
            assert!(output.stdout.contains(text), "no {text:?}\n{output}");
        }
    }
    if !expect.http.as_slice().is_empty() {
        let mut server = common::Server::start(image.as_ref(), &expect.env);
        for http in expect.http.as_slice() {
            let answer = server.ask(&http.path);
            assert_eq!(answer.status, http.status, "{}: {}", http.path, answer.body);
            for text in http.contains.as_slice() {
                assert!(
                    answer.body.contains(text),
                    "{}: no {text:?} in {}",
                    http.path,
                    answer.body
                );
            }
        }
        server.wait_for_url();
        server.stop();
    }
}

/// Examples with a test each: those of every run, and those of `TEST_ALL=1`.
macro_rules! examples {
    (always: { $($test:ident: $name:literal,)* } all: { $($slow:ident: $slow_name:literal,)* }) => {
        $(#[test]
        fn $test() {
            build_run_and_ask($name);
        })*

        $(#[test]
        fn $slow() {
            if !common::test_all() {
                eprintln!("SKIPPED: needs TEST_ALL=1");
                return;
            }
            build_run_and_ask($slow_name);
        })*

        const TESTED: &[&str] = &[$($name,)* $($slow_name,)*];
    };
}

examples! {
    always: {
    apt_packages: "apt-packages",
    bun_http: "bun-http",
    deno_http: "deno-http",
    clojure_lein: "clojure-lein",
    cobol_hello: "cobol-hello",
    cpp_cmake: "cpp-cmake",
    crystal_http: "crystal-http",
    elixir_http: "elixir-http",
    go_http: "go-http",
    haskell_cabal: "haskell-cabal",
    lua_hello: "lua-hello",
    java_maven: "java-maven",
    nixpacks_toml: "nixpacks-toml",
    node_express: "node-express",
    node_fastify_typescript: "node-fastify-typescript",
    node_native: "node-native",
    node_pnpm: "node-pnpm",
    node_workspaces: "node-workspaces",
    ocaml_dune: "ocaml-dune",
    perl_http: "perl-http",
    php_nginx: "php-nginx",
    procfile_web: "procfile-web",
    python_311: "python-311",
    python_factory: "python-factory",
    python_fastapi_uv: "python-fastapi-uv",
    python_flask: "python-flask",
    python_poetry: "python-poetry",
    python_psycopg2: "python-psycopg2",
    railpack_json: "railpack-json",
    ruby_webrick: "ruby-webrick",
    rust_http: "rust-http",
    scala_sbt: "scala-sbt",
    shell_script: "shell-script",
    static_site: "static-site",
    staticfile_nginx: "staticfile-nginx",
    swift_hello: "swift-hello",
    zig_http: "zig-http",
    }
    all: {
    go_cgo: "go-cgo",
    go_cmd: "go-cmd",
    go_workspace: "go-workspace",
    java_spring_boot: "java-spring-boot",
    clojure_tools: "clojure-tools",
    java_gradle: "java-gradle",
    java_quarkus: "java-quarkus",
    kotlin_maven: "kotlin-maven",
    cpp_meson: "cpp-meson",
    rust_workspace: "rust-workspace",
    node_astro: "node-astro",
    node_bun: "node-bun",
    node_moon: "node-moon",
    node_nestjs: "node-nestjs",
    node_next_standalone: "node-next-standalone",
    node_nuxt: "node-nuxt",
    node_nx: "node-nx",
    node_playwright: "node-playwright",
    node_puppeteer: "node-puppeteer",
    node_react_router: "node-react-router",
    node_sveltekit: "node-sveltekit",
    node_tanstack_start: "node-tanstack-start",
    node_turborepo: "node-turborepo",
    node_vite_spa: "node-vite-spa",
    node_yarn: "node-yarn",
    node_yarn_berry: "node-yarn-berry",
    php_composer_autoload: "php-composer-autoload",
    php_vite: "php-vite",
    python_django_vite: "python-django-vite",
    python_fasthtml: "python-fasthtml",
    python_native_libraries: "python-native-libraries",
    python_pdm: "python-pdm",
    python_pipenv: "python-pipenv",
    python_setuptools: "python-setuptools",
    python_streamlit: "python-streamlit",
    scheme_haunt: "scheme-haunt",
    }
}

#[test]
fn every_example_is_tested_and_expects_something() {
    let folders: BTreeSet<String> = fs::read_dir(common::repository().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    for name in &folders {
        let expect = expect_of(name);
        let runs = expect.output.is_some() || !expect.http.as_slice().is_empty();
        let planned = expect.plan.is_some_and(|plan| !plan.reason.is_empty());
        assert!(
            runs != planned,
            "{name} has to expect something, or to say why it is only planned"
        );
        assert_eq!(
            runs,
            TESTED.contains(&name.as_str()),
            "{name} is built and run by a test exactly when it expects something"
        );
    }
    assert!(TESTED.iter().all(|name| folders.contains(*name)));
}

#[test]
fn the_express_image_holds_no_compiler_no_caches_and_is_small() {
    let build = common::build(
        &common::example("node-express"),
        "example-node-express:size",
        &[],
    );
    assert!(
        build.unpacked_size <= 200_000_000,
        "{} bytes unpacked",
        build.unpacked_size
    );
    assert!(build.size <= 62_000_000, "{} bytes compressed", build.size);

    let look = "ls -d /root/.npm /usr/bin/gcc /usr/bin/apt /var/lib/apt/lists/*_Packages /usr/share/man /usr/share/doc/*/changelog*; true";
    let mut run = common::packwright([
        "run",
        "example-node-express:size",
        "--",
        "/bin/bash",
        "-c",
        look,
    ]);
    let output = common::finish(&mut run, Duration::from_secs(60)).expect_success("run");
    assert_eq!(output.stdout, "", "unwanted files in the image");
}
