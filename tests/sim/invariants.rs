//! What must hold at every step, each with words for the case that it does not.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use konsil::model::ids::Sid;
use konsil::node::control::Control;
use konsil::node::worker::Worker;
use konsil::room::notice::{Description, Notice, ParticipantView};

use crate::client::{Client, Message, Receipt};
use crate::oracle::Oracle;
use crate::sink::Sink;
use crate::time::epoch;

/// How long an order may take from the control core to its worker.
pub const ORDER_TAKES: Duration = Duration::from_millis(10);

/// Holds, or the words for why not.
pub type Verdict = Result<(), String>;

fn must(holds: bool, words: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(words()) }
}

/// A client receives only what its own room publishes.
pub fn own_room(receiver: &Client, publisher: &Client) -> Verdict {
    must(receiver.plan.room == publisher.plan.room, || {
        format!("{:?} of room {} got media of room {}", receiver.id, receiver.plan.room, publisher.plan.room)
    })
}

/// A client receives only what grants, rules and wishes let it have, at some moment between sending and arrival.
pub fn permitted(oracle: &Oracle, receiver: &Client, track: &Sid, published: Duration) -> Verdict {
    let published = epoch() + published;
    let window = oracle.window(receiver.id, track);
    must(window.is_some_and(|window| window.open || published <= window.last + ORDER_TAKES), || {
        format!("{:?} got {track}, published {:?} after the start, but was allowed: {window:?}", receiver.id, published - epoch())
    })
}

/// A section carries the track that the client was told of, or none that it was told of since the packet was sent.
pub fn as_told(receiver: &Client, receipt: &Receipt, track: &Sid) -> Verdict {
    let Some(told) = &receipt.told else { return Ok(()) };
    let old = epoch() + receipt.seen.tag.at <= receipt.told_at + ORDER_TAKES;
    must(told == track || old, || format!("{:?} was told that section {} carries {told}, but got {track}", receiver.id, receipt.mid))
}

/// Numbers of one outgoing stream grow with those of its source, and leave no more gaps than the source has. What was `sent`
/// is no gap: it may have been of another layer, and lost.
pub fn numbers_continue(sink: &Sink, receipt: &Receipt, sent: impl Fn(u64) -> bool) -> Verdict {
    let (seq, tag) = (receipt.seen.seq, receipt.seen.tag);
    if let Some(same) = sink.seen.get(&seq) {
        let equal = same.tag == tag && same.timestamp == receipt.seen.timestamp && same.picture == receipt.seen.picture;
        return must(equal, || format!("number {seq} of {:?} came with different content: {same:?} and {:?}", receipt.ssrc, receipt.seen));
    }
    let before = sink.seen.range(..seq).next_back().filter(|(_, seen)| seen.tag.stream() == tag.stream());
    let after = sink.seen.range(seq + 1..).next().filter(|(_, seen)| seen.tag.stream() == tag.stream());
    let gaps = |low: u64, high: u64| (low + 1..high).filter(|number| !sent(*number)).count() as u64;
    let fits = |low: (u64, u64), high: (u64, u64)| high.1 > low.1 && gaps(low.0, high.0) < high.1 - low.1;
    let own = (seq, tag.seq);
    must(before.is_none_or(|(number, seen)| fits((*number, seen.tag.seq), own)), || {
        format!("{:?}: number {seq} is source number {} after {before:?}", receipt.ssrc, tag.seq)
    })?;
    must(after.is_none_or(|(number, seen)| fits(own, (*number, seen.tag.seq))), || {
        format!("{:?}: number {seq} is source number {} before {after:?}", receipt.ssrc, tag.seq)
    })
}

/// Timestamps of one outgoing stream never run back.
pub fn timestamps_grow(sink: &Sink, receipt: &Receipt) -> Verdict {
    let seen = &receipt.seen;
    let before = sink.seen.range(..seen.seq).next_back();
    must(before.is_none_or(|(_, before)| seen.timestamp.wrapping_sub(before.timestamp) < 1 << 31), || {
        format!("{:?}: {seen:?} has an earlier timestamp than {before:?}", receipt.ssrc)
    })
}

