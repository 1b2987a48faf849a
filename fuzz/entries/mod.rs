//! What each fuzz target does with its input; tests/corpus.rs does the same with the corpora.

#[path = "../../tests/call/mod.rs"]
mod call;
mod conceal;
mod data;
mod data_track;
mod datagram;
mod descriptor;
mod desk;
mod framing;
mod invitation;
mod join_request;
mod offer;
mod p2p;
mod payload;
mod proxy;
mod rtcp;
mod sdp;
mod signal;
mod tan;
mod token;
mod turn;
mod whip;

/// An entry: anything may come in, nothing may panic.
type Entry = fn(&[u8]);

/// The entries by the names of their corpora.
pub const ENTRIES: [(&str, Entry); 20] = [
    ("conceal", conceal::run),
    ("data", data::run),
    ("data_track", data_track::run),
    ("datagram", datagram::run),
    ("descriptor", descriptor::run),
    ("desk", desk::run),
    ("framing", framing::run),
    ("invitation", invitation::run),
    ("join_request", join_request::run),
    ("offer", offer::run),
    ("p2p", p2p::run),
    ("payload", payload::run),
    ("proxy", proxy::run),
    ("rtcp", rtcp::run),
    ("sdp", sdp::run),
    ("signal", signal::run),
    ("tan", tan::run),
    ("token", token::run),
    ("turn", turn::run),
    ("whip", whip::run),
];

/// Runs the entry of this name.
pub fn run(name: &str, input: &[u8]) {
    let (_, entry) = ENTRIES.into_iter().find(|(known, _)| *known == name).expect("an entry of this name");
    entry(input);
}
