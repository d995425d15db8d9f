//! Static files, served by nginx.
//!
//! - Claims: `Staticfile`, `index.html`, or a folder `public/`, `dist/` or `index/`
//! - Version from: nothing; any nginx will do
//! - Installs with: nothing
//! - Builds with: nothing
//! - Starts with: nginx on `PORT` (80 when unset), from a configuration rendered into `/assets/nginx.conf`

use std::collections::BTreeMap;

use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::{FileKind, Repo};
use crate::template;

use super::strings;

/// The provider of static sites.
pub struct Staticfile;

const FOLDERS: [&str; 3] = ["public", "dist", "index"];
const TEMPLATE: &str = include_str!("../../../templates/nginx.conf");
/// Writes the port into a copy: the image may be read-only but for /tmp.
const START: &str = "sed \"s/listen 80;/listen ${PORT:-80};/\" /assets/nginx.conf > /tmp/nginx.conf && exec nginx -e stderr -c /tmp/nginx.conf";

impl Provider for Staticfile {
    fn name(&self) -> &'static str {
        "staticfile"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        for (file, strength) in [
            ("Staticfile", Strength::Definite),
            ("index.html", Strength::Likely),
        ] {
            if let Some(evidence) = Evidence::first_file(repo, &[file]) {
                return Ok(Some(Claim::new(strength, evidence)));
            }
        }
        let folder = FOLDERS.into_iter().find(|folder| holds_files(repo, folder));
        Ok(folder.map(|folder| {
            Claim::new(
                Strength::Weak,
                Evidence::file(folder, "a folder of files to serve"),
            )
        }))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        decide(&Facts::read(request)?)
    }

    fn markers(&self) -> &'static [&'static str] {
        &["Staticfile", "index.html"]
    }
}

fn holds_files(repo: &Repo, folder: &str) -> bool {
    repo.list(folder)
        .is_ok_and(|entries| entries.iter().any(|entry| entry.kind != FileKind::Special))
}

/// Everything that decisions about static files rest on, read once.
struct Facts {
    root: String,
    root_evidence: Evidence,
    listing: bool,
    gzip: bool,
    error_pages: BTreeMap<u16, String>,
    /// Users and hashed passwords, as nginx reads them.
    passwords: Option<String>,
    /// The application's own media types.
    types: Option<String>,
    own: Option<Configuration>,
    warnings: Vec<String>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let text = repo.text("Staticfile")?.unwrap_or_default();
        let file = StaticfileText::parse(&text);
        let (root, root_evidence) = root(request, &file)?;
        let below = |page: &str| {
            if root == "." {
                page.to_owned()
            } else {
                format!("{root}/{page}")
            }
        };
        let mut error_pages = file.error_pages;
        if repo.is_file(&below("404.html")) {
            error_pages
                .entry(404)
                .or_insert_with(|| "/404.html".to_owned());
        }
        let on = |key: &str, words: &[&str]| {
            file.values
                .get(key)
                .map(|value| words.contains(&value.0.as_str()))
        };
        let text = |file: &str| Ok::<_, PlanError>(repo.text(file)?.map(|text| text.to_string()));
        Ok(Self {
            passwords: text("Staticfile.auth")?,
            types: text("mime.types")?,
            own: text("nginx.conf")?.map(|text| Configuration::read(&text)),
            listing: on("directory", &["visible", "true", "enabled"]).unwrap_or(false),
            gzip: !on("gzip", &["off", "false", "disabled"]).unwrap_or(false),
            error_pages,
            warnings: file.warnings,
            root,
            root_evidence,
        })
    }
}

/// What of an application's own nginx.conf says whether it can be used.
struct Configuration {
    /// It has servers and workers, and is no part of another file.
    whole: bool,
    /// It says whether nginx goes into the background.
    daemon: bool,
    /// Folders to serve that are not in the image.
    elsewhere: Vec<String>,
}