/// Picture ids go on over every switch: the same for packets of one picture, larger for later ones.
pub fn pictures_follow(sink: &Sink, receipt: &Receipt) -> Verdict {
    let seen = &receipt.seen;
    let (Some(id), Some((_, before))) = (seen.picture, sink.seen.range(..seen.seq).next_back()) else { return Ok(()) };
    let Some(last) = before.picture else { return Ok(()) };
    let same = (before.tag.stream(), before.tag.frame) == (seen.tag.stream(), seen.tag.frame);
    let ahead = id.wrapping_sub(last) & 0x7fff;
    must(if same { ahead == 0 } else { (1..0x4000).contains(&ahead) }, || {
        format!("{:?}: picture {id} of {:?} follows picture {last} of {:?}", receipt.ssrc, seen.tag, before.tag)
    })
}

/// A data message reaches only the sender's room, only those it is for, only from those who may send, and names its sender.
pub fn message_permitted(oracle: &Oracle, receiver: &Client, sender: &Client, message: &Message) -> Verdict {
    must(message.room == receiver.plan.room, || format!("{:?} got a message of room {}", receiver.id, message.room))?;
    must(sender.plan.grants.can_publish_data, || format!("{:?} must not send messages, but {:?} got one", sender.id, receiver.id))?;
    must(receiver.plan.grants.can_subscribe, || format!("{:?} must not receive, but got a message", receiver.id))?;
    let named = if sender.plan.grants.hidden { String::new() } else { sender.plan.identity().as_str().to_owned() };
    must(message.stamped == named, || format!("a message of {:?} names as its sender: {:?}", sender.id, message.stamped))?;
    let meant = message.to.as_ref().is_none_or(|to| oracle.member_of(receiver.id).is_none_or(|member| member.identity == *to));
    must(meant, || format!("{:?} got a message that is for somebody else", receiver.id))
}

/// Reliable messages of one sender arrive in their order.
pub fn message_in_order(receiver: &Client, message: &Message) -> Verdict {
    let last = receiver.told.get(&message.from).copied().unwrap_or(0);
    must(!message.reliable || message.number > last, || {
        format!("{:?} got reliable message {} of {:?} after {last}", receiver.id, message.number, message.from)
    })
}

/// Nobody is told of somebody hidden, in any notice.
pub fn hidden_untold(oracle: &Oracle, client: &Client, notice: &Notice) -> Verdict {
    let secret = |sid: &Sid| oracle.hidden.get(sid).is_some_and(|hidden| *hidden != client.id);
    let views = |views: &[ParticipantView]| views.iter().any(|view| secret(&view.sid));
    let told = match notice {
        Notice::Joined(joined) => views(&joined.others),
        Notice::Participants(changed) => views(changed),
        Notice::Speakers(speakers) => speakers.iter().any(|speaker| secret(&speaker.participant)),
        Notice::Quality(levels) => levels.iter().any(|level| secret(&level.participant)),
        Notice::SubscriptionPermission { participant, .. } => secret(participant),
        Notice::Offer(description) | Notice::Answer(description) => {
            oracle.hidden.iter().any(|(sid, hidden)| *hidden != client.id && description.sdp.contains(sid.as_str()))
        }
        _ => false,
    };
    must(!told, || format!("{:?} is told of somebody hidden: {notice:?}", client.id))
}

/// The versions of a participant never run back for anybody who hears of it.
pub fn versions_grow(known: &mut BTreeMap<Sid, u32>, notice: &Notice) -> Verdict {
    let views: &[ParticipantView] = match notice {
        Notice::Participants(views) => views,
        Notice::Joined(joined) => &joined.others,
        _ => return Ok(()),
    };
    for view in views {
        let last = known.entry(view.sid.clone()).or_insert(view.version);
        must(view.version >= *last, || format!("{} has version {} after {last}", view.sid, view.version))?;
        *last = view.version;
    }
    Ok(())
}

