//! Floor 1: who may do what, decided from bytes and times that callers pass in.

pub mod jwt;
pub mod key;
pub mod role;
