//! What this crate is tested with, for the tests of its users.
//!
//! Nothing here leaves this machine. The conformance suites are not covered by semantic
//! versioning: a new release may demand more of an implementation.
//!
//! | what | for |
//! |---|---|
//! | [`ManualClock`] | the wall clock: moves when it is told to |
//! | [`PushService`] | a vendor's push service: strict, scriptable, in this process |
//! | [`StubTransport`] | a transport: answers by a script, without sockets |
//! | [`UserAgent`] | a browser: makes subscriptions, opens and checks what was encrypted for it |
//! | [`declarative`] | reads declarative messages as browsers do |
//! | [`encryptor_suite`], [`journal_suite`], [`signer_suite`], [`store_suite`], [`transport_suite`] | the contracts, a test for each sentence |
//! | [`vapid`] | reads and verifies `Authorization` as a push service does |

use std::sync::{Mutex, MutexGuard, PoisonError};

mod clock;
pub mod declarative;
pub mod encryptor_suite;
pub mod journal_suite;
mod push_service;
pub mod signer_suite;
pub mod store_suite;
mod stub_transport;
#[allow(clippy::missing_panics_doc, reason = "a suite panics when the machine has no loopback")]
pub mod transport_suite;
mod user_agent;
pub mod vapid;

pub use self::clock::ManualClock;
#[cfg(feature = "testing-browser")]
pub use self::push_service::Browser;
pub use self::push_service::{
    Answer, ConnectionFault, Counters, PushService, PushServiceBuilder, Received, Violation,
};
pub use self::stub_transport::{StubReply, StubRequest, StubTransport};
pub use self::user_agent::{DecryptError, UserAgent};

/// A panic in a caller's closure, or in a test that holds a lock, must not hide the first failure
/// behind a second.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
