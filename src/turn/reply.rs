//! Answers to requests: a message under construction.

use stun_types::attribute::{AttributeWrite, ErrorCode, Fingerprint};
use stun_types::message::{Message, MessageWrite as _, MessageWriteExt as _, MessageWriteVec};

use super::allocation::Login;

/// An answer under construction. What cannot be written makes it empty, and an empty answer is not sent.
pub(super) struct Reply {
    message: MessageWriteVec,
    fingerprint: bool,
    whole: bool,
}

impl Reply {
    pub fn success(request: &Message<'_>) -> Self {
        Self::new(request, Message::builder_success(request, MessageWriteVec::new()))
    }

    /// An error with the reason phrase of its code.
    pub fn error(request: &Message<'_>, code: u16) -> Self {
        Self::new(request, Message::builder_error(request, MessageWriteVec::new())).with_code(ErrorCode::builder(code).build().ok())
    }

    /// An error without a reason phrase: strangers learn nothing, and the answer is no longer than it must be.
    pub fn terse_error(request: &Message<'_>, code: u16) -> Self {
        Self::new(request, Message::builder_error(request, MessageWriteVec::new())).with_code(ErrorCode::new(code, "").ok())
    }

    fn new(request: &Message<'_>, message: MessageWriteVec) -> Self {
        use stun_types::attribute::AttributeStaticType as _;
        Self { message, fingerprint: request.has_attribute(Fingerprint::TYPE), whole: true }
    }

    fn with_code(mut self, code: Option<ErrorCode>) -> Self {
        if let Some(code) = code {
            return self.with(&code);
        }
        self.whole = false;
        self
    }

    pub fn with(mut self, attribute: &dyn AttributeWrite) -> Self {
        self.whole &= self.message.add_attribute(attribute).is_ok();
        self
    }

    /// The bytes, sealed for whoever has proved who they are (RFC 8489 §9.2.5).
    pub fn finish(mut self, login: Option<&Login>) -> Vec<u8> {
        if let Some(login) = login {
            self.whole &= self.message.add_message_integrity_with_key(&login.key, login.algorithm).is_ok();
        }
        if self.fingerprint {
            self.whole &= self.message.add_fingerprint().is_ok();
        }
        if self.whole { self.message.finish() } else { Vec::new() }
    }
}
