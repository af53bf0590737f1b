//! Opens the database file: who may read it, how it is written, and whether it is whole.
//!
//! WAL with `synchronous=NORMAL`: a commit is in the kernel's page cache when it returns, so `kill -9` of the server
//! loses nothing; a power cut may lose the last commits but never damages the file, since the log is synced before
//! each checkpoint (<https://sqlite.org/pragma.html#pragma_synchronous>). A lost last deploy is deployed again.

use fs_err::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use rusqlite::{Connection, ErrorCode};

use crate::migrate::{self, MIGRATIONS};
use crate::store::Error;

/// How long SQLite waits for another process that writes.
const BUSY_LIMIT: Duration = Duration::from_secs(10);

/// Opens, checks and migrates.
pub(crate) fn open(path: &Path) -> Result<Connection, Error> {
    // Made here because SQLite would use the umask's mode; manifests hold the user's environment variables. The
    // files beside it (-wal, -shm) take over this one's mode.
    let made = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    drop(made.map_err(|source| Error::Open { path: path.to_owned(), source })?);
    let named = |error| name_damage(path, error);
    let mut connection = Connection::open(path).map_err(named)?;
    configure(&connection).map_err(named)?;
    check(&connection, path)?;
    match migrate::run(&mut connection, MIGRATIONS) {
        Ok(()) => Ok(connection),
        Err(migrate::Error::TooNew { found, known }) => {
            Err(Error::TooNew { path: path.to_owned(), found, known })
        }
        Err(migrate::Error::Sqlite(error)) => Err(named(error)),
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_LIMIT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// The file is small, so the whole of it is checked at each start.
fn check(connection: &Connection, path: &Path) -> Result<(), Error> {
    let found: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| name_damage(path, error))?;
    if found == "ok" { Ok(()) } else { Err(Error::Corrupt { path: path.to_owned(), detail: found }) }
}

/// Tells damage from other failures.
fn name_damage(path: &Path, error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            Error::Corrupt { path: path.to_owned(), detail: error.to_string() }
        }
        _ => Error::Sqlite(error),
    }
}
