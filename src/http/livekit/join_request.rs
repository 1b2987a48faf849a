//! The `join_request` query parameter: base64 around protobuf around protobuf, which may be compressed.

use std::io::Read as _;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use livekit_protocol as lk;
use prost::Message as _;

/// Largest join request in bytes, after decompression.
pub const JOIN_REQUEST_MAX: usize = 256 * 1024;

/// Clients pad or not.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Why a join request cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRequestError {
    /// The text is not base64 (RFC 4648 §5).
    #[error("join_request is not base64url")]
    Base64,
    /// The outer message is not protobuf.
    #[error("join_request is not a WrappedJoinRequest")]
    Wrapper,
    /// The outer message names a compression other than none and gzip.
    #[error("join_request has an unknown compression")]
    Compression,
    /// The inner message is not gzip (RFC 1952).
    #[error("join_request is not gzip, though it says so")]
    Gzip,
    /// The inner message has more than [`JOIN_REQUEST_MAX`] bytes.
    #[error("join_request must have at most {JOIN_REQUEST_MAX} bytes")]
    TooLong,
    /// The inner message is not protobuf.
    #[error("join_request does not hold a JoinRequest")]
    Message,
}

/// Reads the parameter. Total: any text gives a message or an error, in bounded memory.
///
/// # Errors
/// Says which shell could not be opened.
pub fn decode_join_request(text: &str) -> Result<lk::JoinRequest, JoinRequestError> {
    // Some clients write the standard alphabet, whose `+` a query turns into a space.
    let text: String = text.chars().map(|letter| if letter == '+' || letter == ' ' { '-' } else { letter }).collect();
    let wrapped = BASE64.decode(text.replace('/', "_")).map_err(|_| JoinRequestError::Base64)?;
    let wrapped = lk::WrappedJoinRequest::decode(wrapped.as_slice()).map_err(|_| JoinRequestError::Wrapper)?;
    let message = match lk::wrapped_join_request::Compression::try_from(wrapped.compression) {
        Ok(lk::wrapped_join_request::Compression::None) => wrapped.join_request,
        Ok(lk::wrapped_join_request::Compression::Gzip) => unzipped(&wrapped.join_request)?,
        Err(_) => return Err(JoinRequestError::Compression),
    };
    if message.len() > JOIN_REQUEST_MAX {
        return Err(JoinRequestError::TooLong);
    }
    lk::JoinRequest::decode(message.as_slice()).map_err(|_| JoinRequestError::Message)
}

fn unzipped(bytes: &[u8]) -> Result<Vec<u8>, JoinRequestError> {
    let mut message = Vec::new();
    let bound = JOIN_REQUEST_MAX as u64 + 1;
    flate2::read::GzDecoder::new(bytes).take(bound).read_to_end(&mut message).map_err(|_| JoinRequestError::Gzip)?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn wrapped(compression: i32, join_request: Vec<u8>) -> Vec<u8> {
        lk::WrappedJoinRequest { compression, join_request }.encode_to_vec()
    }

    fn request() -> lk::JoinRequest {
        let offer = lk::SessionDescription { r#type: "offer".into(), sdp: "v=0\r\n".into(), id: 1, ..Default::default() };
        lk::JoinRequest { publisher_offer: Some(offer), participant_sid: "PA_x>?>?".into(), ..Default::default() }
    }

    #[test]
    fn plain_or_zipped_requests_are_read() {
        for bytes in [wrapped(0, request().encode_to_vec()), wrapped(1, gzip(&request().encode_to_vec()))] {
            let url_safe = URL_SAFE_NO_PAD.encode(&bytes);
            let standard = STANDARD.encode(&bytes);
            for text in [url_safe.clone(), format!("{url_safe}{}", "=".repeat((4 - url_safe.len() % 4) % 4)), standard.replace('+', " ")] {
                assert_eq!(decode_join_request(&text), Ok(request()));
            }
        }
    }

    #[test]
    fn bombs_are_refused_at_the_bound() {
        let bomb = wrapped(1, gzip(&vec![0; 64 * JOIN_REQUEST_MAX]));
        assert!(bomb.len() < 64 * 1024);
        assert_eq!(decode_join_request(&URL_SAFE_NO_PAD.encode(bomb)), Err(JoinRequestError::TooLong));
        let plain = wrapped(0, vec![0; JOIN_REQUEST_MAX + 1]);
        assert_eq!(decode_join_request(&URL_SAFE_NO_PAD.encode(plain)), Err(JoinRequestError::TooLong));
    }

    #[test]
    fn every_broken_shell_is_named() {
        let text = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let mut cut = gzip(&request().encode_to_vec());
        cut.truncate(cut.len() / 2);
        for (broken, error) in [
            ("ä".to_owned(), JoinRequestError::Base64),
            (text(vec![0xff; 9]), JoinRequestError::Wrapper),
            (text(wrapped(7, vec![])), JoinRequestError::Compression),
            (text(wrapped(1, b"no gzip".to_vec())), JoinRequestError::Gzip),
            (text(wrapped(1, cut)), JoinRequestError::Gzip),
            (text(wrapped(0, vec![0xff; 9])), JoinRequestError::Message),
        ] {
            assert_eq!(decode_join_request(&broken), Err(error));
        }
    }
}
