//! Logs that say what happened, even in a panic, never to whom.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Level, Log};

/// Starts logging to standard error. Only Konsil's own events are written: libraries log addresses, SDP and keys.
pub fn start(log: &Log) {
    let level = match log.level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
    };
    let registry = tracing_subscriber::registry().with(Targets::new().with_target("konsil", level));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first one's subscriber.
    let _ = if log.json { registry.with(layer.json()).try_init() } else { registry.with(layer).try_init() };
    std::panic::set_hook(Box::new(|panic| {
        // The message may quote what a client sent; the place is enough to find the fault.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a fault of ours");
    }));
}
