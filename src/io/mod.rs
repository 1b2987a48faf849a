//! Floor 3: what touches the machine, around the pure floors.

pub mod clock;
pub mod control;
pub mod desk;
pub mod edge;
mod files;
pub mod media;
pub mod relay;
pub mod state;
pub mod store;
pub mod stream;
pub mod task;
pub mod tls;
pub mod udp;
