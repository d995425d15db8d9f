//! Frameworks: the folder that each one serves, and the program that gets what is no file.

use crate::repo::Repo;

use super::composer::Composer;

/// A kind of application.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Framework {
    pub(super) name: &'static str,
    /// What shows it: packages of Composer.
    packages: &'static [&'static str],
    /// What shows it: a file.
    file: &'static str,
    /// The folder that is served; empty for the repository's root.
    pub(super) root: &'static str,
    /// Folders that it writes to.
    pub(super) writes: &'static [&'static str],
    /// Extensions that it uses without asking.
    pub(super) extensions: &'static [&'static str],
    /// Variables that say that this is no development.
    pub(super) variables: &'static [(&'static str, &'static str)],
}

/// The first that fits.
const FRAMEWORKS: &[Framework] = &[
    Framework {
        name: "laravel",
        packages: &[],
        file: "artisan",
        root: "public",
        writes: &["storage", "bootstrap/cache"],
        extensions: &[],
        variables: &[("IS_LARAVEL", "yes")],
    },
    Framework {
        name: "symfony",
        packages: &["symfony/framework-bundle", "symfony/symfony"],
        file: "symfony.lock",
        root: "public",
        writes: &["var"],
        extensions: &["intl"],
        variables: &[("APP_ENV", "prod")],
    },
    Framework {
        name: "cakephp",
        packages: &["cakephp/cakephp"],
        file: "",
        root: "webroot",
        writes: &["tmp", "logs"],
        extensions: &["intl"],
        variables: &[],
    },
    Framework {
        name: "codeigniter",
        packages: &["codeigniter4/framework"],
        file: "spark",
        root: "public",
        writes: &["writable"],
        extensions: &["intl"],
        variables: &[],
    },
    Framework {
        name: "yii",
        packages: &["yiisoft/yii2"],
        file: "yii",
        root: "web",
        writes: &["runtime", "web/assets"],
        extensions: &["intl"],
        variables: &[],
    },
    Framework {
        name: "drupal",
        packages: &["drupal/core", "drupal/core-recommended"],
        file: "web/core/lib/Drupal.php",
        root: "web",
        writes: &[],
        extensions: &["gd"],
        variables: &[],
    },
    Framework {
        name: "wordpress",
        packages: &[],
        file: "wp-includes/version.php",
        root: "",
        writes: &["wp-content/uploads"],
        extensions: &["gd", "intl"],
        variables: &[],
    },
];

/// The framework of an application, when it keeps to its framework's folders.
pub(super) fn find(repo: &Repo, composer: Option<&Composer>) -> Option<&'static Framework> {
    FRAMEWORKS.iter().find(|framework| {
        let package = || {
            framework
                .packages
                .iter()
                .any(|name| composer.is_some_and(|all| all.has(name)))
        };
        let file = !framework.file.is_empty() && repo.is_file(framework.file);
        let root = framework.root.is_empty() || repo.is_dir(framework.root);
        root && (file || package())
    })
}
