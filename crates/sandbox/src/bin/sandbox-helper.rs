//! The helper as a program of its own, for this crate's tests: a test binary cannot be its own helper.

fn main() -> std::process::ExitCode {
    pilotlight_sandbox::helper_main(&[])
}
