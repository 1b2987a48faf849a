//! Sleeping until a socket, another thread or a deadline has something to do.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

use super::UdpSocket;

/// How many sockets one thread can wait for: one for each listen address.
pub const MAX_PORTS: usize = 16;

/// The longest sleep, so that a timeout always fits the kernel's clock types.
const LONGEST: Duration = Duration::from_hours(24);

/// The thread works and will look at its queues before it sleeps.
const AWAKE: u8 = 0;
/// The thread sleeps or is about to.
const ASLEEP: u8 = 1;
/// Somebody left work; the thread knows or will know from the event descriptor.
const CALLED: u8 = 2;

#[derive(Debug)]
struct Bell {
    state: AtomicU8,
    event: EventFd,
}

/// Wakes one thread from any other; clones wake the same thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<Bell>);

/// The sleeping side of a [`Waker`]; there is one for each thread.
#[derive(Debug)]
pub struct Sleeper(Arc<Bell>);

/// Why a sleep ended; nothing is set where it was the deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// A waker was used since the last wait.
    pub woken: bool,
    readable: u32,
    writable: u32,
}

impl Ready {
    /// Whether the socket at `index` of the waited-for slice has datagrams.
    pub fn readable(&self, index: usize) -> bool {
        index < MAX_PORTS && self.readable & (1 << index) != 0
    }

    /// Whether the socket at `index` had datagrams left over and takes more now.
    pub fn writable(&self, index: usize) -> bool {
        index < MAX_PORTS && self.writable & (1 << index) != 0
    }
}

/// A sleeper with its first waker.
///
/// # Errors
///
/// Whatever the kernel answers to `eventfd`: usually that there are too many descriptors.
pub fn sleeper() -> io::Result<(Sleeper, Waker)> {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let bell = Arc::new(Bell { state: AtomicU8::new(AWAKE), event });
    Ok((Sleeper(bell.clone()), Waker(bell)))
}

impl Waker {
    /// Makes the current or the next [`Sleeper::wait`] return. To be called after the work was
    /// put where the thread looks. Costs a system call only where the thread sleeps.
    pub fn wake(&self) {
        if self.0.state.swap(CALLED, Ordering::AcqRel) == ASLEEP {
            // It can only fail where the counter is full, and then the thread is woken anyway.
            let _ = self.0.event.write(1);
        }
    }
}

impl Sleeper {
    /// Sleeps until one of `sockets` can be read (or written, where something is queued), a waker
    /// is used, or `timeout` has passed; `None` is no deadline, zero only looks.
    ///
    /// The thread must look at its queues after each return: wakes during the work that follows
    /// are answered by the next wait at once.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for more than [`MAX_PORTS`] sockets, else what the kernel answers to `ppoll`.
    pub fn wait(&self, sockets: &[UdpSocket], timeout: Option<Duration>) -> io::Result<Ready> {
        self.wait_with(sockets, None, timeout)
    }

    /// As [`Self::wait`], until `other` can be read as well.
    ///
    /// # Errors
    ///
    /// As [`Self::wait`].
    pub fn wait_with(&self, sockets: &[UdpSocket], other: Option<BorrowedFd<'_>>, timeout: Option<Duration>) -> io::Result<Ready> {
        if sockets.len() > MAX_PORTS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many UDP ports"));
        }
        // An unused place repeats the event descriptor; only the first of them is polled.
        let mut polled: [PollFd<'_>; MAX_PORTS + 2] = std::array::from_fn(|index| match sockets.get(index) {
            Some(socket) if socket.queued() > 0 => PollFd::new(socket.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT),
            Some(socket) => PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            None => {
                let other = other.filter(|_| index == sockets.len() + 1);
                PollFd::new(other.unwrap_or(self.0.event.as_fd()), PollFlags::POLLIN)
            }
        });
        let polled = &mut polled[..sockets.len() + 1 + usize::from(other.is_some())];
        let called = self.0.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_err();
        let timeout = if called { Some(Duration::ZERO) } else { timeout };
        let outcome = ppoll(polled, timeout.map(|timeout| TimeSpec::from_duration(timeout.min(LONGEST))), None);
        let mut ready = Ready::default();
        if matches!(outcome, Ok(count) if count > 0) {
            for (index, socket) in polled[..sockets.len()].iter().enumerate() {
                let events = socket.revents().unwrap_or(PollFlags::POLLIN);
                // An error condition must be read too, or the next wait would not sleep.
                ready.readable |= u32::from(events.intersects(PollFlags::POLLIN | PollFlags::POLLERR)) << index;
                ready.writable |= u32::from(events.contains(PollFlags::POLLOUT)) << index;
            }
            if polled[sockets.len()].any() != Some(false) {
                let _ = self.0.event.read();
            }
        }
        // After the descriptor was emptied, never before: else a wake in between would be lost.
        ready.woken = self.0.state.swap(AWAKE, Ordering::AcqRel) == CALLED;
        match outcome {
            Ok(_) | Err(Errno::EINTR) => Ok(ready),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Instant;

    use super::*;

    const FAR: Option<Duration> = Some(Duration::from_secs(20));

    #[test]
    fn a_wake_before_the_wait_is_not_lost_and_not_repeated() {
        let (sleeper, waker) = sleeper().unwrap();
        waker.wake();
        waker.clone().wake();
        assert!(sleeper.wait(&[], FAR).unwrap().woken);
        assert_eq!(sleeper.wait(&[], Some(Duration::ZERO)).unwrap(), Ready::default());
    }

    #[test]
    fn a_deadline_below_a_millisecond_is_kept() {
        let (sleeper, _waker) = sleeper().unwrap();
        let start = Instant::now();
        let timeout = Duration::from_micros(300);
        assert_eq!(sleeper.wait(&[], Some(timeout)).unwrap(), Ready::default());
        assert!(start.elapsed() >= timeout);
    }

    #[test]
    fn a_huge_deadline_is_cut_to_what_the_kernel_takes() {
        let (sleeper, waker) = sleeper().unwrap();
        waker.wake();
        assert!(sleeper.wait(&[], Some(Duration::MAX)).unwrap().woken);
    }

    #[test]
    fn no_wake_is_lost_between_threads() {
        const EACH: usize = 20_000;
        const THREADS: usize = 3;
        let (sleeper, waker) = sleeper().unwrap();
        let work = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                let (waker, work) = (waker.clone(), &work);
                scope.spawn(move || {
                    for _ in 0..EACH {
                        work.fetch_add(1, Ordering::Relaxed);
                        waker.wake();
                    }
                });
            }
            let mut seen = 0;
            while seen < EACH * THREADS {
                // Without a socket only a wake or the far deadline ends the wait.
                assert!(sleeper.wait(&[], FAR).unwrap().woken, "a wake was lost at {seen}");
                seen = work.load(Ordering::Relaxed);
            }
        });
    }
}
