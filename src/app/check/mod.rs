//! `konsil check`: walks the ladder from the name to relayed packets, as a client would.

pub mod certificate;
mod dial;
mod fault;
mod ladder;
mod media;
mod packets;
pub mod plan;
mod relay;
pub mod report;
mod session;
pub mod target;
mod web;

use std::time::Duration;

use anyhow::Context as _;

use plan::{Asked, Plan};
use report::Report;

/// How long what is still under way at the end, such as a slow name server, may hold up the process.
const FAREWELL: Duration = Duration::from_millis(100);

/// Runs the check; `begin` hears the name of each step that begins.
///
/// # Errors
/// If the URL is none, if the state folder cannot be read, or if the system gives no runtime.
pub fn check(asked: Asked, begin: &mut dyn FnMut(&'static str)) -> anyhow::Result<Report> {
    let task = match plan::plan(asked)? {
        Plan::Check(task) => task,
        Plan::Over(report) => return Ok(report),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the async runtime")?;
    let report = runtime.block_on(ladder::climb(*task, begin));
    runtime.shutdown_timeout(FAREWELL);
    Ok(report)
}
