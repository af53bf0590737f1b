//! The sandbox helper as a program, for this crate's integration tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    pilotlight_sandbox::helper_main(pilotlight_image::ERRANDS)
}
