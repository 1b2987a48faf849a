//! Konsil: a media server appliance for medical video consultations. See ARCHITECTURE.md for the map.
#![forbid(unsafe_code)]

pub mod model;
pub mod sfu;
