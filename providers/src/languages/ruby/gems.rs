//! The gems of an application: the lock's, or the Gemfile's where there is no lock.

use std::sync::Arc;

use crate::plan::PlanError;
use crate::repo::Repo;

use super::gemfile::Gemfile;
use super::lock::{LOCK, Lock};

pub(super) const GEMFILE: &str = "Gemfile";

/// Both files together.
pub(super) struct Gems {
    pub(super) gemfile: Arc<Gemfile>,
    pub(super) lock: Option<Arc<Lock>>,
}

impl Gems {
    pub(super) fn read(repo: &Repo) -> Result<Self, PlanError> {
        let gemfile = repo.parsed(GEMFILE, |text| Ok::<_, PlanError>(Gemfile::parse(text)))?;
        let lock = if repo.in_image(LOCK) {
            repo.parsed(LOCK, Lock::parse)?
        } else {
            None
        };
        Ok(Self {
            gemfile: gemfile.unwrap_or_default(),
            lock,
        })
    }

    pub(super) fn has(&self, gem: &str) -> bool {
        match &self.lock {
            Some(lock) => lock.gems.contains_key(gem),
            None => self.gemfile.gems.contains_key(gem),
        }
    }

    /// Whether the Gemfile itself asks for it.
    pub(super) fn asks_for(&self, gem: &str) -> bool {
        self.gemfile.gems.contains_key(gem)
            || self
                .lock
                .as_ref()
                .is_some_and(|lock| lock.direct.contains(gem))
    }

    pub(super) fn any(&self, gems: &[&'static str]) -> Option<&'static str> {
        gems.iter().find(|gem| self.has(gem)).copied()
    }

    /// The first two numbers of a locked version.
    pub(super) fn version(&self, gem: &str) -> Option<(u32, u32)> {
        let version = self.lock.as_ref()?.gems.get(gem)?;
        let mut numbers = version.split('.').map_while(|number| number.parse().ok());
        Some((numbers.next()?, numbers.next().unwrap_or(0)))
    }

    /// Whether there is anything to fetch.
    pub(super) fn is_empty(&self) -> bool {
        match &self.lock {
            Some(lock) => !lock.served && !lock.git,
            None => self.gemfile.gems.is_empty(),
        }
    }

    pub(super) fn is_rails(&self, repo: &Repo) -> bool {
        self.any(&["rails", "railties"]).is_some()
            && (repo.is_file("config/application.rb") || repo.is_file("config/environment.rb"))
    }
}
