//! BUILDS: executes core's image plan.
//!
//! [`Builder::build`] turns a [`Plan`](pilotlight_core::image::Plan) into an [`Image`]: the layers, binds and variables
//! a container of it needs. Everything is found or made under the state directory, by content-addressed names, so a
//! second build is a handful of `stat` calls and two servers that share the directory build a layer once. The crate
//! is synchronous: the server calls it on blocking threads.

/// Where an image starts: a real Debian by mmdebstrap, or the host's own userland.
pub mod base;
/// The way from a plan to an image.
pub mod builder;
/// The private environment in which the user's file is imported on the local machine.
pub mod discovery;
/// Interpreters and the operating system of this machine.
pub mod host;
/// The layer that carries the host's name resolution and certificates into containers.
pub mod hostconf;
/// What images take on disk, and what of it goes.
pub mod inventory;
/// Locks between processes, for things that are made once.
mod lock;
/// Images without a sandbox.
mod on_host;
/// Lines of output, and the last few of them.
mod output;
/// Programs run on the host, watched.
mod process;
/// What a build tells while it runs.
pub mod progress;
/// Images of OCI registries.
pub mod registry;
/// The layers of the runner and the SDK.
pub mod runner;
/// Package index, proxy and certificate settings of this machine.
pub mod settings;
/// Build steps in containers.
pub mod step;
/// Layers on disk, by key.
pub mod store;
/// uv, brought from the package index.
pub mod tools;
/// A user's files as a layer.
pub mod tree;
/// How many build steps run at once.
mod turns;

/// What the sandbox helper runs for this crate; for `helper_main`.
pub const ERRANDS: &[pilotlight_sandbox::Errand] = &[base::debian::ERRAND];

pub use builder::{BaseUsed, Builder, Error, Image, Options, Places, Surroundings, Tree};
pub use host::HostPython;
pub use progress::{Progress, Silent};
pub use registry::tool_main;
pub use step::Exits;
pub use store::Pins;
