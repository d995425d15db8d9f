//! From a lock to roots: has Nix build or fetch what is missing, and reads back what there is.

use std::collections::{BTreeMap, BTreeSet};

use super::base::{self, Notes};
use super::closure::Closure;
use super::{LockedNix, Nix};
use crate::cache::{Cache, Key};
use crate::environment::toolchain::TOOLCHAINS;
use crate::environment::{
    EnvironmentError, Kit, KitPart, RootRunner, Roots, RunTree, Surroundings, realise as debian,
};
use crate::report::Step;

/// Both environments of a lock, as they are on this machine.
struct Made {
    build: Notes,
    run: Notes,
    build_store: Closure,
    run_store: Closure,
}

impl Nix<'_> {
    /// Makes the roots of a lock.
    pub(in crate::environment) fn realise(
        &self,
        lock: &LockedNix,
        runner: &dyn RootRunner,
    ) -> Result<Roots, EnvironmentError> {
        let made = self.make(lock)?;
        let context = self.context;
        let mut roots = match &lock.debian {
            Some(lock) => {
                debian::realise(lock, context.sources, context.cache, runner, context.report)?
            }
            None => Roots::default(),
        };
        let [build, run] = made.links(lock, context.cache)?;
        let links = build.as_ref().map_or("", |links| links.key.as_str());
        roots.key = Key::build("nix roots 3")
            .field("below", roots.key.as_str())
            .field("links", links)
            .field("environment", &lock.build)
            .finish();
        roots.build.extend(build.map(|links| links.dir));
        roots
            .build
            .push(base::places(&made.build_store, context.cache)?);
        roots.run.extend(run);
        roots.around = made.over(roots.around, lock);
        Ok(roots)
    }

    /// Makes what a builder elsewhere makes the roots of a lock from: the store paths are there.
    pub(in crate::environment) fn kit(&self, lock: &LockedNix) -> Result<Kit, EnvironmentError> {
        let made = self.make(lock)?;
        let context = self.context;
        let mut kit = match &lock.debian {
            Some(lock) => debian::kit(lock, context.sources, context.cache, context.report)?,
            None => Kit::default(),
        };
        let [build, run] = made.links(lock, context.cache)?;
        kit.parts.extend(build.map(KitPart::Tree));
        kit.run.extend(run);
        kit.around = made.over(kit.around, lock);
        Ok(kit)
    }

    fn make(&self, lock: &LockedNix) -> Result<Made, EnvironmentError> {
        let (build_store, run_store) = self.store_paths(lock)?;
        Ok(Made {
            build: Notes::read(&lock.build, &build_store)?,
            run: Notes::read(&lock.run, &run_store)?,
            build_store,
            run_store,
        })
    }

    /// The closures of phases and of the image, made where they are missing.
    fn store_paths(&self, lock: &LockedNix) -> Result<(Closure, Closure), EnvironmentError> {
        let outputs = [lock.build.clone(), lock.run.clone()];
        let step = Step::start(
            self.context.report,
            "nix",
            "build or fetch packages with nix",
        );
        let commands = self.commands.here();
        let there = commands.has(&outputs);
        if !there {
            self.build(lock, &step)?;
            let copied = self.commands.fetch_here(&outputs, &step);
            copied.map_err(|failed| self.failure(&failed, "copy packages from the store"))?;
        }
        self.hold(lock, &step)?;
        let closure = |path: &str| {
            let closure = commands.closure(path, &step);
            closure.map_err(|failed| self.failure(&failed, &format!("read what {path} needs")))
        };
        let (build, run) = (closure(&lock.build)?, closure(&lock.run)?);
        let megabytes = |closure: &Closure| closure.nar_size() / 1_000_000;
        let note = format!(
            "{} packages, {} MB; in the image {}, {} MB",
            build.len(),
            megabytes(&build),
            run.len(),
            megabytes(&run)
        );
        step.finish(there, note);
        Ok((build, run))
    }

    fn build(&self, lock: &LockedNix, step: &Step<'_>) -> Result<(), EnvironmentError> {
        let staging = self.context.cache.staging()?;
        let written = self.write_environment(staging.path(), lock, &str::to_owned, step)?;
        let derivations = self.commands.instantiate(&written, &["build", "run"], step);
        let derivations = derivations
            .map_err(|failed| self.failure_in(&failed, "evaluate the environment", &written))?;
        let made = self.commands.realise(&derivations, step);
        let made =
            made.map_err(|failed| self.failure_in(&failed, "build the environment", &written))?;
        match [&lock.build, &lock.run]
            .into_iter()
            .find(|path| !made.contains(path))
        {
            None => Ok(()),
            Some(missing) => Err(EnvironmentError::Mismatch {
                what: "the environment".to_owned(),
                expected: missing.clone(),
                found: made.join(" and "),
                authority: "the lock",
            }),
        }
    }
}

impl Made {
    /// The trees of links of phases and of the image.
    fn links(
        &self,
        lock: &LockedNix,
        cache: &Cache,
    ) -> Result<[Option<RunTree>; 2], EnvironmentError> {
        let links = |notes| base::links(notes, lock.debian.is_some(), cache);
        Ok([links(&self.build)?, links(&self.run)?])
    }

    /// What there is beside the trees, with Debian's part below.
    fn over(self, below: Surroundings, lock: &LockedNix) -> Surroundings {
        // What phases make may name the programs that made it, as a virtual environment of Python's
        // does: by their own path, which the image has too, and not by that of the environment.
        let path = self.build.path.split(':').filter(|entry| !entry.is_empty());
        let path = path
            .map(str::to_owned)
            .chain([format!("{}/bin", lock.build)]);
        let mut variables = below.variables;
        variables.extend(build_variables(&lock.build, &self.build));
        variables.extend(self.build.variables);
        let mut run_variables = below.run_variables;
        run_variables.extend(self.run.variables);
        run_variables.insert("LD_LIBRARY_PATH".to_owned(), self.run.library_path);
        let notes: BTreeSet<&str> = TOOLCHAINS
            .iter()
            .flat_map(|tool| tool.notes.iter().copied())
            .collect();
        Surroundings {
            build_path: path.chain(below.build_path).collect(),
            run_path: [format!("{}/bin", lock.run)]
                .into_iter()
                .chain(below.run_path)
                .collect(),
            variables,
            run_variables,
            notes: notes.into_iter().map(str::to_owned).collect(),
            build_store: self.build_store,
            run_store: self.run_store,
        }
    }
}

/// Where compilers and their helpers find what the environment has: it is nowhere that they look.
fn build_variables(environment: &str, notes: &Notes) -> BTreeMap<String, String> {
    [
        ("LD_LIBRARY_PATH", notes.library_path.clone()),
        (
            "PKG_CONFIG_PATH",
            format!("{environment}/lib/pkgconfig:{environment}/share/pkgconfig"),
        ),
        ("CMAKE_PREFIX_PATH", environment.to_owned()),
        ("ACLOCAL_PATH", format!("{environment}/share/aclocal")),
        ("CPATH", format!("{environment}/include")),
        ("LIBRARY_PATH", format!("{environment}/lib")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
