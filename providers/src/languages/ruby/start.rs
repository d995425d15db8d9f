//! How a Ruby application starts.

use crate::languages::quote;
use crate::plan::PlanError;
use crate::provider::{Decision, Evidence};
use crate::repo::Repo;

use super::gems::Gems;

/// Programs that start an application, in the order in which they count.
const PROGRAMS: [&str; 5] = [
    "main.rb",
    "app.rb",
    "server.rb",
    "application.rb",
    "index.rb",
];

/// Servers that take config.ru, when there is no `rackup`: the gem and how it is started.
const SERVERS: [(&str, &str); 5] = [
    ("puma", "puma -b tcp://0.0.0.0:${PORT:-3000} config.ru"),
    (
        "falcon",
        "falcon serve --bind http://0.0.0.0:${PORT:-3000} --config config.ru",
    ),
    ("unicorn", "unicorn -o 0.0.0.0 -p ${PORT:-3000} config.ru"),
    (
        "thin",
        "thin start -a 0.0.0.0 -p ${PORT:-3000} -R config.ru",
    ),
    ("iodine", "iodine -b 0.0.0.0 -p ${PORT:-3000} config.ru"),
];

/// A start command and why.
pub(super) fn find(repo: &Repo, gems: &Gems) -> Result<Option<(String, Decision)>, PlanError> {
    let found = |command: String, reason: &str, evidence: Evidence| {
        let command = format!("bundle exec {command}");
        let decision = Decision::new("start", command.clone(), reason).from(evidence);
        Ok(Some((command, decision)))
    };
    let file = |name: &str| repo.is_file(name) && repo.in_image(name);
    if gems.is_rails(repo) {
        let evidence = Evidence::file("config/application.rb", "an application of Rails");
        let command = if file("script/server") && !file("bin/rails") {
            "ruby script/server -b 0.0.0.0 -p ${PORT:-3000} -e $RAILS_ENV"
        } else if file("bin/rails") {
            "bin/rails server -b 0.0.0.0 -p ${PORT:-3000} -e $RAILS_ENV"
        } else {
            "rails server -b 0.0.0.0 -p ${PORT:-3000} -e $RAILS_ENV"
        };
        return found(command.to_owned(), "Rails", evidence);
    }
    if file("config.ru") {
        let evidence = Evidence::file("config.ru", "an application of Rack");
        let (command, reason) = rack(gems);
        return found(command, reason, evidence);
    }
    let program = PROGRAMS.into_iter().find(|name| file(name));
    if let Some(program) = program {
        let evidence = Evidence::file(program, "found");
        let command = format!("ruby {}", quote(program));
        if gems.has("sinatra") {
            let command = format!("{command} -o 0.0.0.0 -p ${{PORT:-3000}}");
            return found(command, "a program of Sinatra", evidence);
        }
        return found(command, "a program at the root", evidence);
    }
    if file("Rakefile") {
        let evidence = Evidence::file("Rakefile", "found");
        return found("rake".to_owned(), "the default task", evidence);
    }
    Ok(None)
}

/// `rackup` left Rack with its third version, and is a gem of its own since.
fn rack(gems: &Gems) -> (String, &'static str) {
    let old = gems.version("rack").is_none_or(|version| version < (3, 0));
    if old || gems.has("rackup") {
        return (
            "rackup config.ru -o 0.0.0.0 -p ${PORT:-3000}".to_owned(),
            "Rack",
        );
    }
    match SERVERS.iter().find(|(gem, _)| gems.has(gem)) {
        Some((_, command)) => ((*command).to_owned(), "the server that is locked"),
        None => (
            "rackup config.ru -o 0.0.0.0 -p ${PORT:-3000}".to_owned(),
            "Rack; add the gem rackup",
        ),
    }
}
