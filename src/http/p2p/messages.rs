//! The JSON of p2p signalling: what clients say, what they are told.

use serde::{Deserialize, Serialize};

use crate::config::Crypto;
use crate::http::ice::IceServer;
use crate::model::ids::Sid;
use crate::room::command::{DescriptionKind, PartnerMessage, Signal};
use crate::room::notice::{LeaveReason, Outcome, PartnerView};

/// Longest SDP in bytes.
pub const SDP_MAX: usize = 64 * 1024;
/// Largest message in bytes: JSON may write a byte of SDP as two.
pub const MESSAGE_MAX: usize = 2 * SDP_MAX + 8 * 1024;
/// Longest candidate in bytes.
pub const CANDIDATE_MAX: usize = 1024;
/// Longest id, `mid` or fragment in bytes.
pub const TEXT_MAX: usize = 256;

/// Why a message cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaidError {
    /// It is none of this protocol's.
    #[error("messages are JSON texts of type description, candidate, peer or bye")]
    Malformed,
    /// It is longer than it may be.
    #[error("{0} is too long")]
    TooLong(&'static str),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Said {
    Description { peer: Option<String>, description: Description },
    Candidate { peer: Option<String>, candidate: Option<Candidate> },
    Peer {},
    Bye {},
}

/// An `RTCSessionDescriptionInit` of the WebRTC API.
#[derive(Deserialize, Serialize)]
pub struct Description {
    #[serde(rename = "type")]
    kind: Kind,
    sdp: String,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Offer,
    Answer,
}

/// An `RTCIceCandidateInit` of the WebRTC API.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Candidate {
    #[serde(rename = "candidate")]
    text: String,
    sdp_mid: Option<String>,
    #[serde(rename = "sdpMLineIndex")]
    line: Option<u16>,
    username_fragment: Option<String>,
}

/// What a client says.
///
/// # Errors
/// It is no message of this protocol, or too long.
pub fn hear(text: &str) -> Result<Signal, SaidError> {
    // A JSON error's text may repeat what came.
    match serde_json::from_str(text).map_err(|_| SaidError::Malformed)? {
        Said::Description { peer, description: Description { kind, sdp } } => {
            fits(&sdp, SDP_MAX, "sdp")?;
            let kind = match kind {
                Kind::Offer => DescriptionKind::Offer,
                Kind::Answer => DescriptionKind::Answer,
            };
            to_partner(peer.as_deref(), PartnerMessage::Description { kind, sdp })
        }
        Said::Candidate { peer, candidate } => {
            let Candidate { text: candidate, sdp_mid: mid, line, username_fragment: ufrag } = candidate.unwrap_or_default();
            fits(&candidate, CANDIDATE_MAX, "candidate")?;
            fits(mid.as_deref().unwrap_or_default(), TEXT_MAX, "sdpMid")?;
            fits(ufrag.as_deref().unwrap_or_default(), TEXT_MAX, "usernameFragment")?;
            to_partner(peer.as_deref(), PartnerMessage::Candidate { candidate, mid, line, ufrag })
        }
        Said::Peer {} => Ok(Signal::AskPartner),
        Said::Bye {} => Ok(Signal::Leave),
    }
}

fn fits(text: &str, most: usize, what: &'static str) -> Result<(), SaidError> {
    if text.len() > most { Err(SaidError::TooLong(what)) } else { Ok(()) }
}

fn to_partner(peer: Option<&str>, message: PartnerMessage) -> Result<Signal, SaidError> {
    fits(peer.unwrap_or_default(), TEXT_MAX, "peer")?;
    Ok(Signal::ToPartner { to: peer.map(Sid::from_client), message })
}

/// What a client is told.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Told {
    /// How things stand.
    Peer {
        /// The client's own session.
        session: String,
        /// Whether the other person is there.
        present: bool,
        /// The other person's session.
        #[serde(skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
        /// Whether the client gives way when both offer at once.
        polite: bool,
        /// Whether only relayed candidates are passed on.
        hide_addresses: bool,
        /// Which algorithms the two browsers may choose between them: `default` or `bsi`. The client sees to it.
        crypto: &'static str,
        /// STUN and TURN servers with credentials that are good for an hour.
        ice_servers: Vec<IceServer>,
    },
    /// What the other person describes.
    Description {
        /// The description.
        description: Description,
    },
    /// Where the other person may be reached; null at the end of candidates.
    Candidate {
        /// The candidate.
        candidate: Option<Candidate>,
    },
    /// The client's message was not taken.
    Refused {
        /// For programs.
        reason: &'static str,
        /// For people.
        detail: String,
    },
    /// The session is over.
    Bye {
        /// Why.
        reason: &'static str,
        /// Whether the client should come again.
        rejoin: bool,
    },
}

/// How things stand.
pub fn peer(view: &PartnerView, crypto: Crypto, ice_servers: Vec<IceServer>) -> Told {
    Told::Peer {
        session: view.own.to_string(),
        present: view.partner.is_some(),
        peer: view.partner.as_ref().map(ToString::to_string),
        polite: view.polite,
        hide_addresses: view.hide_addresses,
        crypto: crypto.name(),
        ice_servers,
    }
}

