//! Floor 3: files, sockets, threads.

mod files;
pub mod state;
pub mod store;
pub mod tls;
