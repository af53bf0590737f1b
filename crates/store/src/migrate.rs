//! The database's format: a list of migrations, counted in SQLite's `user_version`.
//!
//! A released migration is never edited; a change is a new one at the end. Each runs in one transaction with its own
//! count, so that a crash leaves the format before it or after it and nothing between.

use rusqlite::{Connection, TransactionBehavior};

/// What the database is made of, step by step.
pub(crate) const MIGRATIONS: &[&str] = &[APPS, ENDPOINTS, SEALED, LABELS, SCALED];

const APPS: &str = "
CREATE TABLE apps (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    state      TEXT NOT NULL CHECK (state IN ('deployed', 'stopped')),
    created_at REAL NOT NULL
) STRICT;
CREATE TABLE versions (
    app_id     TEXT NOT NULL REFERENCES apps (id),
    number     INTEGER NOT NULL CHECK (number > 0),
    manifest   TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('current', 'past')),
    created_at REAL NOT NULL,
    PRIMARY KEY (app_id, number)
) STRICT;
CREATE UNIQUE INDEX versions_current ON versions (app_id) WHERE state = 'current';
";

// A port belongs to a function's name for good: it is claimed before the first deploy, when there is no app yet, and
// outlives a function that a version leaves out. An endpoint is what the current version of a deployed app has.
const ENDPOINTS: &str = "
CREATE TABLE ports (
    app      TEXT NOT NULL,
    function TEXT NOT NULL,
    port     INTEGER NOT NULL UNIQUE CHECK (port BETWEEN 1 AND 65535),
    PRIMARY KEY (app, function)
) STRICT;
CREATE TABLE endpoints (
    app_id   TEXT NOT NULL REFERENCES apps (id),
    function TEXT NOT NULL,
    label    TEXT NOT NULL UNIQUE,
    port     INTEGER NOT NULL UNIQUE REFERENCES ports (port),
    PRIMARY KEY (app_id, function)
) STRICT;
";

// A manifest that holds secrets is in `sealed` and leaves an empty text. Older versions are all in the clear, and which
// of them hold secrets this room cannot tell: the chore is done by `Store::seal_old`.
const SEALED: &str = "
ALTER TABLE versions ADD COLUMN sealed BLOB;
CREATE TABLE chores (
    name TEXT PRIMARY KEY
) STRICT;
INSERT INTO chores (name) SELECT 'seal' WHERE EXISTS (SELECT 1 FROM versions);
";

// What stood for a label was the whole host.
const LABELS: &str = "
UPDATE endpoints SET label = substr(label, 1, length(label) - length('.localhost')) WHERE label LIKE '%.localhost';
";

// How an endpoint was scaled since it was deployed; what the text means is its writer's affair.
const SCALED: &str = "
ALTER TABLE endpoints ADD COLUMN scaling TEXT;
";

/// Why the format could not be brought up to date.
#[derive(Debug)]
pub(crate) enum Error {
    /// A newer pilotlight wrote it.
    TooNew { found: u32, known: u32 },
    /// SQLite refused.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Runs the migrations that the database has not seen.
pub(crate) fn run(connection: &mut Connection, migrations: &[&str]) -> Result<(), Error> {
    let known = u32::try_from(migrations.len()).expect("the list is short");
    loop {
        // Immediate, and the count read within: two processes that open at once take turns.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > known {
            return Err(Error::TooNew { found, known });
        }
        let Some(migration) = migrations.get(found as usize) else {
            return Ok(());
        };
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", found + 1)?;
        transaction.commit()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> u32 {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    fn schema(connection: &Connection) -> Vec<String> {
        let mut statement =
            connection.prepare("SELECT sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY 1").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn every_older_format_becomes_the_newest() {
        let mut fresh = Connection::open_in_memory().unwrap();
        run(&mut fresh, MIGRATIONS).unwrap();
        for older in 0..=MIGRATIONS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            run(&mut connection, &MIGRATIONS[..older]).unwrap();
            run(&mut connection, MIGRATIONS).unwrap();
            assert_eq!(version(&connection) as usize, MIGRATIONS.len());
            assert_eq!(schema(&connection), schema(&fresh));
        }
    }

    #[test]
    fn what_an_older_format_holds_is_kept() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection, &MIGRATIONS[..1]).unwrap();
        let rows = "INSERT INTO apps VALUES ('ap-a', 'hello', 'deployed', 1.5);
                    INSERT INTO versions VALUES ('ap-a', 7, 'text', 'current', 2.5);";
        connection.execute_batch(rows).unwrap();
        run(&mut connection, MIGRATIONS).unwrap();
        let query = "SELECT name, number FROM apps JOIN versions ON app_id = id";
        let kept: (String, u32) =
            connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(kept, ("hello".to_owned(), 7));
    }

    #[test]
    fn a_label_that_was_stored_with_its_domain_loses_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection, &MIGRATIONS[..3]).unwrap();
        let rows = "INSERT INTO apps VALUES ('ap-a', 'hello', 'deployed', 1.5);
                    INSERT INTO ports VALUES ('hello', 'f', 8500);
                    INSERT INTO endpoints VALUES ('ap-a', 'f', 'local--hello-f.localhost', 8500);";
        connection.execute_batch(rows).unwrap();
        run(&mut connection, MIGRATIONS).unwrap();
        let label: String =
            connection.query_row("SELECT label FROM endpoints", [], |row| row.get(0)).unwrap();
        assert_eq!(label, "local--hello-f");
    }

    #[test]
    fn a_failing_migration_leaves_the_format_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let bad = ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"];
        assert!(matches!(run(&mut connection, &bad), Err(Error::Sqlite(_))));
        assert_eq!(version(&connection), 1);
        assert_eq!(schema(&connection), ["CREATE TABLE a (x)"]);
    }

    #[test]
    fn a_newer_format_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(run(&mut connection, MIGRATIONS), Err(Error::TooNew { found: 99, known: 5 })));
    }
}
