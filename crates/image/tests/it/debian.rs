//! Images on a true Debian. Needs mmdebstrap, which the test command installs, on a Debian host.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use pilotlight_core::image::{Base, Era, Plan, PythonVersion, Step};
use pilotlight_image::base::Choice;
use pilotlight_image::host::OsRelease;
use pilotlight_sandbox::ExitStatus;

use crate::world::{Told, world};

fn python() -> PythonVersion {
    match OsRelease::of_this_machine().codename.as_str() {
        "bullseye" => PythonVersion::new(3, 9),
        "trixie" => PythonVersion::new(3, 13),
        _ => PythonVersion::new(3, 11),
    }
}

#[test]
fn a_debian_is_made_once_and_takes_packages() {
    let world = world();
    let builder = world.builder_on(Choice::Auto);
    let steps = vec![Step::AptInstall { packages: vec!["tree".into()] }];
    let plan = Plan { base: Base::DebianSlim { python: python() }, era: Era::App, steps };
    let (told, never) = (Told::default(), AtomicBool::new(false));
    let image = builder.build(&plan, &told, &never);
    let image = image.unwrap_or_else(|error| panic!("{error:?}\n{:#?}", told.all()));
    let codename = OsRelease::of_this_machine().codename;
    assert_eq!(image.base.text, format!("Debian {codename} by mmdebstrap"));
    assert!(image.binds.is_empty());
    let script = "cat /etc/os-release; command -v tree; stat -c %u /usr/bin/env; \
                  /opt/venv/bin/python -c 'import fastapi, sys; print(sys.version_info[:2])'";
    let (status, output) = world.run(&image, &["/bin/sh", "-ec", script]);
    assert_eq!(status, ExitStatus::Code(0), "{output}");
    assert!(output.contains(&format!("VERSION_CODENAME={codename}")), "{output}");
    assert!(output.contains("/bin/tree\n0\n(3, "), "{output}");
    let start = Instant::now();
    assert!(builder.build(&plan, &told, &never).unwrap().cached);
    assert!(start.elapsed().as_millis() < 500);
}
