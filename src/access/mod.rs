//! Floor 1: who may do what, decided from what callers pass in.

pub mod jwt;
pub mod key;
mod reissue;
pub mod role;
pub mod tan;
pub mod throttle;
