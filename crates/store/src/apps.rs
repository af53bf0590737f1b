//! Apps that are or were deployed, and their versions.

use std::time::SystemTime;

use pilotlight_core::id::AppId;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use crate::seal::{self, Owner, Sealer};
use crate::store::{Error, Store};

/// Versions that are kept of each app, the current one included.
const VERSIONS_MAX: u32 = 20;

/// A web endpoint of a deployed app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The function's name.
    pub function: String,
    /// The label of its URL; one app has it at a time.
    pub label: String,
    /// Its own port, the same over all versions.
    pub port: u16,
    /// How it was scaled since it was deployed, in words of the caller's ([`Store::scale`]).
    pub scaling: Option<String>,
}

/// The manifest of a version, as it was given.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The text.
    pub text: String,
    /// Whether it holds secrets: it is sealed then.
    pub secret: bool,
}

impl std::fmt::Debug for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manifest").field("secret", &self.secret).finish_non_exhaustive()
    }
}

impl From<&str> for Manifest {
    /// A manifest without secrets.
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), secret: false }
    }
}

/// A deployed app with its current version: everything that is needed to serve it.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    /// The app.
    pub id: AppId,
    /// Its name.
    pub name: String,
    /// The current version, from 1 on.
    pub version: u32,
    /// The manifest, or why it cannot be opened.
    pub manifest: Result<Manifest, seal::Error>,
    /// Its web endpoints, by function.
    pub endpoints: Vec<Endpoint>,
    /// When the app got its id, seconds since the epoch.
    pub created_at: f64,
}

/// An app in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// The app.
    pub id: AppId,
    /// Its name.
    pub name: String,
    /// Whether it is deployed.
    pub state: State,
    /// The version that is or was current.
    pub version: u32,
    /// When the app got its id, seconds since the epoch.
    pub created_at: f64,
}

/// Whether an app is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is.
    Deployed,
    /// It was.
    Stopped,
}

