//! Where packages come from, and which lock a build uses: the one kept with the app, or one made now.

use std::path::PathBuf;

use packwright_providers::{BuildPlan, PlanError, Repo};

use super::{Build, BuildOptions, PipelineError, hooks};
use crate::environment::{
    Context, EnvironmentError, EnvironmentRequest, LockFile, LockedEnvironment, Machine, Packages,
    admit, resolve_lock,
};
use crate::report::Event;
use crate::whole;

/// What is decided before anything is made: every way to build begins with it.
pub struct Prepared {
    /// The app's folder.
    pub repo: Repo,
    /// What to do.
    pub plan: BuildPlan,
    /// On which packages.
    pub lock: LockedEnvironment,
    /// For which machine; none is this one.
    pub machine: Option<Machine>,
}

impl Build<'_> {
    /// What making the environment of a prepared build needs.
    pub(super) fn environment_of<'b>(
        &'b self,
        prepared: &'b Prepared,
    ) -> Result<Context<'b>, PipelineError> {
        self.environment(&prepared.repo, &prepared.plan, prepared.machine)
    }

    fn environment<'b>(
        &'b self,
        repo: &'b Repo,
        plan: &BuildPlan,
        machine: Option<Machine>,
    ) -> Result<Context<'b>, PipelineError> {
        Ok(Context {
            folder: repo.root().unwrap_or(&self.options.source),
            packages: packages(self.options, plan)?,
            machine,
            nix: &self.options.nix,
            sources: self.sources,
            cache: self.cache,
            report: self.report,
            interrupt: self.interrupt,
        })
    }

    /// Plans and locks, for a machine; none is this one.
    pub(super) fn prepare(&self, machine: Option<Machine>) -> Result<Prepared, PipelineError> {
        let (repo, planned) = self.plan()?;
        let plan = hooks::with_phases_for_hooks(planned.plan);
        let context = self.environment(&repo, &plan, machine)?;
        let lock = self.lock(&repo, &plan, &context)?;
        Ok(Prepared {
            repo,
            plan,
            lock,
            machine,
        })
    }

    /// The exact packages for a plan. Tells what of the plan means nothing to them.
    fn lock(
        &self,
        repo: &Repo,
        plan: &BuildPlan,
        context: &Context<'_>,
    ) -> Result<LockedEnvironment, PipelineError> {
        let lock = self.kept_or_new(repo, plan, context)?;
        for message in without_nix(plan, &lock) {
            self.report.event(Event::Warning { message });
        }
        Ok(lock)
    }

    fn kept_or_new(
        &self,
        repo: &Repo,
        plan: &BuildPlan,
        context: &Context<'_>,
    ) -> Result<LockedEnvironment, PipelineError> {
        let request = EnvironmentRequest::from_plan(plan);
        let kept = repo.text(LockFile::NAME).map_err(PlanError::from)?;
        let unfit = match kept.map(|text| LockFile::read(&text)).transpose()? {
            None => "there is none",
            Some(file) => match file.fits(&request, context.packages, context.machine) {
                Ok(environment) => {
                    self.report.event(Event::Decided {
                        subject: "packages".to_owned(),
                        choice: "as locked".to_owned(),
                        reason: format!("{} is for this plan", LockFile::NAME),
                    });
                    admit(&environment, context)?;
                    return Ok(environment);
                }
                Err(why) => {
                    let message = format!(
                        "{} is not used: {why}; packwright lock makes it anew",
                        LockFile::NAME
                    );
                    if !self.options.locked {
                        self.report.event(Event::Warning { message });
                    }
                    why
                }
            },
        };
        if self.options.locked {
            return Err(EnvironmentError::NotLocked(unfit).into());
        }
        Ok(resolve_lock(&request, context)?)
    }

    /// Chooses packages for the app now and keeps them with it; the file's path comes back.
    pub fn write_lock(&self) -> Result<PathBuf, PipelineError> {
        let (repo, planned) = self.plan()?;
        let plan = hooks::with_phases_for_hooks(planned.plan);
        let context = self.environment(&repo, &plan, None)?;
        let request = EnvironmentRequest::from_plan(&plan);
        let environment = resolve_lock(&request, &context)?;
        let file = LockFile::new(request, environment);
        for folder in file.folders() {
            let message = format!("the lock names {folder}, which is on this machine alone");
            self.report.event(Event::Warning { message });
        }
        let path = context.folder.join(LockFile::NAME);
        // Whole or not at all: it is a file of the user's.
        whole::write(&path, &file.text())
            .map_err(|error| PipelineError::io("write", &path, error))?;
        Ok(path)
    }
}

/// Where packages come from: the command line says it, else the plan, else this machine.
fn packages(options: &BuildOptions, plan: &BuildPlan) -> Result<Packages, PipelineError> {
    match (options.packages, plan.packages.as_deref()) {
        (Some(packages), _) => Ok(packages),
        (None, None | Some("auto")) => Ok(Packages::Auto),
        (None, Some("nix")) => Ok(Packages::Nix),
        (None, Some("debian")) => Ok(Packages::Debian),
        (None, Some(other)) => Err(PipelineError::Setting {
            key: "packages",
            value: other.to_owned(),
            reason: "is not auto, nix or debian",
        }),
    }
}

/// Keys of a plan that mean something with packages of Nix alone, when there are none.
fn without_nix(plan: &BuildPlan, lock: &LockedEnvironment) -> Vec<String> {
    if matches!(lock, LockedEnvironment::Nix(_)) {
        return Vec::new();
    }
    let mut messages = Vec::new();
    let reason = "has no effect: packages come from Debian and the registries; --packages nix takes them from Nix";
    for (name, phase) in &plan.phases {
        let overlays = phase
            .nix_overlays
            .as_ref()
            .is_some_and(|list| !list.is_empty());
        for (key, said) in [
            ("nixOverlays", overlays),
            ("nixExpr", phase.nix_expr.is_some()),
        ] {
            if said {
                messages.push(format!("phases.{name}.{key} {reason}"));
            }
        }
    }
    let budget = plan.image.as_ref().and_then(|image| image.layer_budget);
    if budget.is_some() {
        let message =
            "image.layerBudget has no effect: there is one layer for each cause of change";
        messages.push(message.to_owned());
    }
    messages
}