impl Configuration {
    fn read(text: &str) -> Self {
        let directives = directives(text);
        let has = |name: &str| directives.iter().any(|words| words[0] == name);
        let elsewhere = directives
            .iter()
            .filter(|words| matches!(words[0].as_str(), "root" | "alias"))
            .filter_map(|words| words.get(1))
            .filter(|folder| *folder != "/app" && !folder.starts_with("/app/"))
            .cloned()
            .collect();
        Self {
            whole: has("http") && has("events"),
            daemon: has("daemon"),
            elsewhere,
        }
    }

    /// Why it cannot be used.
    fn objection(&self) -> Option<String> {
        if let Some(folder) = self.elsewhere.first() {
            return Some(format!(
                "it serves {folder}, and the application is in /app"
            ));
        }
        (!self.whole).then(|| "it has no http and events, so it is part of another file".to_owned())
    }
}

/// The words of each directive of nginx, whatever block it is in.
fn directives(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '#' => while letters.next_if(|letter| *letter != '\n').is_some() {},
            ';' | '{' | '}' => {
                if !words.is_empty() {
                    found.push(std::mem::take(&mut words));
                }
            }
            '"' | '\'' => {
                let inside = std::iter::from_fn(|| letters.next_if(|other| *other != letter));
                words.push(inside.collect());
                letters.next();
            }
            letter if letter.is_whitespace() => {}
            letter => {
                let mut word = letter.to_string();
                while let Some(next) =
                    letters.next_if(|next| !next.is_whitespace() && !";{}".contains(*next))
                {
                    word.push(next);
                }
                words.push(word);
            }
        }
    }
    found
}

/// A Staticfile: `key: value` lines and one nested table, `status_codes`. Each value with its line.
#[derive(Default)]
struct StaticfileText {
    values: BTreeMap<String, (String, usize)>,
    error_pages: BTreeMap<u16, String>,
    warnings: Vec<String>,
}

impl StaticfileText {
    fn parse(text: &str) -> Self {
        let mut file = Self::default();
        let mut table = String::new();
        for (index, line) in text.lines().enumerate() {
            let bare = line.trim();
            if bare.is_empty() || bare.starts_with('#') || bare == "---" {
                continue;
            }
            let Some((key, value)) = bare.split_once(':') else {
                file.warnings.push(format!(
                    "Staticfile:{}: not \"key: value\"; the line is ignored",
                    index + 1
                ));
                continue;
            };
            let value = value.trim().trim_matches(['"', '\'']).to_owned();
            let nested = line.starts_with([' ', '\t']);
            match (nested, key.trim()) {
                (true, code) if table.starts_with("status_code") => match code.parse() {
                    Ok(code) if (400..600).contains(&code) && safe(&value) => {
                        drop(file.error_pages.insert(code, value));
                    }
                    _ => file.warnings.push(format!(
                        "Staticfile:{}: not \"404: /page.html\"; the line is ignored",
                        index + 1
                    )),
                },
                (_, key @ ("root" | "directory" | "gzip" | "status_code" | "status_codes")) => {
                    key.clone_into(&mut table);
                    file.values.insert(key.to_owned(), (value, index + 1));
                }
                (_, key) => file.warnings.push(format!(
                    "Staticfile:{}: {key} is not supported and ignored",
                    index + 1
                )),
            }
        }
        file
    }
}

/// Characters that mean nothing to nginx.
fn safe(path: &str) -> bool {
    !path.is_empty()
        && path
            .chars()
            .all(|letter| letter.is_alphanumeric() || "/._-@+".contains(letter))
}

