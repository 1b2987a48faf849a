//! Bad input to the core, without sockets: it is refused or counted, while the call beside it goes on.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test's own steps may fail loudly

#[path = "bad_input/bounds.rs"]
mod bounds;
mod call;
#[path = "bad_input/data.rs"]
mod data;
#[path = "bad_input/datagrams.rs"]
mod datagrams;
#[path = "bad_input/descriptions.rs"]
mod descriptions;
#[path = "bad_input/profile.rs"]
mod profile;
#[path = "bad_input/repair.rs"]
mod repair;
#[path = "bad_input/server_bounds.rs"]
mod server_bounds;
#[path = "bad_input/silence.rs"]
mod silence;
#[path = "bad_input/storms.rs"]
mod storms;
#[path = "bad_input/stun.rs"]
mod stun;
#[path = "bad_input/whip.rs"]
mod whip;

use std::time::Duration;

use call::Call;
use konsil::model::grants::Grants;
use konsil::model::record::Written;
use konsil::model::time::Moment;
use konsil::node::control::{Control, ControlInput, ControlOutput};
use konsil::node::request::Connect;
use konsil::room::command::Layout;

fn counted(call: &Call) -> std::collections::BTreeMap<&'static str, u64> {
    let mut stats = call.worker.stats().clone();
    stats.merge(&call.worker.relay_stats());
    stats.dropped_datagrams
}

/// Datagrams that the worker dropped, for whatever reason.
fn dropped(call: &Call) -> u64 {
    counted(call).values().sum()
}

/// Those for one reason.
fn dropped_as(call: &Call, reason: &str) -> u64 {
    counted(call).get(reason).copied().unwrap_or(0)
}

/// One guest speaks for 200 ms, and the other hears every packet.
#[track_caller]
fn goes_on(call: &mut Call, speaker: usize, listener: usize) {
    let before = call.guests[listener].received;
    for _ in 0..10 {
        call.speak(speaker);
        call.run(Duration::from_millis(20));
    }
    assert_eq!(call.guests[listener].received - before, 10, "the call does not go on");
    assert_eq!(call.worker.stats().room_faults, 0);
}

/// How a guest comes who signals.
fn connect(grants: Grants) -> Box<Connect> {
    Box::new(Connect {
        grants,
        layout: Layout::Single,
        auto_subscribe: true,
        protocol: 16,
        resume: None,
        sync: None,
        add_tracks: Vec::new(),
        offer: None,
    })
}

/// What the core wants done, on a disk that writes at once.
fn written(control: &mut Control, input: ControlInput, now: Moment) -> Vec<ControlOutput> {
    control.handle(input, now);
    let mut outputs = Vec::new();
    while let Some(output) = control.poll() {
        match output {
            ControlOutput::Persist(ticket, _) => control.handle(ControlInput::Persisted(ticket, Written::Durably), now),
            other => outputs.push(other),
        }
    }
    outputs
}
