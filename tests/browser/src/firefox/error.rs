use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use crate::MarionetteError;

/// Why there is no browser, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FirefoxError {
    /// None is installed.
    #[error(
        "there is no Firefox: install one (Debian: apt-get install firefox-esr), or name it in the variable FIREFOX \
         (looked for {looked_for})"
    )]
    Missing {
        /// What was looked for, and where.
        looked_for: String,
    },
    /// The operating system does not start it, or its profile cannot be written.
    #[error("Firefox cannot be started")]
    Start(#[source] io::Error),
    /// It ended by itself, or badly.
    #[error("Firefox ended with {status}; its log ends with:\n{log}")]
    Exited {
        /// How.
        status: ExitStatus,
        /// The end of what it printed.
        log: String,
    },
    /// It runs and listens to nobody.
    #[error("Firefox does not listen after {after:?}; its log ends with:\n{log}")]
    Silent {
        /// How long it was waited for.
        after: Duration,
        /// The end of what it printed.
        log: String,
    },
    /// It was told to quit.
    #[error("Firefox still runs {0:?} after it was told to quit")]
    StillRuns(Duration),
    /// It does not do as it is told.
    #[error(transparent)]
    Marionette(#[from] MarionetteError),
}
