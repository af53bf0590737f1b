//! Sweeping.

use std::path::Path;

use crate::Error;

/// What a sweep removed.
#[derive(Debug, Default)]
pub struct SweepReport {}

/// Removes what dead servers left.
pub fn sweep(_run_root: &Path) -> Result<SweepReport, Error> {
    Ok(SweepReport {})
}
