//! The store's handle: sends work to the one thread that owns the database.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use rusqlite::Connection;

use crate::db;
use crate::seal::{self, Sealer};

/// Pieces of work that wait for the thread; more callers wait at the door.
const QUEUE_MAX: usize = 64;

/// How long a caller waits for its answer. Far more than SQLite's own wait for another process.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be made or opened.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is damaged or not a database.
    #[error(
        "the database {} is damaged ({detail}): move it away, start the server and deploy the apps again",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        detail: String,
    },
    /// A newer pilotlight wrote the file.
    #[error(
        "the database {} was written by a newer pilotlight (format {found}, this one knows {known}): update pilotlight",
        path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// SQLite refused.
    #[error("the database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The thread is gone or has too much to do.
    #[error("the database does not answer")]
    NoAnswer,
    /// A manifest with secrets cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// No app has this name.
    #[error("there is no deployed app `{name}`")]
    NotDeployed {
        /// The name.
        name: String,
    },
    /// Another app's endpoint has this label.
    #[error("the label `{label}` is used by the app `{app}`: choose another label, or stop that app")]
    LabelTaken {
        /// The label.
        label: String,
        /// Who has it.
        app: String,
    },
    /// Another function has this port, or this function has another one.
    #[error("port {port} is not the port of `{function}` of the app `{app}`")]
    PortMismatch {
        /// The port that was given.
        port: u16,
        /// The app's name.
        app: String,
        /// The function's name.
        function: String,
    },
    /// Every candidate is taken.
    #[error("no port is free for `{function}` of the app `{app}`")]
    NoPort {
        /// The app's name.
        app: String,
        /// The function's name.
        function: String,
    },
}

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// The store. Clones share one thread, which closes the database when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    work: SyncSender<Work>,
    sealer: Sealer,
}

impl Store {
    /// Opens the database at `path`, makes it if there is none (mode 0600), checks it, and brings it to the newest
    /// format. The directory must exist; `secrets.key` in it is the key of what is sealed.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let sealer = Sealer::new(path.with_file_name("secrets.key"));
        let mut connection = db::open(path)?;
        let (work, queue) = sync_channel::<Work>(QUEUE_MAX);
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Ok(work) = queue.recv() {
                    work(&mut connection);
                }
            })
            .map_err(|source| Error::Open { path: path.to_owned(), source })?;
        Ok(Self { work, sealer })
    }

    /// What seals the manifests that hold secrets.
    pub(crate) fn sealer(&self) -> Sealer {
        self.sealer.clone()
    }

    /// Runs `work` on the thread that owns the connection and waits for its result.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, result) = sync_channel(1);
        let work: Work = Box::new(move |connection| {
            // A caller that has given up does not read its answer.
            _ = answer.send(work(connection));
        });
        self.work.send(work).map_err(|_| Error::NoAnswer)?;
        match result.recv_timeout(ANSWER_LIMIT) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(Error::NoAnswer),
        }
    }
}
