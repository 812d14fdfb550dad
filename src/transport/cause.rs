//! What another client's error proves (H-21), and whether it may be shown (S-12).

use std::error::Error as StdError;
use std::io;

use http::{HeaderValue, Request, Uri};
use hyper_util::client::legacy;

use super::http2::Http2Error;
use super::{Processed, TransportError, TransportErrorKind};

type BoxError = Box<dyn StdError + Send + Sync>;

/// What an error's text must not repeat: path and query of a request, and its marked headers.
pub(super) struct Secrets {
    uri: Uri,
    headers: Vec<HeaderValue>,
}

impl Secrets {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers().values().filter(|value| value.is_sensitive()).cloned().collect();
        Self { uri: request.uri().clone(), headers }
    }

    fn are_told_by(&self, error: &BoxError) -> bool {
        let mut text = format!("{error:?}");
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&**error);
        while let Some(error) = cause {
            text = format!("{text} {error} {error:?}");
            cause = error.source();
        }
        let headers = self.headers.iter().filter_map(|value| value.to_str().ok());
        let uri = [self.uri.path(), self.uri.query().unwrap_or_default()];
        headers.chain(uri).any(|secret| secret.len() > 1 && text.contains(secret))
    }
}

/// The failure of a request that was given to a client.
///
/// A [`TransportError`] among the causes is believed; then what hyper and h2 say; else the request may have been
/// processed.
pub(super) fn failure(error: impl Into<BoxError>, secrets: &Secrets) -> TransportError {
    let error = error.into();
    let quotes = secrets.are_told_by(&error);
    let error = match error.downcast::<TransportError>() {
        Ok(told) if quotes => return TransportError { source: None, ..*told },
        Ok(told) => return *told,
        Err(error) => error,
    };
    let (kind, processed) = match told(&*error) {
        Some(told) => told,
        None => match Http2Error::find(&*error) {
            Some(http2) => return http2_failure(http2),
            None => proof(&*error),
        },
    };
    let failure = TransportError::new(kind).with_processed(processed);
    if quotes { failure } else { failure.with_source(error) }
}

/// By somebody who knows: a guard, a service, or the client's connector.
fn told(error: &(dyn StdError + 'static)) -> Option<(TransportErrorKind, Processed)> {
    if let Some(told) = find(error, |cause| cause.downcast_ref::<TransportError>()) {
        return Some((told.kind(), told.processed()));
    }
    let connect = |client: &&legacy::Error| client.is_connect();
    find(error, |cause| cause.downcast_ref().filter(connect))?;
    Some((TransportErrorKind::Connect, Processed::No))
}

fn http2_failure(http2: Http2Error) -> TransportError {
    let kind = match http2 {
        Http2Error::Request => TransportErrorKind::InvalidRequest,
        _ => TransportErrorKind::Interrupted,
    };
    TransportError::new(kind).with_processed(http2.processed()).with_source(http2)
}

fn proof(error: &(dyn StdError + 'static)) -> (TransportErrorKind, Processed) {
    if find(error, |cause| cause.downcast_ref().filter(|hyper: &&hyper::Error| hyper.is_canceled())).is_some()
    {
        return (TransportErrorKind::Interrupted, Processed::No);
    }
    let io = find(error, |cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    match io {
        // Only `connect` fails so.
        Some(io::ErrorKind::ConnectionRefused) => (TransportErrorKind::Connect, Processed::No),
        Some(io::ErrorKind::TimedOut) => (TransportErrorKind::Timeout, Processed::Unknown),
        _ => (TransportErrorKind::Interrupted, Processed::Unknown),
    }
}

/// The first cause that `wanted` knows.
fn find<'a, T>(
    error: &'a (dyn StdError + 'static),
    wanted: impl Fn(&'a (dyn StdError + 'static)) -> Option<&'a T>,
) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = wanted(error) {
            return Some(found);
        }
        // What an `io::Error` was made of is not its source.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = inner.map(|inner| inner as _).or_else(|| error.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("a layer failed")]
    struct Layer(#[source] BoxError);

    fn secrets() -> Secrets {
        let mut token = HeaderValue::from_static("vapid t=token");
        token.set_sensitive(true);
        let request = Request::post("https://push.example/secret?t=query").header("authorization", token);
        Secrets::of(&request.body(()).unwrap())
    }

    fn of(error: impl Into<BoxError>) -> (TransportErrorKind, Processed) {
        let failure = failure(Layer(error.into()), &secrets());
        (failure.kind(), failure.processed())
    }

    #[test]
    fn what_a_cause_proves_is_believed_and_nothing_else_is() {
        use TransportErrorKind as Kind;

        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(of(refused()), (Kind::Connect, Processed::No));
        assert_eq!(of(io::Error::other(Layer(refused().into()))), (Kind::Interrupted, Processed::Unknown));
        assert_eq!(of(io::Error::from(io::ErrorKind::TimedOut)), (Kind::Timeout, Processed::Unknown));
        assert_eq!(of(io::Error::from(io::ErrorKind::BrokenPipe)), (Kind::Interrupted, Processed::Unknown));
        assert_eq!(of("who knows"), (Kind::Interrupted, Processed::Unknown));
        assert_eq!(of(TransportError::new(Kind::Busy)), (Kind::Busy, Processed::No));
        let knows = TransportError::new(Kind::Busy).with_source(h2::Error::from(h2::Reason::CANCEL));
        assert_eq!(of(Layer(knows.into())), (Kind::Busy, Processed::No), "more than its cause does");
        let wrapped = io::Error::other(TransportError::new(Kind::AddressRefused));
        assert_eq!(of(wrapped), (Kind::AddressRefused, Processed::No));
    }

    #[test]
    fn a_cause_that_quotes_the_request_is_dropped() {
        let source = |text: &str| failure(Layer(text.into()), &secrets()).source().map(ToString::to_string);
        assert_eq!(source("nothing"), Some("a layer failed".to_owned()));
        assert_eq!(source("no answer from https://push.example/secret"), None);
        assert_eq!(source("sent vapid t=token"), None);
        assert_eq!(source("t=query is unknown"), None);
        let knows = || TransportError::new(TransportErrorKind::Busy);
        assert!(failure(knows().with_source("nothing"), &secrets()).source().is_some());
        let dropped = failure(knows().with_source("/secret"), &secrets());
        assert!(dropped.source().is_none() && dropped.kind() == TransportErrorKind::Busy);
    }
}
