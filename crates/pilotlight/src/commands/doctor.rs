//! `pilotlight doctor`: what this machine has of what containers need, what is missing, and the command that gets it.

use pilotlight_sandbox::doctor::{self, Facts, Finding, State};
use serde::Serialize;

use crate::exit::Status;
use crate::printer::Printer;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    /// Whether containers can be started here.
    ok: bool,
    findings: &'a [Finding],
    facts: &'a Facts,
}

/// Examines the machine. Exit code 1 when something is missing without which no container starts.
pub(crate) async fn run(json: bool, printer: &Printer) -> anyhow::Result<Status> {
    let facts = tokio::task::spawn_blocking(doctor::facts).await?;
    let findings = doctor::examine(&facts);
    let ok = findings.iter().all(|finding| finding.state != State::Missing);
    if json {
        let report = Report { ok, findings: &findings, facts: &facts };
        printer.out(&serde_json::to_string_pretty(&report)?);
        return Ok(if ok { Status::Success } else { Status::UserError });
    }
    for finding in &findings {
        for line in lines(finding) {
            printer.out(&line);
        }
    }
    let weaker = findings.iter().filter(|finding| finding.state == State::Weaker).count();
    match (ok, weaker) {
        (false, _) => {
            printer.error("containers cannot be isolated here", Some("mend what is marked ✗ above"), None);
            return Ok(Status::UserError);
        }
        (true, 0) => printer.note("Containers have everything here"),
        (true, _) => printer.note("Containers run here, with less where a line is marked !"),
    }
    Ok(Status::Success)
}

fn lines(finding: &Finding) -> Vec<String> {
    let mark = match finding.state {
        State::Fine => "✓",
        State::Weaker => "!",
        State::Missing => "✗",
    };
    let mut lines = vec![format!("{mark} {}: {}", finding.feature, finding.text)];
    lines.extend(finding.remedy.iter().map(|remedy| format!("    → {remedy}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_stands_below_what_it_mends() {
        let mut finding = Finding {
            feature: "network",
            state: State::Weaker,
            text: "none".into(),
            remedy: Some("sudo apt-get install passt".into()),
        };
        assert_eq!(lines(&finding), ["! network: none", "    → sudo apt-get install passt"]);
        finding.remedy = None;
        finding.state = State::Fine;
        assert_eq!(lines(&finding), ["✓ network: none"]);
    }
}
