//! Floor 5: builds the server from its settings, takes it down again.

mod addresses;
pub mod check;
pub mod configure;
mod logging;
pub mod operate;
mod relay;
pub mod serve;
pub mod store;

pub use relay::secrets as relay_secrets;
