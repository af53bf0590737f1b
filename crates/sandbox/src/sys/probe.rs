//! What the kernel has, by asking it.

/// The version of Landlock; none where it is not built in or not active. <https://docs.kernel.org/userspace-api/landlock.html>
pub(crate) fn landlock_version() -> Option<u32> {
    /// From `<linux/landlock.h>`; not in `libc`.
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    // JUSTIFICATION: no safe wrapper exists.
    // SAFETY: with this flag the kernel takes a null pointer and a size of zero, reads nothing and makes nothing.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(version).ok()
}