fn root(request: &Request, file: &StaticfileText) -> Result<(String, Evidence), PlanError> {
    let repo = request.repo;
    let given = request
        .setting_with_evidence("STATICFILE_ROOT")
        .or_else(|| {
            let (value, line) = file.values.get("root")?;
            Some((
                value.clone(),
                Evidence::key("Staticfile", "root", Some(*line), value),
            ))
        });
    if let Some((root, evidence)) = given {
        let clean = root
            .trim_start_matches("./")
            .trim_start_matches('/')
            .trim_end_matches('/')
            .to_owned();
        let clean = if clean.is_empty() {
            ".".to_owned()
        } else {
            clean
        };
        if !safe(&clean) || clean.split('/').any(|part| part == "..") {
            let (line, key) = (
                evidence.line.unwrap_or(1),
                evidence.key.clone().unwrap_or_default(),
            );
            let message = format!("{root:?} is not a folder of the application");
            return Err(PlanError::Invalid {
                file: evidence.file,
                line,
                column: 1,
                key,
                message,
            });
        }
        return Ok((clean, evidence));
    }
    // A page decides; without any, the first folder, as nixpacks does.
    let page = |folder: &str| repo.in_image(&format!("{folder}/index.html"));
    let folder = if repo.in_image("index.html") {
        None
    } else {
        FOLDERS
            .into_iter()
            .find(|folder| page(folder))
            .or_else(|| FOLDERS.into_iter().find(|folder| holds_files(repo, folder)))
    };
    Ok(match folder {
        Some(folder) => (
            folder.to_owned(),
            Evidence::file(folder, "the folder to serve"),
        ),
        None => (".".to_owned(), Evidence::file("index.html", "at the root")),
    })
}

fn decide(facts: &Facts) -> Result<Proposal, PlanError> {
    let mut proposal = Proposal {
        metadata: strings(&["staticfile"]),
        warnings: facts.warnings.clone(),
        ..Proposal::default()
    };
    let root = if facts.root == "." {
        "/app".to_owned()
    } else {
        format!("/app/{}", facts.root)
    };
    proposal.decisions.push(
        Decision::new("root", root.clone(), "what is served").from(facts.root_evidence.clone()),
    );
    let own = usable(facts, &mut proposal);
    let plan = &mut proposal.plan;
    let (start, reason) = match own {
        Some(own) => (
            start_of(own),
            "your nginx.conf, on $PORT where it listens on 80",
        ),
        None => {
            plan.static_assets
                .insert("nginx.conf".to_owned(), render(facts, &root)?);
            let assets = [
                (".htpasswd", &facts.passwords),
                ("mime.types", &facts.types),
            ];
            for (name, text) in assets {
                plan.static_assets
                    .extend(text.clone().map(|text| (name.to_owned(), text)));
            }
            (START.to_owned(), "on $PORT, or 80")
        }
    };
    plan.phase("setup").nix_pkgs = Some(strings(&["nginx"]));
    plan.start = Some(Start {
        cmd: Some(start),
        nix_pkgs: Some(strings(&["nginx"])),
        ..Start::default()
    });
    proposal
        .decisions
        .push(Decision::new("start", "nginx", reason));
    Ok(proposal)
}

/// The application's own configuration, unless something speaks against it, which is told.
fn usable<'a>(facts: &'a Facts, proposal: &mut Proposal) -> Option<&'a Configuration> {
    let own = facts.own.as_ref()?;
    match own.objection() {
        None => Some(own),
        Some(objection) => {
            proposal
                .warnings
                .push(format!("nginx.conf is not used: {objection}"));
            None
        }
    }
}

/// Starts nginx from the application's own configuration, in the foreground.
fn start_of(own: &Configuration) -> String {
    let foreground = if own.daemon { "" } else { " -g 'daemon off;'" };
    format!(
        "mkdir -p /var/log/nginx && sed -E \"s/listen( +)80;/listen\\1${{PORT:-80}};/; s#include( +)mime.types;#include\\1/etc/nginx/mime.types;#\" /app/nginx.conf > /tmp/nginx.conf && exec nginx -e stderr -c /tmp/nginx.conf{foreground}"
    )
}

