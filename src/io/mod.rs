//! Floor 3: files, sockets, threads.

pub mod edge;
mod files;
pub mod state;
pub mod store;
pub mod tls;
