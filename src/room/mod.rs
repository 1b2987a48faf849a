//! Floor 1: one room's rules. Commands come in, effects go out.

pub mod command;
pub mod media;
pub mod notice;
