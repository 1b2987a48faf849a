//! Floor 5: builds the server from its settings.

pub mod configure;
