//! Conformance suite for [`Transport`]: one case for each behaviour of its contract.
//!
//! [`transport_suite!`](crate::transport_suite) turns the cases into tests. A case starts peers of
//! its own on 127.0.0.1, which speak HTTP/1.1 in cleartext from a script, and tells in its result
//! what the transport did wrong. The transport must be allowed to connect to loopback, and should
//! have short timeouts (a second in all, connecting included), because some cases wait for them.
//!
//! What it cannot check, the transport's own tests should: that the address policy is asked (the
//! peers are on loopback, where the transport must connect), and everything of HTTP/2 and TLS.
//!
//! The suite follows the contract: a release may add cases or make them stricter. That is not a
//! breaking change.

mod body;
mod failure;
mod peer;
mod request;
mod status;

use std::error::Error as StdError;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::time::timeout;

pub use self::body::{
    a_compressed_body_is_left_alone, a_cut_body_is_truncated, a_long_body_ends_at_16_kib,
    a_lying_length_is_not_believed, a_slow_body_is_truncated,
};
pub use self::failure::{
    a_dropped_future_ends_the_exchange, a_refused_connection_was_not_processed,
    an_end_without_status_may_have_been_processed, errors_do_not_tell_the_uri,
    silence_times_out_and_may_have_been_processed,
};
pub use self::request::{
    a_request_arrives_octet_for_octet, a_request_without_origin_is_refused, an_empty_body_has_its_length,
    concurrent_requests_are_all_answered, dot_segments_arrive_or_are_refused,
    environment_proxies_are_ignored,
};
pub use self::status::{any_status_is_ok, interim_responses_are_not_final, redirects_are_not_followed};
use crate::transport::{Transport, TransportError};

/// What a transport did that its contract does not allow.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Violation {
    /// In words.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Violation {}

/// The result of a case.
pub type Verdict = Result<(), Violation>;

/// Emits one test for each case, on transports that `$transport` makes: an expression that is
/// evaluated inside a tokio runtime, once for each test.
///
/// Invoke it once in a module, at the top level of a test file or in a `mod` of its own: the
/// tests carry the names of the cases. They need `tokio` with the features `macros` and `rt` as a
/// dependency of the crate that uses the macro, and the usual test harness: one case runs its
/// test again in a child process.
///
/// ```
/// use std::time::Duration;
/// use webpush_channels::AddressPolicy;
/// use webpush_channels::transport::HyperTransport;
///
/// mod contract {
///     # use super::*;
///     webpush_channels::transport_suite!(
///         HyperTransport::builder()
///             .address_policy(AddressPolicy::loopback_for_tests())
///             .total_timeout(Duration::from_secs(1))
///             .build()
///             .expect("the defaults are valid")
///     );
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! transport_suite {
    ($transport:expr) => {
        $crate::transport_suite!(@cases $transport =>
            any_status_is_ok,
            interim_responses_are_not_final,
            redirects_are_not_followed,
            a_request_arrives_octet_for_octet,
            a_request_without_origin_is_refused,
            an_empty_body_has_its_length,
            concurrent_requests_are_all_answered,
            dot_segments_arrive_or_are_refused,
            a_compressed_body_is_left_alone,
            a_cut_body_is_truncated,
            a_long_body_ends_at_16_kib,
            a_lying_length_is_not_believed,
            a_slow_body_is_truncated,
            a_dropped_future_ends_the_exchange,
            a_refused_connection_was_not_processed,
            an_end_without_status_may_have_been_processed,
            errors_do_not_tell_the_uri,
            silence_times_out_and_may_have_been_processed,
        );

        #[test]
        fn environment_proxies_are_ignored() {
            $crate::testing::transport_suite::environment_proxies_are_ignored(
                concat!(module_path!(), "::environment_proxies_are_ignored"),
                || $transport,
            )
            .unwrap_or_else(|violation| panic!("{violation}"));
        }
    };
    (@cases $transport:expr => $($case:ident,)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let transport = $transport;
                $crate::testing::transport_suite::$case(&transport)
                    .await
                    .unwrap_or_else(|violation| panic!("{violation}"));
            }
        )+
    };
}

/// No case waits longer than this for anything: a transport that hangs is a finding.
const PATIENCE: Duration = Duration::from_secs(5);

type Sent = Result<Response<Bytes>, TransportError>;

fn violation<T>(text: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { text: text.into() })
}

fn ensure(holds: bool, text: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { violation(text()) }
}

fn post(peer: SocketAddr, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post(format!("http://{peer}/push/secret-path?secret=query"))
        .header("ttl", "60")
        .body(body.into())
        .expect("the parts are valid")
}

/// Sends, but not for ever.
async fn send(transport: &dyn Transport, request: Request<Bytes>) -> Result<Sent, Violation> {
    match timeout(PATIENCE, transport.send(request)).await {
        Ok(sent) => Ok(sent),
        Err(_) => violation(format!("the request was still pending after {PATIENCE:?}")),
    }
}

async fn send_ok(transport: &dyn Transport, request: Request<Bytes>) -> Result<Response<Bytes>, Violation> {
    send(transport, request)
        .await?
        .or_else(|error| violation(format!("a response with headers was turned into an error: {error:?}")))
}

async fn send_err(transport: &dyn Transport, request: Request<Bytes>) -> Result<TransportError, Violation> {
    match send(transport, request).await? {
        Ok(response) => violation(format!("a status came from nowhere: {}", response.status())),
        Err(error) => Ok(error),
    }
}
