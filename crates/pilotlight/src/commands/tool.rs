//! `pilotlight tool`: what the binary brings along, for scripts and tests.

use crate::cli::ToolCommand;
use crate::config::Config;
use crate::exit::Status;
use crate::printer::Printer;

/// Prints the path of the tool asked for, after fetching it if needed.
pub(crate) async fn run(config: &Config, command: &ToolCommand, printer: &Printer) -> anyhow::Result<Status> {
    let ToolCommand::Uv = command;
    let uv = super::steps::blocking(printer, {
        let state_dir = config.user_dir();
        move |progress| {
            let python = pilotlight_image::HostPython::probe(std::path::Path::new("python3"))?;
            let settings = pilotlight_image::settings::Settings::of_this_machine();
            let cancel = std::sync::atomic::AtomicBool::new(false);
            let uv = pilotlight_image::tools::ensure(&state_dir, &python, &settings, progress, &cancel)?;
            anyhow::Ok(uv.path)
        }
    })
    .await?;
    printer.out(&uv.display().to_string());
    Ok(Status::Success)
}
