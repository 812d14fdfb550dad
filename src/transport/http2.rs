//! What an error of HTTP/2 proves (H-21), and its text without the peer's words (S-12).

use std::error::Error as StdError;

use super::Processed;

/// What HTTP/2 said, without the peer's own words: a GOAWAY's debug data may repeat the path or
/// a header (S-12).
#[derive(Debug, thiserror::Error)]
pub(super) enum Http2Error {
    #[error("the peer reset the stream: {0}")]
    ResetByPeer(h2::Reason),
    #[error("the stream was reset for an error of the peer: {0}")]
    Reset(h2::Reason),
    #[error("the peer closed the connection before it began this request: {0}")]
    GoAwayByPeer(h2::Reason),
    #[error("the connection was closed for an error of the peer: {0}")]
    GoAway(h2::Reason),
    #[error("the connection broke: {0}")]
    Io(std::io::ErrorKind),
    #[error("the request is not one that HTTP/2 can carry")]
    Request,
}

impl Http2Error {
    /// The first error of HTTP/2 among the causes of `error`.
    pub(super) fn find(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(Self::of(found));
            }
            cause = error.source();
        }
        None
    }

    fn of(error: &h2::Error) -> Self {
        let reason = error.reason().unwrap_or(h2::Reason::INTERNAL_ERROR);
        match (error.is_reset(), error.is_go_away(), error.is_remote()) {
            (true, _, true) => Self::ResetByPeer(reason),
            (true, _, false) => Self::Reset(reason),
            (_, true, true) => Self::GoAwayByPeer(reason),
            (_, true, false) => Self::GoAway(reason),
            _ => match error.get_io() {
                Some(io) => Self::Io(io.kind()),
                None if error.reason().is_some() => Self::Reset(reason),
                None => Self::Request,
            },
        }
    }

    /// Does it prove that the peer did not act?
    ///
    /// `h2` gives a stream the peer's GOAWAY as its error only when the stream's id is above the
    /// GOAWAY's last one (RFC 9113 6.8) or was not sent at all; the others run on, and end with
    /// an I/O error if the connection goes first.
    pub(super) fn processed(&self) -> Processed {
        match self {
            Self::ResetByPeer(h2::Reason::REFUSED_STREAM) | Self::GoAwayByPeer(_) | Self::Request => {
                Processed::No
            }
            _ => Processed::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processed(error: &h2::Error) -> Processed {
        Http2Error::of(error).processed()
    }

    #[test]
    fn what_http2_proves_depends_on_who_said_it() {
        // Only frames carry who said it; tests over loopback make those. A bare reason is ours.
        assert_eq!(processed(&h2::Reason::REFUSED_STREAM.into()), Processed::Unknown);
        assert_eq!(processed(&h2::Reason::CANCEL.into()), Processed::Unknown);
        for (error, expected) in [
            (Http2Error::ResetByPeer(h2::Reason::REFUSED_STREAM), Processed::No),
            (Http2Error::ResetByPeer(h2::Reason::CANCEL), Processed::Unknown),
            (Http2Error::Reset(h2::Reason::REFUSED_STREAM), Processed::Unknown),
            (Http2Error::GoAwayByPeer(h2::Reason::NO_ERROR), Processed::No),
            (Http2Error::GoAway(h2::Reason::PROTOCOL_ERROR), Processed::Unknown),
            (Http2Error::Io(std::io::ErrorKind::BrokenPipe), Processed::Unknown),
            (Http2Error::Request, Processed::No),
        ] {
            assert_eq!(error.processed(), expected, "{error}");
        }
    }
}
