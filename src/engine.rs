//! The engine: encryption, VAPID, requests and responses. Synchronous, but for keys that are
//! [elsewhere](vapid::Signer); no I/O, no runtime.

pub mod cancel;
pub mod encryption;
pub mod request;
pub mod response;
pub mod vapid;
