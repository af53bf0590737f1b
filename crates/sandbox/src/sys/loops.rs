//! Loop devices. loop(4)

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use fs_err as fs;

/// Of `<linux/loop.h>`; not in `libc`.
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
/// The device lets go of its file when nobody uses it any more, however that comes about.
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// How often another device is tried when somebody was faster.
const TRIES: usize = 64;

/// `struct loop_config` of `<linux/loop.h>`, with `struct loop_info64` inside.
#[repr(C)]
struct Config {
    file: u32,
    block_size: u32,
    numbers: [u64; 5],
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    names: [u8; 64 + 64 + 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// A device with `file` behind it, open, and its number: `/dev/loop<number>`. It is gone when nothing has it open or
/// mounted.
pub(crate) fn attach(file: BorrowedFd<'_>) -> io::Result<(OwnedFd, u32)> {
    let control = fs::OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    let config = Config {
        file: file.as_raw_fd().cast_unsigned(),
        block_size: 0,
        numbers: [0; 5],
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: LO_FLAGS_AUTOCLEAR,
        names: [0; 160],
        init: [0; 2],
        reserved: [0; 8],
    };
    for _ in 0..TRIES {
        // JUSTIFICATION: no safe wrapper exists.
        // SAFETY: takes no argument and touches no memory.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        let Ok(number) = u32::try_from(number) else { return Err(io::Error::last_os_error()) };
        let device = fs::OpenOptions::new().read(true).write(true).open(format!("/dev/loop{number}"))?;
        // JUSTIFICATION: no safe wrapper exists.
        // SAFETY: the kernel reads a `struct loop_config`, which `config` is and outlives the call as.
        if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) } == 0 {
            return Ok((device.into_file().into(), number));
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EBUSY) {
            return Err(error);
        }
    }
    Err(io::Error::from(io::ErrorKind::ResourceBusy))
}
