//! Floor 0: the words that every other floor uses.

pub mod audit;
pub mod chance;
pub mod grants;
pub mod histogram;
pub mod ids;
pub mod map;
pub mod media;
pub mod network;
pub mod record;
pub mod role;
pub mod secret;
pub mod stats;
pub mod time;
