//! Floor 3: sockets, threads and files around the pure floors.

pub mod edge;
mod files;
pub mod state;
pub mod store;
pub mod tls;
pub mod udp;