impl Store {
    /// Makes `manifest` the current version of the app `name`, which is created if there is none and started again if
    /// it was stopped. All or nothing: on an error the version before is still the current one.
    ///
    /// Each endpoint's port must be the one that was claimed for its function, or one that nobody has.
    pub fn deploy(
        &self,
        name: &str,
        manifest: impl Into<Manifest>,
        endpoints: &[Endpoint],
    ) -> Result<(AppId, u32), Error> {
        let (name, manifest, endpoints) = (name.to_owned(), manifest.into(), endpoints.to_vec());
        let sealer = self.sealer();
        self.call(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let id = ensure_app(&transaction, &name)?;
            let version = add_version(&transaction, &id, &manifest, &sealer)?;
            replace_endpoints(&transaction, &id, &name, &endpoints)?;
            transaction.execute("UPDATE apps SET state = 'deployed' WHERE id = ?1", [id.as_str()])?;
            transaction.commit()?;
            Ok((id, version))
        })
    }

    /// The id of the app `name` and the number of its newest version (0 without one). An app that was never deployed
    /// gets the id that it will have; it is in no list before its first deploy.
    pub fn identity(&self, name: &str) -> Result<(AppId, u32), Error> {
        let name = name.to_owned();
        self.call(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let id = ensure_app(&transaction, &name)?;
            let newest = transaction.query_row(
                "SELECT coalesce(max(number), 0) FROM versions WHERE app_id = ?1",
                [id.as_str()],
                |row| row.get(0),
            )?;
            transaction.commit()?;
            Ok((id, newest))
        })
    }

    /// The deployed app of this name; `None` if there is none or it was stopped.
    pub fn current(&self, name: &str) -> Result<Option<Deployed>, Error> {
        let name = name.to_owned();
        let sealer = self.sealer();
        self.call(move |connection| Ok(read_deployed(connection, Some(&name), &sealer)?.pop()))
    }

    /// Remembers how a function of the deployed app `id` was scaled, until its next deployment.
    pub fn scale(&self, id: &AppId, function: &str, scaling: String) -> Result<(), Error> {
        let (id, function) = (id.clone(), function.to_owned());
        self.call(move |connection| {
            connection.execute(
                "UPDATE endpoints SET scaling = ?3 WHERE app_id = ?1 AND function = ?2",
                params![id.as_str(), function, scaling],
            )?;
            Ok(())
        })
    }

    /// Every deployed app, by name: what a server serves after its start.
    pub fn deployed(&self) -> Result<Vec<Deployed>, Error> {
        let sealer = self.sealer();
        self.call(move |connection| read_deployed(connection, None, &sealer))
    }

    /// Seals what a pilotlight that knew no sealing left in the clear: each version of which `holds_secrets` says that
    /// it does. Does nothing when that was done before. Nothing of the clear text stays in the file.
    pub fn seal_old(&self, holds_secrets: impl Fn(&str) -> bool + Send + 'static) -> Result<(), Error> {
        let sealer = self.sealer();
        self.call(move |connection| {
            let due = "SELECT EXISTS (SELECT 1 FROM chores WHERE name = 'seal')";
            if !connection.query_row(due, [], |row| row.get(0))? {
                return Ok(());
            }
            seal_clear(connection, &sealer, holds_secrets)?;
            // Pages that became free keep their bytes, and the log holds the pages as they were.
            connection.execute_batch("VACUUM")?;
            // Of a log that somebody reads (a copy being made) nothing is taken away: at the next start then.
            let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if !busy {
                connection.execute("DELETE FROM chores WHERE name = 'seal'", [])?;
            }
            Ok(())
        })
    }

    /// Every app, those that were stopped included, by name.
    pub fn list(&self) -> Result<Vec<App>, Error> {
        self.call(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, name, apps.state = 'deployed', number, apps.created_at
                 FROM apps JOIN versions ON app_id = id AND versions.state = 'current' ORDER BY name",
            )?;
            let rows = statement.query_map([], |row| {
                let deployed: bool = row.get(2)?;
                Ok(App {
                    id: read_id(row, 0)?,
                    name: row.get(1)?,
                    state: if deployed { State::Deployed } else { State::Stopped },
                    version: row.get(3)?,
                    created_at: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Stops the deployed app of this name. Its labels become free; its versions and ports are kept.
    pub fn stop(&self, name: &str) -> Result<AppId, Error> {
        let name = name.to_owned();
        self.call(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let id = transaction
                .query_row("SELECT id FROM apps WHERE name = ?1 AND state = 'deployed'", [&name], |row| {
                    read_id(row, 0)
                })
                .optional()?
                .ok_or(Error::NotDeployed { name })?;
            transaction.execute("UPDATE apps SET state = 'stopped' WHERE id = ?1", [id.as_str()])?;
            transaction.execute("DELETE FROM endpoints WHERE app_id = ?1", [id.as_str()])?;
            transaction.commit()?;
            Ok(id)
        })
    }
}

/// The id of the app `name`; one that is new counts as stopped, and without a version it is in no list.
fn ensure_app(transaction: &Transaction<'_>, name: &str) -> Result<AppId, Error> {
    let found = transaction
        .query_row("SELECT id FROM apps WHERE name = ?1", [name], |row| read_id(row, 0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    // SQLite's generator is seeded by the system's; ids must differ, they need not be secret.
    let entropy: [u8; 16] = transaction.query_row("SELECT randomblob(16)", [], |row| row.get(0))?;
    let id = AppId::from_entropy(u128::from_ne_bytes(entropy));
    transaction.execute(
        "INSERT INTO apps (id, name, state, created_at) VALUES (?1, ?2, 'stopped', ?3)",
        params![id.as_str(), name, now()],
    )?;
    Ok(id)
}

fn add_version(
    transaction: &Transaction<'_>,
    id: &AppId,
    manifest: &Manifest,
    sealer: &Sealer,
) -> Result<u32, Error> {
    transaction.execute(
        "UPDATE versions SET state = 'past' WHERE app_id = ?1 AND state = 'current'",
        [id.as_str()],
    )?;
    let number: u32 = transaction.query_row(
        "SELECT 1 + coalesce(max(number), 0) FROM versions WHERE app_id = ?1",
        [id.as_str()],
        |row| row.get(0),
    )?;
    let owner = Owner { app: id.as_str(), version: number };
    let sealed = manifest.secret.then(|| sealer.seal(owner, &manifest.text)).transpose()?;
    let clear = if manifest.secret { "" } else { &manifest.text };
    transaction.execute(
        "INSERT INTO versions (app_id, number, manifest, sealed, state, created_at)
         VALUES (?1, ?2, ?3, ?4, 'current', ?5)",
        params![id.as_str(), number, clear, sealed, now()],
    )?;
    transaction.execute(
        "DELETE FROM versions WHERE app_id = ?1 AND number <= ?2 - ?3",
        params![id.as_str(), number, VERSIONS_MAX],
    )?;
    Ok(number)
}

/// Seals the versions that hold secrets, all or none.
fn seal_clear(
    connection: &mut Connection,
    sealer: &Sealer,
    holds_secrets: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut statement =
        transaction.prepare("SELECT app_id, number, manifest FROM versions WHERE sealed IS NULL")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for row in rows.collect::<Result<Vec<(String, u32, String)>, _>>()? {
        let (app, version, manifest) = row;
        if holds_secrets(&manifest) {
            let sealed = sealer.seal(Owner { app: &app, version }, &manifest)?;
            transaction.execute(
                "UPDATE versions SET manifest = '', sealed = ?3 WHERE app_id = ?1 AND number = ?2",
                params![app, version, sealed],
            )?;
        }
    }
    drop(statement);
    Ok(transaction.commit()?)
}

fn replace_endpoints(
    transaction: &Transaction<'_>,
    id: &AppId,
    name: &str,
    endpoints: &[Endpoint],
) -> Result<(), Error> {
    transaction.execute("DELETE FROM endpoints WHERE app_id = ?1", [id.as_str()])?;
    for Endpoint { function, label, port, scaling } in endpoints {
        let holder: Option<String> = transaction
            .query_row(
                "SELECT name FROM endpoints JOIN apps ON id = app_id WHERE label = ?1",
                [label],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(app) = holder {
            return Err(Error::LabelTaken { label: label.clone(), app });
        }
        if crate::ports::keep(transaction, name, function, *port)? != Some(*port) {
            return Err(Error::PortMismatch {
                port: *port,
                app: name.to_owned(),
                function: function.clone(),
            });
        }
        transaction.execute(
            "INSERT INTO endpoints (app_id, function, label, port, scaling) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![id.as_str(), function, label, port, scaling],
        )?;
    }
    Ok(())
}

fn read_deployed(
    connection: &Connection,
    name: Option<&str>,
    sealer: &Sealer,
) -> Result<Vec<Deployed>, Error> {
    // One transaction, so that versions and endpoints belong together even if another process writes.
    let transaction = connection.unchecked_transaction()?;
    let mut statement = transaction.prepare_cached(
        "SELECT id, name, number, manifest, apps.created_at, sealed
         FROM apps JOIN versions ON app_id = id AND versions.state = 'current'
         WHERE apps.state = 'deployed' AND (?1 IS NULL OR name = ?1) ORDER BY name",
    )?;
    let rows = statement.query_map([name], |row| {
        let (id, version) = (read_id(row, 0)?, row.get(2)?);
        let owner = Owner { app: id.as_str(), version };
        let sealed: Option<Vec<u8>> = row.get(5)?;
        let manifest = match &sealed {
            None => Ok(row.get(3)?),
            Some(sealed) => sealer.open(owner, sealed),
        };
        Ok(Deployed {
            manifest: manifest.map(|text| Manifest { text, secret: sealed.is_some() }),
            id,
            name: row.get(1)?,
            version,
            endpoints: Vec::new(),
            created_at: row.get(4)?,
        })
    })?;
    let mut apps = rows.collect::<Result<Vec<_>, _>>()?;
    let mut statement = transaction.prepare_cached(
        "SELECT function, label, port, scaling FROM endpoints WHERE app_id = ?1 ORDER BY function",
    )?;
    for app in &mut apps {
        let rows = statement.query_map([app.id.as_str()], |row| {
            let (function, label, port) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Endpoint { function, label, port, scaling: row.get(3)? })
        })?;
        app.endpoints = rows.collect::<Result<_, _>>()?;
    }
    Ok(apps)
}

fn read_id(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<AppId> {
    let text: String = row.get(column)?;
    AppId::parse(&text).ok_or_else(|| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, format!("`{text}` is no app id").into())
    })
}

/// Seconds since the epoch.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
