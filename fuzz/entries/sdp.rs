//! SDP text as Konsil itself reads it, then as it rewrites it.

use konsil::model::ids::Sid;
use konsil::node::sdp::{Carried, Ice, SDP_MAX, SECTIONS_MAX, dress, read};
use str0m::IceCreds;

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let carried = Carried { publisher: Sid::from_client("PA_x"), track: Sid::from_client("TR_x") };
    let creds = IceCreds { ufrag: "ours".to_owned(), pass: "secret".to_owned() };
    let dressed = dress(text, Ice { creds: &creds, generation: 0 }, |mid| (mid.len() % 2 == 1).then(|| carried.clone()));
    let ours = |line: &str| line == "a=ice-ufrag:ours" || line == "a=ice-pwd:secret";
    assert!(dressed.lines().filter(|line| line.starts_with("a=ice-ufrag:") || line.starts_with("a=ice-pwd:")).all(ours));
    if let Ok(sections) = read(text) {
        assert!(text.len() <= SDP_MAX && (1..=SECTIONS_MAX).contains(&sections.len()));
        for (at, section) in sections.iter().enumerate() {
            assert!((1..=16).contains(&section.mid.len()));
            assert!(sections[..at].iter().all(|other| other.mid != section.mid));
        }
    }
}
