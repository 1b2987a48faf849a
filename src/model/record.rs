//! What of a room survives a restart.

use super::ids::{RoomId, Sid};

/// How media travels in a room; fixed when the room is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomMode {
    /// Through the SFU.
    Sfu,
    /// Browser to browser.
    P2p,
}

/// A room as it is stored: its rules, and nobody who was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRecord {
    /// Tenant and name.
    pub id: RoomId,
    /// The room's public id, `RM_…`.
    pub sid: Sid,
    /// How media travels.
    pub mode: RoomMode,
    /// Whether tracks without end-to-end encryption are refused.
    pub e2ee_required: bool,
    /// Whether the server keeps the two people of a p2p room from learning each other's address.
    pub hide_addresses: bool,
    /// Most participants at a time.
    pub max_participants: u32,
    /// Seconds until the empty room ends.
    pub empty_timeout_s: u32,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created_at_ms: u64,
}
