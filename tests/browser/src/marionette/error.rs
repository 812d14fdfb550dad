use std::io;

use serde_json::Value;

/// Why a command to a Firefox failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MarionetteError {
    /// The connection failed: the browser is gone.
    #[error("the connection to Firefox failed")]
    Io(#[from] io::Error),
    /// No answer in time.
    #[error("Firefox did not answer {command} in time")]
    Timeout {
        /// The command.
        command: String,
    },
    /// The answer is not what the protocol says.
    #[error("Firefox answered outside of its protocol: expected {expected}, got {got}")]
    Protocol {
        /// What would have been right.
        expected: &'static str,
        /// The beginning of what came.
        got: String,
    },
    /// Firefox refuses the command: there is no such element, the script threw, the page did not load.
    #[error("{command}: {error}: {message}")]
    Refused {
        /// The command.
        command: String,
        /// `WebDriver`'s name of the error, such as `no such element` or `javascript error`.
        error: String,
        /// The reason, for people.
        message: String,
    },
    /// An earlier command was given up, and its answer may still come.
    #[error("the connection to Firefox is not usable after a command that was given up")]
    Broken,
}

impl MarionetteError {
    pub(super) fn timeout(command: &str) -> Self {
        Self::Timeout { command: command.to_owned() }
    }

    pub(crate) fn unexpected(expected: &'static str, got: &Value) -> Self {
        let got = got.to_string().chars().take(200).collect();
        Self::Protocol { expected, got }
    }

    /// Whether Firefox cannot do it to this element, or not now: it is not there, not there any more, not visible, or
    /// something lies over it.
    #[must_use]
    pub fn is_about_element(&self) -> bool {
        const ERRORS: [&str; 4] = [
            "element click intercepted",
            "element not interactable",
            "no such element",
            "stale element reference",
        ];
        matches!(self, Self::Refused { error, .. } if ERRORS.contains(&error.as_str()))
    }
}