/// A section carries nothing between two tracks, and the text says what the list says.
pub fn sections_free_between(before: &BTreeMap<String, Sid>, description: &Description) -> Verdict {
    for (mid, track) in &description.mids {
        let last = before.get(mid);
        must(last.is_none_or(|last| last == track), || format!("section {mid} goes from {last:?} to {track} at once"))?;
    }
    for part in description.sdp.split("\nm=").skip(1).filter(|part| !part.starts_with("application")) {
        let has = |line: &str| part.lines().any(|own| own.trim_end() == line);
        let mid = part.lines().find_map(|line| line.trim_end().strip_prefix("a=mid:")).unwrap_or_default();
        let listed = description.mids.iter().find(|(listed, _)| listed == mid);
        let sends = has("a=sendonly") || has("a=sendrecv");
        must(sends == listed.is_some(), || format!("section {mid} sends: {sends}, but the list says {listed:?}"))?;
        let named = listed.is_none_or(|(_, track)| part.contains(&format!("|{track} {track}")));
        must(named, || format!("section {mid} does not name its track {listed:?}"))?;
    }
    Ok(())
}

/// What grows with load is bounded by who is there.
pub fn sizes_bounded(control: &Control, workers: &[Worker], connections: usize) -> Verdict {
    let size = |sizes: &[(&'static str, usize)], name: &str| sizes.iter().find(|(known, _)| *known == name).map_or(0, |(_, size)| *size);
    let own = control.sizes();
    let sessions = size(&own, "sessions");
    must(size(&own, "connections") <= connections, || format!("{own:?} with {connections} open connections"))?;
    must(size(&own, "awaiting") <= sessions && size(&own, "joining") <= sessions, || format!("control core: {own:?}"))?;
    let mut addresses = 0;
    for worker in workers {
        let own = worker.sizes();
        let peers = size(&own, "peers");
        addresses += size(&own, "addresses");
        must(peers <= 2 * size(&own, "sessions"), || format!("worker: {own:?}"))?;
        must(size(&own, "user names") <= 2 * peers, || format!("worker: {own:?}"))?;
        must(size(&own, "addresses") <= 8 * peers, || format!("worker: {own:?}"))?;
        // A peer's deadline moves to an earlier time and back: entries that were left behind expire within seconds.
        must(size(&own, "timers") <= 64 + 64 * peers, || format!("worker: {own:?}"))?;
    }
    must(addresses <= 16 * connections.max(1) * 8, || format!("{addresses} addresses with {connections} connections"))
}

/// No fault of ours ended a room.
pub fn no_room_fault(workers: &[Worker]) -> Verdict {
    let faults: u64 = workers.iter().map(|worker| worker.stats().room_faults).sum();
    must(faults == 0, || format!("{faults} rooms ended by a panic, whose message stands above"))
}

/// A timer that was served is over.
pub fn no_spinning_timer(next: Option<(Instant, &'static str)>, now: Instant) -> Verdict {
    must(next.is_none_or(|(due, _)| due > now), || format!("the timer {:?} was served, but is still due", next.map(|(_, name)| name)))
}

/// After everybody has gone and all times are over, nothing is left.
pub fn nothing_left(control: &Control, workers: &[Worker]) -> Verdict {
    let own = control.sizes();
    must(own.iter().all(|(_, size)| *size == 0), || format!("the control core keeps {own:?}"))?;
    for worker in workers {
        let own = worker.sizes();
        // Who was refused, or asked too often, is remembered a little longer; both are bounded.
        let kept = ["relay sources", "relay revocations"];
        must(own.iter().all(|(name, size)| *size == 0 || kept.contains(name)), || format!("worker {:?} keeps {own:?}", worker.index()))?;
    }
    Ok(())
}
