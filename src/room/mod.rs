//! Floor 1: one room's rules. Commands come in, effects go out.

mod bucket;
pub mod command;
pub mod data_tracks;
mod departed;
pub mod desk;
pub mod lobby;
pub mod media;
pub mod moderate;
pub mod notice;
mod p2p;
mod participant;
mod publish;
pub mod rules;
mod signal;
mod subscribe;
#[cfg(test)]
mod testing;
pub mod token;

pub use lobby::{Door, DoorRules};
pub use p2p::PEOPLE;
pub use rules::{Effect, JoinError, Room, RoomSettings};
