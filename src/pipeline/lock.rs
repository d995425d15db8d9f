//! Which lock a build uses: the one kept with the app, or one made now.

use std::path::PathBuf;

use packwright_providers::{BuildPlan, PlanError, Repo};

use super::{Build, PipelineError, hooks};
use crate::environment::{
    Context, EnvironmentError, EnvironmentRequest, LockFile, LockedEnvironment, resolve_lock,
};
use crate::report::Event;

impl Build<'_> {
    /// The exact packages for a plan.
    pub(super) fn lock(
        &self,
        repo: &Repo,
        plan: &BuildPlan,
        context: &Context<'_>,
    ) -> Result<LockedEnvironment, PipelineError> {
        let request = EnvironmentRequest::from_plan(plan);
        let kept = repo.text(LockFile::NAME).map_err(PlanError::from)?;
        let unfit = match kept.map(|text| LockFile::read(&text)).transpose()? {
            None => "there is none",
            Some(file) => match file.fits(&request, context.packages) {
                Ok(environment) => {
                    self.report.event(Event::Decided {
                        subject: "packages".to_owned(),
                        choice: "as locked".to_owned(),
                        reason: format!("{} is for this plan", LockFile::NAME),
                    });
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
        let context = self.environment(&repo, &plan)?;
        let request = EnvironmentRequest::from_plan(&plan);
        let environment = resolve_lock(&request, &context)?;
        let file = LockFile::new(request, environment);
        for folder in file.folders() {
            let message = format!("the lock names {folder}, which is on this machine alone");
            self.report.event(Event::Warning { message });
        }
        let path = context.folder.join(LockFile::NAME);
        // Whole or not at all: it is a file of the user's.
        let mut new = tempfile::NamedTempFile::new_in(context.folder)
            .map_err(|error| PipelineError::io("create a file in", context.folder, error))?;
        std::io::Write::write_all(&mut new, file.text().as_bytes())
            .map_err(|error| PipelineError::io("write", &path, error))?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        new.as_file()
            .set_permissions(readable)
            .map_err(|error| PipelineError::io("open up", &path, error))?;
        new.persist(&path)
            .map_err(|error| PipelineError::io("write", &path, error.error))?;
        Ok(path)
    }
}
