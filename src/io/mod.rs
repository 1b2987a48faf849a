//! Floor 3: sockets, threads and files around the pure floors.

pub mod udp;
