//! Serves the API on a Unix socket: who may connect, how many at a time, and a graceful end.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::control::Control;

pub(crate) mod body;
pub(crate) mod routes;

/// Connections at a time. A client uses one per request; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 512;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How long requests that are being answered may go on after shutdown began. Streams end with their senders.
const GRACE: Duration = Duration::from_secs(5);

/// How long a client may take to send a request's head.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// How long to wait when the system has no descriptors left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A server runs already.
    #[error("another server listens on {}", socket.display())]
    InUse {
        /// The socket.
        socket: PathBuf,
    },
    /// The path does not fit into a socket address (108 bytes, unix(7)).
    #[error("the socket path {} is too long: a Unix socket's path has at most 100 bytes here", socket.display())]
    PathTooLong {
        /// The socket.
        socket: PathBuf,
    },
    /// Something else stands at the path.
    #[error("{} exists and is not a socket: move it away", socket.display())]
    NotSocket {
        /// The path.
        socket: PathBuf,
    },
    /// The system refused.
    #[error("cannot make the socket {}", socket.display())]
    Io {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A bound socket. Dropping it removes the socket's file.
#[derive(Debug)]
pub struct Listener {
    inner: UnixListener,
    file: SocketFile,
    /// Who may give orders: the user who made the socket, and root.
    allowed: [u32; 2],
}

/// A socket that is made but not heard yet: whoever connects is refused.
#[derive(Debug)]
pub struct Reserved {
    socket: OwnedFd,
    file: SocketFile,
    allowed: [u32; 2],
}

impl Reserved {
    /// The ids of the users who may give orders.
    pub fn allowed(&self) -> [u32; 2] {
        self.allowed
    }

    /// Hears it from now on. Must be called within a tokio runtime.
    pub fn listen(self) -> std::io::Result<Listener> {
        rustix::net::listen(&self.socket, BACKLOG)?;
        let inner = UnixListener::from_std(self.socket.into())?;
        Ok(Listener { inner, file: self.file, allowed: self.allowed })
    }
}

/// The socket's file, and the lock that says whose it is: held as long as this server lives, freed by the kernel
/// however it ends.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    _lock: fs::File,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The lock is still held here, so the file is ours.
        _ = fs::remove_file(&self.path);
    }
}

impl Listener {
    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

/// Makes the socket, as [`reserve`] does, and hears it. Must be called within a tokio runtime.
pub fn bind(path: &Path) -> Result<Listener, BindError> {
    reserve(path)?.listen().map_err(|source| BindError::Io { socket: path.to_owned(), source })
}

/// Makes the socket with mode 0600, for the calling user and root, whoever the process becomes later. The socket of a
/// dead server is replaced, a live one refused.
///
/// Beside the socket stands `<path>.lock`, which stays: removing a lock file lets two processes hold "the" lock.
pub fn reserve(path: &Path) -> Result<Reserved, BindError> {
    let io = |source| BindError::Io { socket: path.to_owned(), source };
    if path.as_os_str().len() > 100 {
        return Err(BindError::PathTooLong { socket: path.to_owned() });
    }
    let lock_path = with_suffix(path, ".lock");
    let lock = fs::OpenOptions::new().create(true).append(true).open(lock_path).map_err(io)?;
    match lock.file().try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(BindError::InUse { socket: path.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
    }
    if let Ok(found) = fs::symlink_metadata(path) {
        use std::os::unix::fs::FileTypeExt as _;
        if !found.file_type().is_socket() {
            return Err(BindError::NotSocket { socket: path.to_owned() });
        }
        // Its lock file may have been deleted under a living server.
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(BindError::InUse { socket: path.to_owned() });
        }
    }
    // Bound under another name and moved into place: nobody ever finds the socket with the umask's mode.
    let new = with_suffix(path, ".new");
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(io(error));
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let socket = socket.map_err(|error| io(error.into()))?;
    let address = SocketAddrUnix::new(&new).map_err(|error| io(error.into()))?;
    rustix::net::bind(&socket, &address).map_err(|error| io(error.into()))?;
    fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
    fs::rename(&new, path).map_err(io)?;
    let allowed = [0, rustix::process::geteuid().as_raw()];
    Ok(Reserved { socket, file: SocketFile { path: path.to_owned(), _lock: lock }, allowed })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Serves until `shutdown` resolves. Then the socket's file goes at once, and requests that are being answered have
/// five seconds; what is left after that is cut off.
///
/// Fails when the listening socket itself is broken. A lack of descriptors or memory passes, and is waited for.
pub async fn serve(
    listener: Listener,
    control: Arc<dyn Control>,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let service = TowerToHyperService::new(routes::router(control));
    let mut connections = JoinSet::new();
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.inner.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                // The mode says it too; a descriptor of the directory, say, may have been handed on.
                Ok((stream, _)) if !is_allowed(&stream, listener.allowed) => drop(stream),
                Ok((stream, _)) => {
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_LIMIT)
                        .serve_connection(TokioIo::new(stream), service.clone());
                    let connection = graceful.watch(connection);
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a control connection broke");
                        }
                    });
                }
                Err(error) if is_broken(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a control connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::info!(left = connections.len(), "control connections are cut off");
    }
    Ok(())
}

fn is_allowed(stream: &UnixStream, allowed: [u32; 2]) -> bool {
    stream.peer_cred().is_ok_and(|peer| allowed.contains(&peer.uid()))
}

/// Whether `accept` failed because of the listening socket, and would fail for ever (accept(2)).
fn is_broken(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP)
    )
}
