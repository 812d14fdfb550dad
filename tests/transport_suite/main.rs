//! The transport's conformance suite: `HyperTransport` passes it, and broken transports do not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod naive;

use webpush_channels::testing::transport_suite as suite;

use self::naive::{Flaw, Naive};

mod hyper_transport_keeps_the_contract {
    use std::time::Duration;

    use webpush_channels::AddressPolicy;
    use webpush_channels::transport::HyperTransport;

    webpush_channels::transport_suite!(
        HyperTransport::builder()
            .address_policy(AddressPolicy::loopback_for_tests())
            .total_timeout(Duration::from_secs(1))
            .build()
            .unwrap()
    );
}

mod another_transport_keeps_it_too {
    use super::{Flaw, Naive};

    webpush_channels::transport_suite!(Naive(Flaw::None));
}

/// The case must find the flaw.
macro_rules! finds {
    ($($case:ident: $($flaw:ident)+;)+) => {
        mod finds {
            use super::{Flaw, Naive, suite};

            $(
                #[tokio::test]
                async fn $case() {
                    for flaw in [$(Flaw::$flaw),+] {
                        assert!(suite::$case(&Naive(flaw)).await.is_err(), "{flaw:?} went unnoticed");
                    }
                }
            )+
        }
    };
}

finds! {
    any_status_is_ok: FailsOnErrorStatus DropsResponseHeaders;
    interim_responses_are_not_final: ReturnsInterim;
    redirects_are_not_followed: FollowsRedirects;
    a_request_arrives_octet_for_octet: DecodesEscapes LosesSecondHeader SendsChunked SendsExpect;
    dot_segments_arrive_or_are_refused: DropsDotSegments;
    a_request_without_origin_is_refused: GuessesAnOrigin;
    an_empty_body_has_its_length: OmitsZeroLength SendsChunked;
    concurrent_requests_are_all_answered: FailsOnSecondAtATime;
    a_compressed_body_is_left_alone: Decompresses KeepsNoBody;
    a_cut_body_is_truncated: FailsOnCutBody;
    a_long_body_ends_at_16_kib: KeepsWholeBody KeepsNoBody;
    a_lying_length_is_not_believed: TrustsLength;
    a_slow_body_is_truncated: FailsOnSlowBody;
    a_dropped_future_ends_the_exchange: GoesOnWhenDropped;
    a_refused_connection_was_not_processed: ClaimsUnknownAlways;
    an_end_without_status_may_have_been_processed: ClaimsNoAlways RepeatsWhenClosed;
    errors_do_not_tell_the_uri: TellsTheUri;
    silence_times_out_and_may_have_been_processed: ClaimsNoAlways NeverTimesOut;
}

#[test]
fn finds_a_proxy_that_is_used() {
    let test = concat!(module_path!(), "::finds_a_proxy_that_is_used");
    // In the child process this is the verdict on the request itself, which the proxy swallows.
    let violation = suite::environment_proxies_are_ignored(test, || Naive(Flaw::UsesProxy)).unwrap_err();
    assert!(!violation.text.contains("did not run"), "{violation}");
}