/// What the other person says.
pub fn from_partner(message: PartnerMessage) -> Told {
    match message {
        PartnerMessage::Description { kind, sdp } => {
            let kind = match kind {
                DescriptionKind::Offer => Kind::Offer,
                DescriptionKind::Answer => Kind::Answer,
            };
            Told::Description { description: Description { kind, sdp } }
        }
        PartnerMessage::Candidate { candidate, mid: None, line: None, .. } if candidate.is_empty() => Told::Candidate { candidate: None },
        PartnerMessage::Candidate { candidate: text, mid: sdp_mid, line, ufrag: username_fragment } => {
            Told::Candidate { candidate: Some(Candidate { text, sdp_mid, line, username_fragment }) }
        }
    }
}

/// Why a message was not taken.
pub fn refused(error: SaidError) -> Told {
    let reason = match error {
        SaidError::Malformed => "malformed",
        SaidError::TooLong(_) => "too-long",
    };
    Told::Refused { reason, detail: error.to_string() }
}

/// What came of a message in the room, where it is worth a word.
pub fn outcome(outcome: Outcome) -> Option<Told> {
    let (reason, detail) = match outcome {
        Outcome::Ok => return None,
        Outcome::NotFound => ("no-peer", "the other person, or that session of theirs, is not there"),
        Outcome::LimitExceeded => ("too-long", "the description is too long"),
        _ => ("malformed", "this makes no sense in a room of mode p2p"),
    };
    Some(Told::Refused { reason, detail: detail.to_owned() })
}

/// Why a session is over.
pub fn bye(reason: LeaveReason) -> Told {
    let (reason, rejoin) = match reason {
        LeaveReason::ClientInitiated => ("left", false),
        LeaveReason::DuplicateIdentity => ("replaced", false),
        LeaveReason::Removed => ("removed", false),
        LeaveReason::RoomDeleted => ("room-deleted", false),
        LeaveReason::JoinFailure => ("refused", false),
        LeaveReason::ServerShutdown => ("shutdown", true),
        LeaveReason::StateMismatch => ("no-session", true),
        LeaveReason::SignalClosed => ("lost", true),
        LeaveReason::MediaFailure => ("fault", true),
    };
    Told::Bye { reason, rejoin }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(told: &Told) -> serde_json::Value {
        serde_json::to_value(told).unwrap()
    }

    #[test]
    fn descriptions_go_through_unchanged() {
        let text = r#"{"type":"description","peer":"PA_x","description":{"type":"offer","sdp":"v=0\r\n"},"extra":1}"#;
        let Ok(Signal::ToPartner { to, message }) = hear(text) else { panic!() };
        assert_eq!(to, Some(Sid::from_client("PA_x")));
        let expected = serde_json::json!({"type": "description", "description": {"type": "offer", "sdp": "v=0\r\n"}});
        assert_eq!(back(&from_partner(message)), expected);
    }

    #[test]
    fn candidates_go_through_unchanged() {
        let candidate = serde_json::json!({"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "u"});
        for candidate in [candidate, serde_json::Value::Null] {
            let said = serde_json::json!({"type": "candidate", "candidate": candidate});
            let Ok(Signal::ToPartner { to: None, message }) = hear(&said.to_string()) else { panic!() };
            assert_eq!(back(&from_partner(message)), said);
        }
    }

    #[test]
    fn other_texts_are_refused_without_being_repeated() {
        for text in [
            "",
            "Erika",
            "[]",
            "null",
            "{}",
            r#"{"type":"Erika"}"#,
            r#"{"type":["bye"]}"#,
            r#"{"type":"description"}"#,
            r#"{"type":"description","description":{"type":"rollback","sdp":"Erika"}}"#,
            r#"{"type":"description","description":{"type":"offer","sdp":7}}"#,
            r#"{"type":"candidate","candidate":{"candidate":"x","sdpMLineIndex":-1}}"#,
            r#"{"type":"candidate","candidate":"Erika"}"#,
        ] {
            let error = hear(text).unwrap_err();
            assert_eq!(error, SaidError::Malformed, "{text}");
            assert!(!back(&refused(error)).to_string().contains("Erika"));
        }
        assert_eq!(hear(r#"{"type":"peer"}"#), Ok(Signal::AskPartner));
        assert_eq!(hear(r#"{"type":"bye","reason":"x"}"#), Ok(Signal::Leave));
    }

    #[test]
    fn lengths_are_bounded() {
        let long = |text: &str, most: usize| hear(&text.replace('#', &"x".repeat(most))).map(|_| ());
        let offer = r##"{"type":"description","description":{"type":"offer","sdp":"#"}}"##;
        assert_eq!(long(offer, SDP_MAX), Ok(()));
        assert_eq!(long(offer, SDP_MAX + 1), Err(SaidError::TooLong("sdp")));
        let candidate = r##"{"type":"candidate","candidate":{"candidate":"#"}}"##;
        assert_eq!(long(candidate, CANDIDATE_MAX), Ok(()));
        assert_eq!(long(candidate, CANDIDATE_MAX + 1), Err(SaidError::TooLong("candidate")));
        let mid = r##"{"type":"candidate","candidate":{"sdpMid":"#"}}"##;
        assert_eq!(long(mid, TEXT_MAX + 1), Err(SaidError::TooLong("sdpMid")));
        assert_eq!(long(r##"{"type":"candidate","peer":"#"}"##, TEXT_MAX + 1), Err(SaidError::TooLong("peer")));
    }

    #[test]
    fn ends_say_whether_to_come_again() {
        let rejoin = |reason| back(&bye(reason))["rejoin"].as_bool();
        assert_eq!((rejoin(LeaveReason::Removed), rejoin(LeaveReason::StateMismatch)), (Some(false), Some(true)));
        assert!(outcome(Outcome::Ok).is_none() && outcome(Outcome::NotFound).is_some());
    }
}
