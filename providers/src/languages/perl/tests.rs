use super::*;
use crate::languages::proposed;

#[test]
fn a_cpanfile_says_what_running_needs() {
    let file = Cpanfile::parse(
        "requires 'perl', '5.036';\nrequires 'Plack' => 1.0; # requires 'Gone';\nrequires('Starman');\non 'test' => sub {\n  requires 'Test::More';\n};\nrequires \"JSON::PP\", '>= 4';\n",
    );
    let names: Vec<&str> = file.0.keys().map(String::as_str).collect();
    assert_eq!(names, ["JSON::PP", "Plack", "Starman", "perl"]);
    assert_eq!(file.0["perl"].as_deref(), Some("5.036"));
}

#[test]
fn versions_of_perl_have_two_forms() {
    assert_eq!(perl_version("5.036001"), ">= 5.36");
    assert_eq!(perl_version("v5.30.1"), ">= 5.30.1");
    assert_eq!(perl_version("== 5.36"), "== 5.36");
}

#[test]
fn psgi_runs_in_the_server_that_is_required() {
    let files = [
        (
            CPANFILE,
            "requires 'perl', '5.030'; requires 'Plack'; requires 'Starman';",
        ),
        ("app.psgi", ""),
    ];
    let plan = proposed(&Perl, &files, &[]).plan;
    assert_eq!(
        plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
        ["perl@5.40", "cpanminus", "gcc"]
    );
    assert_eq!(
        plan.phases["install"].only_include_files,
        Some(strings(&[CPANFILE]))
    );
    assert_eq!(
        plan.start.unwrap().cmd.as_deref(),
        Some("plackup -s Starman --host 0.0.0.0 --port ${PORT:-5000} app.psgi")
    );
}

#[test]
fn mojolicious_is_a_daemon_and_a_script_is_not() {
    let start = |text| {
        let plan = proposed(&Perl, &[("app.pl", text)], &[]).plan;
        plan.start.unwrap().cmd.unwrap()
    };
    assert_eq!(
        start("use Mojolicious::Lite -signatures;"),
        "perl app.pl daemon -m production -l http://*:${PORT:-3000}"
    );
    assert_eq!(start("# use Mojolicious::Lite;\nprint 1;"), "perl app.pl");
}

#[test]
fn what_generators_of_frameworks_write_is_found() {
    let script = "#!/usr/bin/env perl\nuse lib curfile->dirname->sibling('lib')->to_string;\nuse Mojolicious::Commands;\n";
    let mojolicious = [
        ("script/my_shop", script),
        ("lib/My/Shop.pm", ""),
        ("public/index.html", ""),
    ];
    let proposal = proposed(&Perl, &mojolicious, &[]);
    assert_eq!(
        proposal.plan.start.unwrap().cmd.as_deref(),
        Some("perl script/my_shop daemon -m production -l http://*:${PORT:-3000}")
    );
    assert!(proposal.warnings[0].contains("cpanfile"));
    let catalyst = [
        ("Makefile.PL", "requires 'Moose';"),
        ("shop_cat.psgi", "use Shop::Cat;"),
    ];
    let claim = Perl.detect(&Repo::in_memory(&catalyst)).unwrap().unwrap();
    assert_eq!(claim.strength, Strength::Definite);
    assert_eq!(
        proposed(&Perl, &catalyst, &[])
            .plan
            .start
            .unwrap()
            .cmd
            .as_deref(),
        Some("plackup --host 0.0.0.0 --port ${PORT:-5000} shop_cat.psgi")
    );
    let rails = Repo::in_memory(&[("script/server", script), ("Gemfile", "")]);
    assert!(Perl.detect(&rails).unwrap().is_none());
}

#[test]
fn the_only_script_is_a_weak_sign() {
    let claim = |files: &[(&str, &str)]| Perl.detect(&Repo::in_memory(files)).unwrap();
    assert_eq!(claim(&[("lite.pl", "")]).unwrap().strength, Strength::Weak);
    assert!(claim(&[("a.pl", ""), ("b.pl", "")]).is_none());
}
