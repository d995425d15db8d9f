//! Makes the trees of a lock.

use super::{EnvironmentError, LockedEnvironment, RootRunner, Roots, Sources};
use crate::cache::Cache;
use crate::report::Report;

pub(super) fn realise(
    _lock: &LockedEnvironment,
    _sources: &Sources,
    _cache: &Cache,
    _runner: &dyn RootRunner,
    _report: &dyn Report,
) -> Result<Roots, EnvironmentError> {
    todo!()
}
