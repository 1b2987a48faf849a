//! Runs of seeds: each in a thread of its own, as many at a time as the machine has cores.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::clock;

/// A run with its own clock, in a fresh thread, so that it finds the randomness of one.
pub fn alone<R: Send>(seed: u64, run: impl FnOnce() -> R + Send) -> R {
    let begin = move || {
        clock::stop();
        str0m::crypto::from_feature_flags().install_process_default();
        fastrand::seed(seed);
        run()
    };
    let again = |_| panic!("seed {seed} panicked; replay with: SEEDS={seed} cargo test --test sim");
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(format!("seed-{seed}"));
        thread.spawn_scoped(scope, begin).expect("a thread").join().unwrap_or_else(again)
    })
}

/// Does all jobs and returns what came of them, in no order.
pub fn each<J: Send, R: Send>(jobs: impl IntoIterator<Item = J>, run: impl Fn(J) -> R + Sync) -> Vec<R> {
    let queue: Mutex<VecDeque<J>> = Mutex::new(jobs.into_iter().collect());
    let done: Mutex<Vec<R>> = Mutex::default();
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || {
        while let Some(job) = next() {
            let result = run(job);
            done.lock().unwrap_or_else(PoisonError::into_inner).push(result);
        }
    };
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}
