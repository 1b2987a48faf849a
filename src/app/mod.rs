//! Floor 5: builds the server from its settings, takes it down again.

mod addresses;
pub mod configure;
mod logging;
pub mod serve;
