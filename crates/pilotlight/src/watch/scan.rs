//! Looks into watched folders: which there are below them, and which files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use pilotlight_core::reload::is_tools;

use super::{Identity, identity};

/// More folders are not listened in: the kernel has a limit for all of a user's programs.
const FOLDERS_MAX: usize = 20_000;

/// What is below some folders.
#[derive(Default)]
pub(super) struct Scan {
    /// The folders, those that were given included.
    pub(super) folders: BTreeSet<PathBuf>,
    /// The files in them.
    pub(super) files: BTreeSet<PathBuf>,
}

/// A folder to look into, and those that it lies in: a link to one of them is a circle.
struct Place {
    path: PathBuf,
    outer: Option<Rc<Outer>>,
}

struct Outer {
    identity: Identity,
    outer: Option<Rc<Outer>>,
}

/// Everything below `roots`, without what tools keep for themselves. Links are followed; what cannot be read is left
/// out.
pub(super) fn scan<'a>(roots: impl IntoIterator<Item = &'a PathBuf>) -> Scan {
    let mut found = Scan::default();
    let mut waiting: Vec<Place> =
        roots.into_iter().map(|path| Place { path: path.clone(), outer: None }).collect();
    while let Some(place) = waiting.pop() {
        let Some(own) = identity(&place.path) else { continue };
        if found.folders.len() >= FOLDERS_MAX || is_inside(own, place.outer.as_ref()) {
            continue;
        }
        let outer = Some(Rc::new(Outer { identity: own, outer: place.outer }));
        for path in children(&place.path) {
            if path.is_file() {
                found.files.insert(path);
            } else if path.is_dir() && !is_tools(&path) && !path.join("pyvenv.cfg").exists() {
                waiting.push(Place { path, outer: outer.clone() });
            }
        }
        found.folders.insert(place.path);
    }
    found
}

/// The entries of a folder.
pub(super) fn children(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs_err::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

fn is_inside(own: Identity, outer: Option<&Rc<Outer>>) -> bool {
    let mut outer = outer;
    while let Some(one) = outer {
        if one.identity == own {
            return true;
        }
        outer = one.outer.as_ref();
    }
    false
}
