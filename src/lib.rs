//! Konsil: a media server appliance for medical video consultations. See ARCHITECTURE.md for the map.
#![forbid(unsafe_code)]

pub mod access;
pub mod app;
pub mod cli;
pub mod config;
pub mod http;
pub mod io;
pub mod model;
pub mod node;
pub mod room;
pub mod sfu;
pub mod turn;
