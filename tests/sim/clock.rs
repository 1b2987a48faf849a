//! Replaces libc's clock, so that no library under test can tell how much real time a run takes.
#![allow(unsafe_code, reason = "the only way to take over symbols of libc; this is a test binary")]

use std::cell::Cell;

use nix::libc;

thread_local! {
    static STOPPED: Cell<bool> = const { Cell::new(false) };
}

/// What a stopped clock shows, in seconds.
const SHOWN: libc::time_t = 1_700_000_000;

/// Stops the clock for this thread: a run has only the time that it makes itself.
pub fn stop() {
    STOPPED.set(true);
}

/// Stands in for `clock_gettime(2)`, which is behind std's clocks.
///
/// # Safety
/// `out` must be writable, as for the function that this replaces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, out: *mut libc::timespec) -> libc::c_int {
    if STOPPED.get() {
        // SAFETY: the caller promises that `out` may be written.
        unsafe { out.write(libc::timespec { tv_sec: SHOWN, tv_nsec: 0 }) };
        return 0;
    }
    // SAFETY: the same promise; the kernel checks the rest.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, out) };
    libc::c_int::try_from(result).unwrap_or(-1)
}
