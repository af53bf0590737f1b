//! Who may depend on whom. ARCHITECTURE.md says why; this table decides.

use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::Fault;

/// Which packages of other people a room may use.
enum Others {
    /// These and no more.
    Only(&'static [&'static str]),
    /// All but these.
    AllBut(&'static [&'static str]),
}

/// One crate of ours.
struct Room {
    package: &'static str,
    folder: &'static str,
    /// Rooms it may name in any dependency section.
    rooms: &'static [&'static str],
    others: Others,
}

const ROOMS: &[Room] = &[
    Room {
        package: "pilotlight-core",
        folder: "crates/core",
        rooms: &[],
        others: Others::Only(&["blake3", "thiserror"]),
    },
    Room {
        package: "pilotlight-store",
        folder: "crates/store",
        rooms: &["pilotlight-core"],
        others: Others::AllBut(&["axum", "hyper", "hyper-util"]),
    },
    Room {
        package: "pilotlight-sandbox",
        folder: "crates/sandbox",
        rooms: &["pilotlight-core"],
        others: Others::AllBut(&["axum", "hyper", "hyper-util", "rusqlite", "tokio"]),
    },
    Room {
        package: "pilotlight-image",
        folder: "crates/image",
        rooms: &["pilotlight-core", "pilotlight-sandbox"],
        others: Others::AllBut(&["axum", "rusqlite"]),
    },
    Room {
        package: "pilotlight-pool",
        folder: "crates/pool",
        rooms: &["pilotlight-core"],
        others: Others::AllBut(&["axum", "hyper", "hyper-util", "rusqlite"]),
    },
    Room {
        package: "pilotlight-gateway",
        folder: "crates/gateway",
        rooms: &["pilotlight-core", "pilotlight-pool"],
        others: Others::AllBut(&["axum", "rusqlite"]),
    },
    Room {
        package: "pilotlight-api",
        folder: "crates/api",
        rooms: &["pilotlight-core", "pilotlight-store"],
        others: Others::AllBut(&["rusqlite"]),
    },
    Room {
        package: "pilotlight",
        folder: "crates/pilotlight",
        rooms: &[
            "pilotlight-api",
            "pilotlight-core",
            "pilotlight-gateway",
            "pilotlight-image",
            "pilotlight-pool",
            "pilotlight-sandbox",
            "pilotlight-store",
        ],
        others: Others::AllBut(&["axum", "rusqlite"]),
    },
    Room {
        package: "xtask",
        folder: "xtask",
        rooms: &[],
        others: Others::Only(&["anyhow", "fs-err", "toml"]),
    },
];

/// Helpers for tests; any room's tests may use them.
const TESTKIT: &str = "pilotlight-testkit";
const SECTIONS: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

/// Checks every manifest of the workspace against the table.
pub(super) fn check(root: &Path) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for entry in fs_err::read_dir(root.join("crates"))? {
        let folder = entry?.path();
        let folder = folder.strip_prefix(root).context("a crate outside its tree")?;
        if !ROOMS.iter().any(|room| Path::new(room.folder) == folder) && !folder.ends_with("testkit") {
            faults.push(Fault::new(
                folder,
                0,
                "this crate has no row in the table of rooms (xtask/src/tidy/rooms.rs)",
            ));
        }
    }
    for room in ROOMS {
        let path = Path::new(room.folder).join("Cargo.toml");
        let manifest: Table = toml::from_str(&fs_err::read_to_string(root.join(&path))?)?;
        room.check(&path, &manifest, &mut faults);
    }
    Ok(faults)
}

impl Room {
    fn check(&self, path: &Path, manifest: &Table, faults: &mut Vec<Fault>) {
        let mut fault = |rule: String| faults.push(Fault::new(path, 0, rule));
        let name = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
        if name != Some(self.package) {
            fault(format!("the package is called {name:?}, the table of rooms says `{}`", self.package));
        }
        if !manifest.contains_key("lints") {
            fault("has no [lints] table: the workspace's lints do not apply".to_owned());
        }
        for (section, dependency) in edges(manifest) {
            let ours = dependency == TESTKIT || ROOMS.iter().any(|room| room.package == dependency);
            if ours {
                let for_tests = dependency == TESTKIT && section == "dev-dependencies";
                if !for_tests && !self.rooms.contains(&dependency.as_str()) {
                    fault(format!("`{}` must not depend on `{dependency}`", self.package));
                }
            } else if section != "dev-dependencies" && !self.others.allow(&dependency) {
                fault(format!("`{}` must not use `{dependency}`", self.package));
            }
        }
    }
}

impl Others {
    fn allow(&self, dependency: &str) -> bool {
        match self {
            Self::Only(list) => list.contains(&dependency),
            Self::AllBut(list) => !list.contains(&dependency),
        }
    }
}

/// Every dependency of a manifest with its section, by the package's real name.
fn edges(manifest: &Table) -> Vec<(&'static str, String)> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(|table| table.values().filter_map(Value::as_table));
    let mut edges = Vec::new();
    for table in std::iter::once(manifest).chain(tables) {
        for section in SECTIONS {
            for (key, value) in table.get(section).and_then(Value::as_table).into_iter().flatten() {
                let renamed = value.get("package").and_then(Value::as_str);
                edges.push((section, renamed.unwrap_or(key).to_owned()));
            }
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(package: &str, dependencies: &str) -> Vec<String> {
        let manifest = format!("[package]\nname = \"{package}\"\n[lints]\nworkspace = true\n{dependencies}");
        let room = ROOMS.iter().find(|room| room.package == package).unwrap();
        let mut faults = Vec::new();
        room.check(Path::new("Cargo.toml"), &toml::from_str(&manifest).unwrap(), &mut faults);
        faults.into_iter().map(|fault| fault.rule).collect()
    }

    #[test]
    fn an_allowed_edge_is_no_fault() {
        assert_eq!(faults("pilotlight-gateway", "[dependencies]\npilotlight-pool.workspace = true"), [""; 0]);
        assert_eq!(faults("pilotlight-core", "[dependencies]\nblake3 = \"1\""), [""; 0]);
    }

    #[test]
    fn a_wrong_edge_is_found_in_every_section() {
        for section in
            ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"]
        {
            let found =
                faults("pilotlight-pool", &format!("[{section}]\npilotlight-sandbox.workspace = true"));
            assert_eq!(found, ["`pilotlight-pool` must not depend on `pilotlight-sandbox`"], "{section}");
        }
    }

    #[test]
    fn nobody_depends_on_the_binary() {
        for room in ROOMS {
            let found = faults(room.package, "[dependencies]\npilotlight = { path = \"../pilotlight\" }");
            assert_eq!(found, [format!("`{}` must not depend on `pilotlight`", room.package)]);
        }
    }

    #[test]
    fn core_uses_nothing_that_acts_and_sandbox_no_runtime() {
        assert_eq!(faults("pilotlight-core", "[dependencies]\nserde = \"1\"").len(), 1);
        assert_eq!(faults("pilotlight-core", "[dev-dependencies]\nproptest = \"1\""), [""; 0]);
        assert_eq!(
            faults("pilotlight-sandbox", "[dependencies]\nrt = { package = \"tokio\", version = \"1\" }")
                .len(),
            1
        );
    }

    #[test]
    fn a_manifest_without_lints_is_found() {
        let manifest = toml::from_str("[package]\nname = \"pilotlight-core\"").unwrap();
        let mut faults = Vec::new();
        ROOMS[0].check(Path::new("Cargo.toml"), &manifest, &mut faults);
        assert_eq!(faults.len(), 1);
    }
}
