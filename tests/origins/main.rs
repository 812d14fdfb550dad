//! Push services that misbehave, over real sockets and through whole broadcasts: each message has
//! the outcome that can be proven, nothing is removed, no request is sent twice that may have
//! arrived, each attempt ends with its timeouts, and a push service beside it is served as if
//! nothing were.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod certificates;
mod frames;
mod handshake;
mod http1;
mod http2;
mod memory;
mod peer;
mod storms;
mod world;
