//! The seam to the crate `metrics`: what is counted and measured (feature `metrics`).
//!
//! Both sides of it have the same types, so that nobody who counts asks for the feature; without
//! it they are empty. Handles are looked up when a sender or a signer is made, from the recorder of
//! that moment, and every series is there from then on: a push looks nothing up and allocates
//! nothing, and no label can hold a word that a stranger chose. docs/operations.md lists the names.

#[cfg(feature = "metrics")]
mod counted;
#[cfg(all(feature = "channel", not(feature = "metrics")))]
mod nothing;
#[cfg(feature = "metrics")]
mod series;
mod tokens;

#[cfg(feature = "metrics")]
pub(crate) use self::counted::{Instruments, Run, Service, Stopwatch};
#[cfg(all(feature = "channel", not(feature = "metrics")))]
pub(crate) use self::nothing::{Instruments, Run, Service, Stopwatch};
pub(crate) use self::tokens::Signed;

/// Where a broadcast is driven from.
#[cfg(feature = "channel")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// To its end in this process.
    Direct,
    /// By leases.
    Durable,
}

/// Why a push service is paused.
#[cfg(feature = "channel")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pause {
    /// It asked for it.
    Asked,
    /// It does not answer.
    Broken,
}

/// Why nothing more is sent to a push service with a key.
#[cfg(feature = "channel")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Halt {
    /// It refuses our tokens.
    Auth,
    /// It refuses us as a sender.
    Blocked,
}

/// What came of taking a message back.
#[cfg(feature = "channel")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CancelEnd {
    Done,
    Failed,
    Gone,
    Unsupported,
}

/// How a lease ended.
#[cfg(feature = "channel")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LeaseEnd {
    Aborted,
    Done,
    Failed,
    Lost,
    Released,
}
