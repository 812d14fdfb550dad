//! The engine: encryption, VAPID, requests and responses. Synchronous, no I/O, no runtime.

pub mod cancel;
pub mod encryption;
pub mod request;
pub mod response;
pub mod vapid;
