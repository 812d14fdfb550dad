//! Who takes the messages of an inbox.

use super::message::Stored;
use crate::testing::UserAgent;

#[cfg(feature = "testing-browser")]
use super::browser::Channel;

/// The other end of a subscription.
#[derive(Debug)]
pub(super) enum Receiver {
    /// A simulated user agent: opens its messages here.
    Agent(UserAgent),
    /// A channel of a browser: messages go out over its WebSocket, and only the browser can open
    /// them.
    #[cfg(feature = "testing-browser")]
    Channel(Channel),
}

/// What a receiver does with a message while its subscription is online.
pub(super) enum Taken<'a> {
    /// The user agent opens it now.
    Open(&'a UserAgent),
    /// It was sent, and is the browser's once that acknowledges it.
    #[cfg(feature = "testing-browser")]
    Sent,
    /// The browser is not connected.
    #[cfg(feature = "testing-browser")]
    Away,
}

impl Receiver {
    pub(super) fn take(&self, message: &Stored) -> Taken<'_> {
        match self {
            Self::Agent(agent) => {
                // Only a browser needs to be sent something.
                let _ = message;
                Taken::Open(agent)
            }
            #[cfg(feature = "testing-browser")]
            Self::Channel(channel) if channel.send(message) => Taken::Sent,
            #[cfg(feature = "testing-browser")]
            Self::Channel(_) => Taken::Away,
        }
    }
}
