//! Floor 3: what touches the machine, around the pure floors.

pub mod udp;
