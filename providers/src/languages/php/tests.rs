use super::*;

fn propose(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Proposal, PlanError> {
    crate::languages::asked(&Php, files, variables)
}

fn tools(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Vec<String> {
    let plan = propose(files, variables).unwrap().plan;
    plan.phases["setup"].nix_pkgs.clone().unwrap()
}

fn nginx(files: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
    propose(files, variables).unwrap().plan.static_assets["nginx.template.conf"].clone()
}

fn commands(files: &[(&str, &str)], phase: &str) -> Vec<String> {
    let plan = propose(files, &[]).unwrap().plan;
    plan.phases[phase].cmds.clone().unwrap()
}

const INDEX: (&str, &str) = ("index.php", "<?php");

#[test]
fn a_lone_page_is_served_from_the_root_without_a_front_controller() {
    let plan = propose(&[INDEX], &[]).unwrap().plan;
    assert_eq!(plan.phases.keys().collect::<Vec<_>>(), ["setup"]);
    assert_eq!(
        plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
        ["php@8.4", "nginx"]
    );
    assert_eq!(plan.variables["PORT"], "80");
    let conf = &plan.static_assets["nginx.template.conf"];
    assert!(conf.contains("root \"/app\";") && conf.contains("try_files $uri $uri/ =404;"));
    assert!(conf.contains("composer\\."));
    assert_eq!(plan.start.unwrap().cmd.unwrap(), "bash /assets/start.sh");
}

#[test]
fn the_version_is_the_variable_then_the_manifest_then_files_then_the_platform() {
    let manifest = r#"{"require":{"php":"^7.4|^8.0"},"config":{"platform":{"php":"8.2.5"}}}"#;
    let files = [("composer.json", manifest), (".php-version", "8.3")];
    assert_eq!(tools(&files, &[])[0], "php@8.4");
    assert_eq!(
        tools(&files, &[("NIXPACKS_PHP_VERSION", "8.2")])[0],
        "php@8.2"
    );
    let without = [(
        "composer.json",
        r#"{"config":{"platform":{"php":"8.2.5"}}}"#,
    )];
    assert_eq!(tools(&without, &[])[0], "php@8.2.5");
    assert_eq!(tools(&[INDEX, (".php-version", "8.3")], &[])[0], "php@8.3");
    assert_eq!(
        tools(
            &[("composer.json", r#"{"require":{"php":">=7.1 <8"}}"#)],
            &[]
        )[0],
        "php@7.4"
    );
}

#[test]
fn extensions_come_from_the_manifest_the_lock_and_the_variable() {
    let files = [
        (
            "composer.json",
            r#"{"require":{"ext-gd":"*","ext-json":"*","ext-swool":"*"}}"#,
        ),
        (
            "composer.lock",
            r#"{"packages":[{"name":"a/b","require":{"ext-intl":"*"},"dist":{"type":"zip"}}],
                "packages-dev":[{"name":"c/d","require":{"ext-ldap":"*"}}]}"#,
        ),
    ];
    let variables = [("NIXPACKS_PHP_EXTENSIONS", "redis, ext-Imagick")];
    assert_eq!(
        tools(&files, &variables),
        [
            "php@8.4",
            "nginx",
            "php-ext-gd",
            "php-ext-imagick",
            "php-ext-intl",
            "php-ext-redis",
            "composer"
        ]
    );
    let proposal = propose(&files, &[]).unwrap();
    assert_eq!(
        proposal.warnings,
        ["there is no extension swool (composer.json asks for it)"]
    );
    let install = commands(&files, "install");
    assert!(
        install[0].ends_with(" --ignore-platform-req=ext-swool"),
        "{install:?}"
    );
}

#[test]
fn dependencies_are_installed_from_the_manifests_and_autoloaded_from_the_source() {
    let files = [
        (
            "composer.json",
            r#"{"require":{"a/b":"1"},"scripts":{"post-install-cmd":"@php x"}}"#,
        ),
        (
            "composer.lock",
            r#"{"packages":[{"name":"a/b","require":[],"dist":{"type":"zip"}}]}"#,
        ),
    ];
    let plan = propose(&files, &[]).unwrap().plan;
    assert_eq!(
        plan.phases["install"]
            .only_include_files
            .as_deref()
            .unwrap(),
        ["composer.json", "composer.lock"]
    );
    assert_eq!(
        commands(&files, "install"),
        ["composer install --no-dev --no-progress --no-autoloader --no-scripts"]
    );
    assert_eq!(
        commands(&files, "build"),
        [
            "composer dump-autoload --no-dev --optimize",
            "composer run-script --no-dev post-install-cmd"
        ]
    );
    assert!(
        !plan
            .start
            .unwrap()
            .nix_pkgs
            .unwrap()
            .contains(&"composer".to_owned())
    );
}

#[test]
fn plugins_and_local_packages_make_composer_see_all_files() {
    let plugin = r#"{"packages":[{"name":"symfony/flex","type":"composer-plugin","dist":{}}]}"#;
    for files in [
        [("composer.json", "{}"), ("composer.lock", plugin)],
        [
            (
                "composer.json",
                r#"{"repositories":[{"type":"path","url":"x"}]}"#,
            ),
            INDEX,
        ],
        [
            ("composer.json", r#"{"repositories":{"a":{"type":"path"}}}"#),
            INDEX,
        ],
    ] {
        let install = propose(&files, &[]).unwrap().plan.phases["install"].clone();
        assert_eq!(install.only_include_files, None);
        assert_eq!(
            install.cmds.unwrap(),
            ["composer install --no-dev --no-progress --optimize-autoloader"]
        );
    }
}

#[test]
fn packages_without_archives_need_git() {
    let lock = r#"{"packages":[{"name":"a/b"}]}"#;
    let files = [("composer.json", "{}"), ("composer.lock", lock)];
    assert_eq!(tools(&files, &[]).last().unwrap(), "git");
}

#[test]
fn frameworks_serve_their_folder_and_fall_back_to_their_program() {
    let laravel = [
        ("composer.json", "{}"),
        ("artisan", ""),
        ("public/index.php", ""),
        ("storage/.gitkeep", ""),
    ];
    let plan = propose(&laravel, &[]).unwrap().plan;
    assert_eq!(plan.variables["IS_LARAVEL"], "yes");
    assert_eq!(plan.variables["NIXPACKS_PHP_ROOT_DIR"], "/app/public");
    assert_eq!(
        commands(&laravel, "build")[1],
        "mkdir -p storage bootstrap/cache && chmod -R a+rwX storage bootstrap/cache"
    );
    let conf = nginx(&laravel, &[]);
    assert!(conf.contains("root \"/app/public\";"));
    assert!(conf.contains("try_files $uri $uri/ /index.php?$query_string;"));
    assert!(!conf.contains("composer\\."));
    let cake = [
        ("composer.json", r#"{"require":{"cakephp/cakephp":"5"}}"#),
        ("webroot/index.php", ""),
    ];
    assert!(nginx(&cake, &[]).contains("root \"/app/webroot\";"));
    assert!(
        nginx(&[("composer.json", "{}"), ("public/index.php", "")], &[]).contains("/app/public")
    );
    assert!(nginx(&[("public/index.php", ""), INDEX], &[]).contains("root \"/app\";"));
}

#[test]
fn root_and_fallback_can_be_set_and_cannot_carry_nginx_syntax() {
    let of = |name: &str, value: &str| propose(&[INDEX], &[(name, value)]);
    let conf = nginx(
        &[INDEX],
        &[
            ("NIXPACKS_PHP_ROOT_DIR", "./site/"),
            ("NIXPACKS_PHP_FALLBACK_PATH", "/app.php"),
        ],
    );
    assert!(conf.contains("root \"/app/site\";") && conf.contains(" /app.php?$query_string;"));
    for value in ["/app/../etc", "a; return 200", "\"x"] {
        assert!(of("NIXPACKS_PHP_ROOT_DIR", value).is_err(), "{value}");
    }
    assert_eq!(
        of("NIXPACKS_PHP_FALLBACK_PATH", "index.php")
            .unwrap_err()
            .to_string(),
        "environment:1:1: NIXPACKS_PHP_FALLBACK_PATH: \"index.php\" is not a path such as /index.php"
    );
}

#[test]
fn the_repositorys_own_configuration_is_used() {
    let start = |files: &[(&str, &str)]| {
        propose(files, &[])
            .unwrap()
            .plan
            .start
            .unwrap()
            .cmd
            .unwrap()
    };
    assert_eq!(
        start(&[INDEX, ("nginx.template.conf", "")]),
        "bash /assets/start.sh /app/nginx.template.conf"
    );
    assert_eq!(
        start(&[INDEX, ("nginx.conf", "")]),
        "bash /assets/start.sh --as-is /app/nginx.conf"
    );
    let plan = propose(&[INDEX, ("php.ini", "memory_limit = 1G\n")], &[])
        .unwrap()
        .plan;
    assert_eq!(plan.variables["PHP_INI_SCAN_DIR"], ":/assets/php");
    assert_eq!(plan.static_assets["php/app.ini"], "memory_limit = 1G\n");
}

#[test]
fn franken_php_serves_when_something_asks_for_it() {
    let start = |files: &[(&str, &str)], variables: &[(&str, &str)]| {
        propose(files, variables)
            .unwrap()
            .plan
            .start
            .unwrap()
            .cmd
            .unwrap()
    };
    let asked = [("NIXPACKS_PHP_SERVER", "frankenphp")];
    assert_eq!(
        start(&[INDEX], &asked),
        "frankenphp php-server --listen :${PORT:-80} --root /app"
    );
    let caddy = [
        INDEX,
        ("Caddyfile", ":80 {\n  # php_server\n  php_server\n}\n"),
    ];
    assert_eq!(start(&caddy, &[]), "frankenphp run --config /app/Caddyfile");
    assert_eq!(
        start(&caddy, &[("NIXPACKS_PHP_SERVER", "nginx")]),
        "bash /assets/start.sh"
    );
    let octane = [("composer.json", r#"{"require":{"laravel/octane":"2"}}"#)];
    assert!(
        start(&octane, &[("OCTANE_SERVER", "frankenphp")])
            .starts_with("php artisan octane:frankenphp")
    );
    let plain = propose(&[INDEX, ("Caddyfile", "# php_server\n")], &[]).unwrap();
    assert_eq!(
        plain.warnings,
        ["the Caddyfile is not used: nginx serves PHP"]
    );
}

#[test]
fn a_broken_manifest_names_its_place() {
    let error = |text: &str| {
        propose(&[("composer.json", text)], &[])
            .unwrap_err()
            .to_string()
    };
    assert!(error("{\n \"require\": \"x\"}").starts_with("composer.json:2:"));
    assert!(error("{").starts_with("composer.json:1:"));
    assert!(propose(&[("composer.json", r#"{"require":[],"config":[]}"#)], &[]).is_ok());
}
