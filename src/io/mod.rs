//! Floor 3: sockets, threads and tasks around the pure cores.

pub mod control;
