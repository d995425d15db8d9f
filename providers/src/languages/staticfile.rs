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
        Ok(Self {
            listing: on("directory", &["visible", "true", "enabled"]).unwrap_or(false),
            gzip: !on("gzip", &["off", "false", "disabled"]).unwrap_or(false),
            error_pages,
            warnings: file.warnings,
            root,
            root_evidence,
        })
    }
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
    let plan = &mut proposal.plan;
    plan.static_assets
        .insert("nginx.conf".to_owned(), render(facts, &root)?);
    plan.phase("setup").nix_pkgs = Some(strings(&["nginx"]));
    plan.start = Some(Start {
        cmd: Some(START.to_owned()),
        nix_pkgs: Some(strings(&["nginx"])),
        ..Start::default()
    });
    proposal
        .decisions
        .push(Decision::new("start", "nginx", "on $PORT, or 80"));
    Ok(proposal)
}

fn render(facts: &Facts, root: &str) -> Result<String, PlanError> {
    let pages: Vec<(u16, String)> = facts.error_pages.clone().into_iter().collect();
    let values = minijinja::context! { root => root, listing => facts.listing, gzip => facts.gzip, error_pages => pages };
    template::render("nginx.conf", TEMPLATE, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn propose(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Proposal, PlanError> {
        let repo = Repo::in_memory(files);
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Staticfile.propose(&Request {
            repo: &repo,
            variables: &variables,
            test: false,
            assisting: false,
        })
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
