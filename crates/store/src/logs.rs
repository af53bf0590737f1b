//! Logs of apps: one JSON line per record, in append-only files that are rotated at a size.
//!
//! An app's newest records are in `<app>.jsonl`, older ones in `<app>.1.jsonl` to `<app>.3.jsonl`. A record is handed
//! to the kernel in one write before `append` returns, so that `kill -9` loses none; a power cut may.

use std::collections::HashMap;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;

/// A file that has reached this size is rotated, bytes.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Files per app, the newest included.
const FILES_MAX: usize = 4;

/// How much of a file is read at a time from its end, bytes.
const BLOCK_BYTES: u64 = 64 * 1024;

/// Files that are held open: with more, those not in use right now are closed.
const OPEN_MAX: usize = 256;

/// Why a log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name cannot be part of a file name.
    #[error("`{app}` is no app id")]
    BadId {
        /// What was given.
        app: String,
    },
    /// A record is one line.
    #[error("a log record of the app {app} has more than one line")]
    NotOneLine {
        /// The app.
        app: String,
    },
    /// The disk refused. The message names the file.
    #[error("the log failed")]
    Io(#[from] std::io::Error),
}

/// The logs of all apps, in one directory. Share it in an `Arc`.
#[derive(Debug)]
pub struct Logs {
    directory: PathBuf,
    file_bytes_max: u64,
    open: Mutex<HashMap<String, Arc<Mutex<Open>>>>,
}

/// The newest file of an app.
#[derive(Debug)]
struct Open {
    file: fs::File,
    bytes: u64,
}

impl Logs {
    /// Logs in `directory`, which is made if there is none (mode 0700).
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::with_file_size(directory, FILE_BYTES_MAX)
    }

    /// As [`new`](Self::new), with another size for rotation, bytes.
    pub fn with_file_size(directory: impl Into<PathBuf>, file_bytes_max: u64) -> Result<Self, Error> {
        let directory = directory.into();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(|error| {
            std::io::Error::new(error.kind(), format!("cannot make {}: {error}", directory.display()))
        })?;
        Ok(Self { directory, file_bytes_max, open: Mutex::default() })
    }

    /// Adds a record, one line of JSON without its end, to the log of `app`.
    pub fn append(&self, app: &str, record: &str) -> Result<(), Error> {
        check_id(app)?;
        if record.contains('\n') {
            return Err(Error::NotOneLine { app: app.to_owned() });
        }
        let open = self.open_file(app)?;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.bytes >= self.file_bytes_max {
            self.rotate(app)?;
            *open = Open::at(&self.path(app, 0))?;
        }
        let mut line = Vec::with_capacity(record.len() + 1);
        line.extend_from_slice(record.as_bytes());
        line.push(b'\n');
        open.file.write_all(&line)?;
        open.bytes += line.len() as u64;
        Ok(())
    }

    /// The last `count` records of `app`, oldest first; none if it never logged. After a crash of the machine a
    /// record may be torn: do not insist that each is JSON.
    pub fn tail(&self, app: &str, count: usize) -> Result<Vec<String>, Error> {
        check_id(app)?;
        let mut newest_first: Vec<String> = Vec::new();
        for mut file in self.snapshot(app)? {
            if newest_first.len() >= count {
                break;
            }
            let missing = count - newest_first.len();
            let text = read_end(&mut file, missing)?;
            let text = String::from_utf8_lossy(&text);
            // Text behind the last line feed is a record that is being written.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            newest_first
                .extend(whole.rsplit('\n').filter(|line| !line.is_empty()).take(missing).map(str::to_owned));
        }
        newest_first.reverse();
        Ok(newest_first)
    }

    /// The files of `app`, newest first, opened together: a rotation meanwhile moves none of them.
    fn snapshot(&self, app: &str) -> Result<Vec<fs::File>, Error> {
        let known = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(app).map(Arc::clone);
        let _still = known.as_ref().map(|open| open.lock().unwrap_or_else(PoisonError::into_inner));
        let mut files = Vec::new();
        for age in 0..FILES_MAX {
            match fs::File::open(self.path(app, age)) {
                Ok(file) => files.push(file),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(files)
    }

    fn open_file(&self, app: &str) -> Result<Arc<Mutex<Open>>, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(app) {
            return Ok(Arc::clone(file));
        }
        if open.len() >= OPEN_MAX {
            // Those in use right now stay: two handles on one file would count its size wrongly.
            open.retain(|_, file| Arc::strong_count(file) > 1);
        }
        let file = Arc::new(Mutex::new(Open::at(&self.path(app, 0))?));
        open.insert(app.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    /// Moves each file to the next age; the oldest goes.
    fn rotate(&self, app: &str) -> Result<(), Error> {
        for age in (0..FILES_MAX - 1).rev() {
            match fs::rename(self.path(app, age), self.path(app, age + 1)) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn path(&self, app: &str, age: usize) -> PathBuf {
        self.directory.join(if age == 0 { format!("{app}.jsonl") } else { format!("{app}.{age}.jsonl") })
    }
}

impl Open {
    fn at(path: &Path) -> Result<Self, Error> {
        let mut file = fs::OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
        let mut bytes = file.seek(SeekFrom::End(0))?;
        if bytes > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                // A record torn by a crash: it ends here, so that it does not spoil the next one.
                file.write_all(b"\n")?;
                bytes += 1;
            }
        }
        Ok(Self { file, bytes })
    }
}

/// The end of the file with at least `count` whole lines, or all of it.
fn read_end(file: &mut fs::File, count: usize) -> Result<Vec<u8>, Error> {
    let mut start = file.seek(SeekFrom::End(0))?;
    let mut end: Vec<u8> = Vec::new();
    let mut line_feeds = 0;
    // One line feed more than lines: the one before the first line.
    while start > 0 && line_feeds <= count {
        let size = BLOCK_BYTES.min(start);
        start -= size;
        file.seek(SeekFrom::Start(start))?;
        let mut block = vec![0; usize::try_from(size).expect("a block fits into memory")];
        file.read_exact(&mut block)?;
        line_feeds += block.split(|byte| *byte == b'\n').count() - 1;
        block.extend_from_slice(&end);
        end = block;
    }
    Ok(end)
}

/// App ids are lower-case letters, digits and `-`; nothing else becomes part of a path.
fn check_id(app: &str) -> Result<(), Error> {
    let letters = app.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if letters && !app.is_empty() && app.len() <= 64 {
        Ok(())
    } else {
        Err(Error::BadId { app: app.to_owned() })
    }
}
