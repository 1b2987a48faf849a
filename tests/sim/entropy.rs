//! Replaces libc's sources of randomness, so that the keys of std's hash maps repeat from run to run.
#![allow(unsafe_code, reason = "the only way to take over symbols of libc; this is a test binary")]

use std::cell::Cell;

/// Where every thread's randomness starts: a run gets a fresh thread, so two runs draw the same.
const START: u64 = 0x9e37_79b9_7f4a_7c15;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(START) };
}

fn next_byte() -> u8 {
    // Knuth's MMIX generator; only its high bits are good enough to use.
    let state = STATE.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    STATE.set(state);
    state.to_be_bytes()[1]
}

/// Stands in for `getrandom(2)`.
///
/// # Safety
/// `buf` must be writable for `len` bytes, as for the function that this replaces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buf: *mut u8, len: usize, _flags: u32) -> isize {
    // SAFETY: the caller promises that `buf` has room for `len` bytes.
    unsafe { std::slice::from_raw_parts_mut(buf, len) }.fill_with(next_byte);
    isize::try_from(len).unwrap_or(isize::MAX)
}

/// Stands in for `getentropy(3)`.
///
/// # Safety
/// `buf` must be writable for `len` bytes, as for the function that this replaces.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getentropy(buf: *mut u8, len: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { std::slice::from_raw_parts_mut(buf, len) }.fill_with(next_byte);
    0
}
