use super::*;

fn propose(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Proposal, PlanError> {
    crate::languages::asked(&Ruby, files, variables)
}

fn phase(files: &[(&str, &str)], name: &str) -> Phase {
    propose(files, &[]).unwrap().plan.phases[name].clone()
}

fn tool(files: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
    let plan = propose(files, variables).unwrap().plan;
    plan.phases["setup"].nix_pkgs.clone().unwrap().remove(0)
}

fn start(files: &[(&str, &str)]) -> Option<String> {
    propose(files, &[]).unwrap().plan.start.unwrap().cmd
}

/// A lock with gems of a server.
fn lock(gems: &str) -> String {
    gems.split(' ')
        .fold("GEM\n  specs:\n".to_owned(), |text, gem| {
            text + "    " + &gem.replace('@', " (") + ")\n"
        })
}

#[test]
fn the_version_is_the_variable_then_files_then_the_gemfile_then_the_lock() {
    let locked = "RUBY VERSION\n   ruby 2.7.8p225\n";
    let all = [
        ("Gemfile", "ruby '~> 3.1.2'\n"),
        ("Gemfile.lock", locked),
        (".tool-versions", "ruby 3.2.1\n"),
        (".ruby-version", "ruby-3.3.5\n"),
    ];
    assert_eq!(tool(&all, &[("NIXPACKS_RUBY_VERSION", "3.4")]), "ruby@3.4");
    assert_eq!(tool(&all, &[]), "ruby@3.3.5");
    assert_eq!(tool(&all[..3], &[]), "ruby@3.2.1");
    assert_eq!(tool(&all[..2], &[]), "ruby@>=3.1.2 <3.2");
    assert_eq!(tool(&[("Gemfile", ""), all[1]], &[]), "ruby@2.7.8");
    assert_eq!(tool(&[("Gemfile", "ruby '>= 3.0'")], &[]), "ruby@3.3");
    assert_eq!(tool(&[("Gemfile", "")], &[]), "ruby@3.3");
}

#[test]
fn other_engines_are_refused_with_their_place() {
    let error = |files: &[(&str, &str)]| propose(files, &[]).unwrap_err().to_string();
    assert!(
        error(&[("Gemfile", ""), (".ruby-version", "jruby-9.4.1.0")])
            .starts_with(".ruby-version:1: ")
    );
    assert!(
        error(&[("Gemfile", "\nruby '3.1', engine: 'jruby'")])
            .starts_with("Gemfile:2 (ruby): \"jruby\"")
    );
}

#[test]
fn an_exact_ruby_in_the_gemfile_is_warned_of() {
    let warnings = propose(&[("Gemfile", "ruby '3.3.0'")], &[])
        .unwrap()
        .warnings;
    assert!(warnings[0].contains("`ruby \"~> 3.3.0\"`"), "{warnings:?}");
}

#[test]
fn gems_are_installed_from_the_manifests_and_the_lock_is_kept() {
    let lock = lock("rack@2.2.1");
    let files = [
        ("Gemfile", "gem 'rack'"),
        ("Gemfile.lock", lock.as_str()),
        ("config.ru", ""),
    ];
    let install = phase(&files, "install");
    assert_eq!(install.cmds.unwrap(), ["bundle install"]);
    assert_eq!(
        install.only_include_files.unwrap(),
        ["Gemfile", "Gemfile.lock"]
    );
    let plan = propose(&files, &[]).unwrap().plan;
    assert_eq!(plan.variables["BUNDLE_FROZEN"], "true");
    assert_eq!(
        plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
        ["ruby@3.3", "gcc"]
    );
    assert_eq!(plan.start.unwrap().nix_pkgs.unwrap(), ["ruby@3.3"]);
    let mac = format!("{lock}PLATFORMS\n  arm64-darwin\n");
    let proposal = propose(&[("Gemfile", ""), ("Gemfile.lock", &mac)], &[]).unwrap();
    assert!(!proposal.plan.variables.contains_key("BUNDLE_FROZEN"));
    assert!(proposal.warnings[0].starts_with("Gemfile.lock is not for Linux"));
}

#[test]
fn local_gems_and_a_file_with_the_version_are_seen() {
    let local = phase(&[("Gemfile", "gem 'a', path: 'a'")], "install");
    assert_eq!(local.only_include_files, None);
    let files = [
        ("Gemfile", "ruby file: '.ruby-version'"),
        (".ruby-version", "3.3"),
    ];
    let install = phase(&files, "install");
    assert_eq!(
        install.only_include_files.unwrap(),
        ["Gemfile", ".ruby-version"]
    );
}

#[test]
fn rails_makes_its_assets_and_starts_its_server() {
    let lock = lock("rails@7.1.2 railties@7.1.2 sprockets-rails@3.4 bootsnap@1.17 pg@1.5");
    let files = [
        ("Gemfile", "gem 'rails'"),
        ("Gemfile.lock", lock.as_str()),
        ("config/application.rb", ""),
        ("config.ru", ""),
        ("bin/rails", ""),
        ("app/x.rb", ""),
    ];
    assert_eq!(
        phase(&files, "install").cmds.unwrap(),
        [
            "bundle install",
            "bundle exec bootsnap precompile --gemfile"
        ]
    );
    assert_eq!(
        phase(&files, "build").cmds.unwrap(),
        [
            "SECRET_KEY_BASE_DUMMY=1 bundle exec rake assets:precompile",
            "bundle exec bootsnap precompile app/"
        ]
    );
    assert_eq!(
        start(&files).unwrap(),
        "bundle exec bin/rails server -b 0.0.0.0 -p ${PORT:-3000} -e $RAILS_ENV"
    );
    assert_eq!(
        phase(&files, "setup").apt_pkgs.unwrap(),
        ["libpq-dev", "libpq5"]
    );
    let plan = propose(&files, &[]).unwrap().plan;
    assert_eq!(plan.variables["RAILS_ENV"], "production");
    assert_eq!(plan.start.unwrap().apt_pkgs.unwrap(), ["libpq5"]);
}

#[test]
fn an_api_without_assets_compiles_none_and_an_older_rails_gets_a_key() {
    let build = |gems: &str| {
        let lock = lock(gems);
        let files = [
            ("Gemfile", ""),
            ("Gemfile.lock", lock.as_str()),
            ("config/application.rb", ""),
        ];
        propose(&files, &[])
            .unwrap()
            .plan
            .phases
            .get("build")
            .cloned()
    };
    assert!(build("rails@7.1.2").is_none());
    assert_eq!(
        build("rails@6.1.7 railties@6.1.7 sprockets-rails@3.4")
            .unwrap()
            .cmds
            .unwrap(),
        ["SECRET_KEY_BASE=unused bundle exec rake assets:precompile"]
    );
}

#[test]
fn rack_starts_by_rackup_or_by_the_locked_server() {
    let of = |gems: &str| {
        let lock = lock(gems);
        start(&[
            ("Gemfile", ""),
            ("Gemfile.lock", lock.as_str()),
            ("config.ru", ""),
        ])
        .unwrap()
    };
    let rackup = "bundle exec rackup config.ru -o 0.0.0.0 -p ${PORT:-3000}";
    assert_eq!(of("rack@2.2.9 puma@6.4"), rackup);
    assert_eq!(of("rack@3.1.0 rackup@2.1 puma@6.4"), rackup);
    assert_eq!(
        of("rack@3.1.0 puma@6.4"),
        "bundle exec puma -b tcp://0.0.0.0:${PORT:-3000} config.ru"
    );
}

#[test]
fn programs_and_tasks_start_when_there_is_no_server() {
    assert_eq!(
        start(&[
            ("Gemfile", "gem 'sinatra'"),
            ("app.rb", ""),
            ("Rakefile", "")
        ])
        .unwrap(),
        "bundle exec ruby app.rb -o 0.0.0.0 -p ${PORT:-3000}"
    );
    assert_eq!(
        start(&[("Gemfile", ""), ("main.rb", "")]).unwrap(),
        "bundle exec ruby main.rb"
    );
    assert_eq!(
        start(&[("Gemfile", ""), ("Rakefile", "")]).unwrap(),
        "bundle exec rake"
    );
    assert!(
        propose(&[("Gemfile", "")], &[])
            .unwrap()
            .without_start
            .is_some()
    );
}

#[test]
fn a_gemfile_of_tools_is_a_weaker_claim() {
    let strength = |files: &[(&str, &str)]| {
        Ruby.detect(&Repo::in_memory(files))
            .unwrap()
            .unwrap()
            .strength
    };
    assert_eq!(strength(&[("Gemfile", "gem 'fastlane'")]), Strength::Likely);
    assert_eq!(
        strength(&[("Gemfile", ""), ("config.ru", "")]),
        Strength::Definite
    );
}

#[test]
fn node_comes_for_gems_that_run_it_unless_the_node_provider_does() {
    let lock = lock("execjs@2.9");
    let tools = |package: &str| {
        let files = [
            ("Gemfile", ""),
            ("Gemfile.lock", lock.as_str()),
            ("package.json", package),
        ];
        phase(&files, "setup").nix_pkgs.unwrap()
    };
    assert_eq!(tools("{}"), ["ruby@3.3", "gcc", "nodejs@24"]);
    assert_eq!(tools(r#"{"scripts":{"build":"x"}}"#), ["ruby@3.3", "gcc"]);
}

#[test]
fn images_need_magick_only_when_the_gemfile_asks_for_it() {
    let lock = lock("image_processing@1.2 mini_magick@4.12 ruby-vips@2.2");
    let setup = |gemfile: &str| {
        let files = [("Gemfile", gemfile), ("Gemfile.lock", lock.as_str())];
        phase(&files, "setup").nix_pkgs.unwrap()
    };
    assert_eq!(
        setup("gem 'image_processing'"),
        ["ruby@3.3", "gcc", "libvips"]
    );
    assert_eq!(
        setup("gem 'mini_magick'"),
        ["ruby@3.3", "gcc", "imagemagick", "libvips"]
    );
}