fn render(facts: &Facts, root: &str) -> Result<String, PlanError> {
    let pages: Vec<(u16, String)> = facts.error_pages.clone().into_iter().collect();
    let values = minijinja::context! {
        root => root,
        listing => facts.listing,
        gzip => facts.gzip,
        error_pages => pages,
        passwords => facts.passwords.is_some(),
        own_types => facts.types.is_some(),
    };
    template::render("nginx.conf", TEMPLATE, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn propose(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Proposal, PlanError> {
        crate::languages::asked(&Staticfile, files, variables)
    }

    fn conf(files: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
        propose(files, variables).unwrap().plan.static_assets["nginx.conf"].clone()
    }

    #[test]
    fn a_page_at_the_root_is_served_from_there_and_one_in_public_from_public() {
        assert!(conf(&[("index.html", ""), ("public/x.css", "")], &[]).contains("root \"/app\";"));
        assert!(conf(&[("public/index.html", "")], &[]).contains("root \"/app/public\";"));
        assert!(
            conf(&[("dist/a", ""), ("index/index.html", "")], &[]).contains("root \"/app/index\";")
        );
        assert!(
            conf(
                &[("index.html", "")],
                &[("NIXPACKS_STATICFILE_ROOT", "/site/")]
            )
            .contains("root \"/app/site\";")
        );
    }

    #[test]
    fn the_staticfile_sets_root_listing_gzip_and_error_pages() {
        let text = "root: www\r\ndirectory: visible\ngzip: off\nstatus_codes:\n  404: /lost.html\npushstate: enabled\n";
        let proposal = propose(&[("Staticfile", text)], &[]).unwrap();
        let conf = &proposal.plan.static_assets["nginx.conf"];
        for line in [
            "root \"/app/www\";",
            "autoindex on;",
            "gzip off;",
            "error_page 404 /lost.html;",
        ] {
            assert!(conf.contains(line), "{line} in {conf}");
        }
        assert_eq!(
            proposal.warnings,
            ["Staticfile:6: pushstate is not supported and ignored"]
        );
    }

    #[test]
    fn passwords_and_media_types_of_the_application_are_assets() {
        let files = [
            ("index.html", ""),
            ("Staticfile.auth", "bob:$apr1$x"),
            ("mime.types", "types { text/x x; }"),
        ];
        let assets = propose(&files, &[]).unwrap().plan.static_assets;
        assert_eq!(assets[".htpasswd"], "bob:$apr1$x");
        assert_eq!(assets["mime.types"], "types { text/x x; }");
        let conf = &assets["nginx.conf"];
        assert!(
            conf.contains("auth_basic_user_file /assets/.htpasswd;"),
            "{conf}"
        );
        assert!(conf.contains("include /assets/mime.types;"), "{conf}");
        assert!(!conf.contains("types {"), "{conf}");
    }

    #[test]
    fn an_own_configuration_is_used_when_it_fits_the_image() {
        let start = |text: &str| {
            let files = [("index.html", ""), ("nginx.conf", text)];
            let proposal = propose(&files, &[]).unwrap();
            (proposal.plan.start.unwrap().cmd.unwrap(), proposal.warnings)
        };
        let (command, warnings) =
            start("events {} # root /x;\nhttp { server { listen 80; root \"/app/site\"; } }");
        assert!(command.contains("/app/nginx.conf"), "{command}");
        assert!(command.ends_with("-g 'daemon off;'"), "{command}");
        assert!(warnings.is_empty());
        let (command, _) = start("daemon off; events {} http {}");
        assert!(command.ends_with("-c /tmp/nginx.conf"), "{command}");
        let (command, warnings) =
            start("events {} http { server { root /usr/share/nginx/html; } }");
        assert_eq!(command, START);
        assert!(
            warnings[0].contains("/usr/share/nginx/html"),
            "{warnings:?}"
        );
        assert_eq!(start("server { listen 80; }").1.len(), 1);
    }

    #[test]
    fn a_root_outside_or_with_nginx_syntax_is_refused() {
        for root in ["../etc", "a/../../b", "a\"; return 200", "$x"] {
            assert!(
                propose(&[("index.html", "")], &[("NIXPACKS_STATICFILE_ROOT", root)]).is_err(),
                "{root}"
            );
        }
    }

    #[test]
    fn the_start_command_finds_the_port_in_the_configuration() {
        assert_eq!(
            conf(&[("index.html", "")], &[])
                .matches("listen 80;")
                .count(),
            1
        );
        assert!(START.contains("s/listen 80;/"));
    }
}
