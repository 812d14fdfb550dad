//! The in-process push service in Mozilla's manner: what autopush 1.83.1 was seen to answer, and
//! its WebSocket.
#![allow(clippy::unwrap_used, reason = "tests")]

mod answers;
mod browser;
mod cases;
mod paths;

#[path = "../support/client.rs"]
mod client;
#[path = "../support/browser.rs"]
mod fake;
#[path = "../support/legacy.rs"]
mod legacy;
#[path = "../support/seal.rs"]
mod seal;
