//! Floor 2: a whole node without its sockets. The simulator runs what stands here.

pub mod conceal;
pub mod control;
pub mod fragment;
pub mod invitation;
mod paths;
mod peer;
pub mod request;
pub mod route;
pub mod sdp;
mod stream;
pub mod worker;
