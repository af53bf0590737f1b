//! What this machine cannot give to containers, and how to get it.

use crate::doctor::{self, State};

/// A part of isolation that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What: "user namespaces".
    pub part: String,
    /// What the user can do, as a sentence without a period.
    pub how_to_get: String,
}

/// Looks for every part that isolation needs. Empty: containers can be started here. Changes nothing on the machine.
///
/// Whether the state directory's file system can be mounted with shifted owners is only known once a layer is there:
/// see `Failure::NotShiftable`.
pub fn check() -> Vec<Missing> {
    let findings = doctor::examine(&doctor::facts()).into_iter();
    let missing = findings.filter(|finding| finding.state == State::Missing);
    missing
        .map(|finding| Missing {
            part: format!("{} ({})", finding.feature, finding.text),
            how_to_get: finding.remedy.unwrap_or_default(),
        })
        .collect()
}
