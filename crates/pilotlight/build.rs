//! Rebuilds the binary when the Python that it embeds changes.

fn main() {
    for dir in ["pilotlight", "modal.py", "_pilotlight_runner"] {
        println!("cargo::rerun-if-changed=../../python/{dir}");
    }
}
