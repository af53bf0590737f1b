//! Starting the command: a fork of pid 1 with the given files at 1 to 5, then an exec.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;

use crate::error::Doing;
use crate::message::Given;
use crate::sys::process::Forked;
use crate::{Command, Failure, sys};

/// Above every number that a command's files are put at.
const FIRST_FREE: RawFd = 10;

/// Starts the command and waits until its exec is done or refused. `fds`: stdout, stderr, then those `given`.
pub(crate) fn spawn(command: &Command, given: Given, fds: Vec<OwnedFd>) -> Result<i32, Failure> {
    let files = arrange(given, &fds).doing("arrange the command's files")?;
    // Closed by a successful exec; otherwise it brings the error number.
    let (report, end) = report_pipe().doing("make a pipe")?;
    let pid = match sys::process::fork().doing("fork the command")? {
        Forked::Child => {
            let error = become_command(command, &files);
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            let _ = rustix::io::write(&end, &errno.to_ne_bytes());
            sys::process::exit_now(127)
        }
        Forked::Parent { pid, .. } => pid,
    };
    drop((end, files, fds));
    let mut errno = [0; 4];
    match rustix::io::retry_on_intr(|| rustix::io::read(&report, &mut errno)).doing("wait for the exec")? {
        0 => Ok(pid),
        _ => Err(Failure::Exec {
            program: command.argv.first().cloned().unwrap_or_default(),
            errno: i32::from_ne_bytes(errno),
        }),
    }
}

/// A pipe whose write end is out of the way of the command's files.
fn report_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (report, end) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Ok((report, up(end.as_fd())?))
}

/// The files by the number they go to, all moved out of the way of those numbers.
fn arrange(given: Given, fds: &[OwnedFd]) -> io::Result<Vec<(RawFd, Option<OwnedFd>)>> {
    let mut fds = fds.iter();
    let mut next =
        || fds.next().map_or(Err(io::ErrorKind::InvalidInput.into()), |fd| up(fd.as_fd()).map(Some));
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut files = vec![(0, Some(up(null.as_fd())?)), (1, next()?), (2, next()?)];
    // In the order in which they were sent: a missing one takes no place.
    for (number, wanted) in [(3, given.control), (4, given.listener), (5, given.orders)] {
        files.push((number, if wanted { next()? } else { None }));
    }
    Ok(files)
}

fn up(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, FIRST_FREE)?)
}

/// In the child: returns only if the exec fails.
fn become_command(command: &Command, files: &[(RawFd, Option<OwnedFd>)]) -> io::Error {
    let prepared = files.iter().try_for_each(|(number, file)| {
        if let Some(file) = file {
            return sys::fd::install(file.as_fd(), *number);
        }
        sys::fd::close(*number);
        Ok(())
    });
    let prepared = prepared.and_then(|()| sys::fd::close_on_exec_from(6));
    if let Err(error) = prepared {
        return error;
    }
    // A session of its own: nothing that is sent to a group of pid 1 arrives here.
    let _ = rustix::process::setsid();
    let Some((program, arguments)) = command.argv.split_first() else {
        return io::ErrorKind::InvalidInput.into();
    };
    // `exec` of std also looks the program up in the new PATH, unblocks all signals and resets SIGPIPE.
    process::Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&command.cwd)
        .exec()
}
