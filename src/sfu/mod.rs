//! Floor 1: one packet in, decisions about its forwards out.

pub mod budget;
pub mod capture;
pub mod data;
pub mod data_track;
pub mod descriptor;
pub mod fmtp;
pub mod frame;
pub mod keyframes;
pub mod layers;
pub mod meter;
mod numbers;
mod pictures;
pub mod quality;
pub mod quota;
pub mod resends;
pub mod rewrite;
pub mod sealed;
pub mod speaker;

#[cfg(test)]
mod dice;
#[cfg(test)]
mod journey_tests;
