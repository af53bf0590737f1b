//! Ports: one per app and function, allocated once and kept over redeploys, stops and restarts.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::store::{Error, Store};

impl Store {
    /// The port of this function of the app `app` (its name); `None` if none was claimed yet.
    pub fn endpoint_port(&self, app: &str, function: &str) -> Result<Option<u16>, Error> {
        let (app, function) = (app.to_owned(), function.to_owned());
        self.call(move |connection| find(connection, &app, &function))
    }

    /// The port of this function of the app `app` (its name). Without one yet, the first of `candidates` that no
    /// function has becomes its port for good; the app need not be deployed.
    ///
    /// `candidates` is walked on the store's thread, lazily: filter it by what can be bound on this machine, and keep
    /// that filter quick.
    pub fn claim_port<I>(&self, app: &str, function: &str, candidates: I) -> Result<u16, Error>
    where
        I: IntoIterator<Item = u16> + Send + 'static,
    {
        let (app, function) = (app.to_owned(), function.to_owned());
        self.call(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if let Some(port) = find(&transaction, &app, &function)? {
                return Ok(port);
            }
            for candidate in candidates {
                if let Some(port) = keep(&transaction, &app, &function, candidate)? {
                    transaction.commit()?;
                    return Ok(port);
                }
            }
            Err(Error::NoPort { app, function })
        })
    }
}

/// The port that the function has; without one, `port` if nobody has it. `None` if somebody has.
pub(crate) fn keep(
    connection: &Connection,
    app: &str,
    function: &str,
    port: u16,
) -> Result<Option<u16>, Error> {
    if let Some(kept) = find(connection, app, function)? {
        return Ok(Some(kept));
    }
    let inserted = connection.execute(
        "INSERT INTO ports (app, function, port) VALUES (?1, ?2, ?3) ON CONFLICT (port) DO NOTHING",
        params![app, function, port],
    )?;
    Ok((inserted == 1).then_some(port))
}

fn find(connection: &Connection, app: &str, function: &str) -> Result<Option<u16>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT port FROM ports WHERE app = ?1 AND function = ?2")?;
    Ok(statement.query_row([app, function], |row| row.get(0)).optional()?)
}
