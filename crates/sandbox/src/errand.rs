//! Errands: what has to run on the machine itself with the helper's rights, and makes a tree of files.
//!
//! They are a closed set that comes with the executable. The server names one and gives it an argument, which the
//! errand checks; whatever else it needs to know it reads from the machine.

use std::path::PathBuf;
use std::process::Command;

/// One kind of errand.
#[derive(Clone, Copy, Debug)]
pub struct Errand {
    /// What the server calls it.
    pub name: &'static str,
    /// The program to run for an argument, or why there is none. Called in a process of its own, which may take its
    /// time. The tree it makes has the owners that it will have in an image.
    pub command: fn(argument: &str, yard: &Yard) -> Result<Command, String>,
}

/// Where an errand works: nobody else can reach either.
#[derive(Clone, Debug)]
pub struct Yard {
    /// The directory to fill, empty.
    pub fs: PathBuf,
    /// For temporary files; removed afterwards.
    pub work: PathBuf,
}
