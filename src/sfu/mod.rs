//! Floor 1: one packet in, decisions about its forwards out.

pub mod frame;

#[cfg(test)]
mod dice;
