//! What stands below the options of a help text: examples to copy.

/// Below the list of commands.
pub(super) const TOP: &str = "\
Examples:
  pilotlight serve hello.py                 try it: temporary URLs, updated at every save
  pilotlight server start                   let a server run in the background
  pilotlight deploy hello.py --name hello   give it URLs that stay

Exit codes:
  0  done
  1  your program, image or request has a mistake
  2  wrong usage
  3  pilotlight or its server failed";

/// Below `serve`.
pub(super) const SERVE: &str = "\
Examples:
  pilotlight serve hello.py
  pilotlight serve hello.py::other_app --timeout 60
  pilotlight serve -m package.web";

/// Below `deploy`.
pub(super) const DEPLOY: &str = "\
Examples:
  pilotlight deploy hello.py --name hello
  pilotlight deploy -m package.web

The version that serves goes on until the new one is ready. A server must run: `pilotlight server start`.";

/// Below `run`.
pub(super) const RUN: &str = "\
Examples:
  pilotlight run job.py                     the only local entrypoint of the file
  pilotlight run job.py::main --count 3     one by its name, with its own options
  pilotlight run job.py --help              the options of the entrypoint

Options of pilotlight stand before REF, those of the entrypoint after it.";

/// Below `doctor`.
pub(super) const DOCTOR: &str = "\
Examples:
  pilotlight doctor
  pilotlight doctor --json

✓ is there, ! is missing and containers run with less, ✗ is missing and none runs: then the exit code is 1.
It looks with the rights of the account that runs it: as root at what root's server needs.";

/// Below `app list`.
pub(super) const APP_LIST: &str = "\
Examples:
  pilotlight app list
  pilotlight app list --json";

/// Below `app logs`.
pub(super) const APP_LOGS: &str = "\
Examples:
  pilotlight app logs hello
  pilotlight app logs hello -f -n 20
  pilotlight app logs hello --since 10m --timestamps";

/// Below `app stop`.
pub(super) const APP_STOP: &str = "\
Examples:
  pilotlight app stop hello
  pilotlight app stop hello --yes           without being asked";

/// Below `app scale`.
pub(super) const APP_SCALE: &str = "\
Examples:
  pilotlight app scale hello f --min-containers 2
  pilotlight app scale hello f --max-containers 10 --scaledown-window 300";

/// Below `image list`.
pub(super) const IMAGE_LIST: &str = "\
Examples:
  pilotlight image list
  pilotlight image list --json

SIZE counts the layers that an image shares with others, the sum below counts each once.";

/// Below `image build`.
pub(super) const IMAGE_BUILD: &str = "\
Examples:
  pilotlight image build hello.py
  MODAL_FORCE_BUILD=1 pilotlight deploy hello.py     with every step run anew";

/// Below `image logs`.
pub(super) const IMAGE_LOGS: &str = "\
Examples:
  pilotlight image logs im-3f9c12ab34cd
  pilotlight image logs 5b21e07f9a10        of one layer, for example of one that failed";

/// Below `image prune`.
pub(super) const IMAGE_PRUNE: &str = "\
Examples:
  pilotlight image prune                    everything that no app uses
  pilotlight image prune --keep 20GiB       only as much as that takes
  pilotlight image prune --yes --downloads";

/// Below `server`.
pub(super) const SERVER: &str = "\
Examples:
  pilotlight server start
  pilotlight server status";
