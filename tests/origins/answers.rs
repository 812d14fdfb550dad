//! An origin whose HTTP is right and whose answers are not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use webpush_channels::OutcomeKind::{Accepted, Throttled};
use webpush_channels::testing::{Answer, PushService};

use crate::world::{self, ATTEMPTS, FEW};

/// 429, with these as `Retry-After`.
fn slow_down(retry_after: &[&str]) -> Answer {
    let Answer::Response(mut response) = Answer::status(StatusCode::TOO_MANY_REQUESTS) else {
        unreachable!("a status is a response");
    };
    for value in retry_after {
        response.headers_mut().append(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
    }
    Answer::Response(response)
}

/// No `Retry-After`, whatever it says, keeps a message for longer than the policy, or a worker for
/// longer than the timeouts: what is too long is not waited for, what means nothing is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absurd_retry_after_is_not_waited_for() {
    const NEVER: u64 = FEW as u64;
    const AGAIN: u64 = FEW as u64 * ATTEMPTS as u64;
    let ten_to_the_30 = format!("1{}", "0".repeat(30));
    let cases = [
        (vec![], AGAIN),
        (vec!["0"], AGAIN),
        (vec!["-1"], AGAIN),
        (vec!["1e3"], AGAIN),
        (vec!["soon"], AGAIN),
        (vec![""], AGAIN),
        (vec!["Thu, 01 Jan 1970 00:00:00 GMT"], AGAIN),
        (vec!["Fri, 31 Feb 2999 25:61:61 GMT"], AGAIN),
        (vec!["Fri, 31 Dec 9999 23:59:59 GMT"], NEVER),
        (vec!["18446744073709551615"], NEVER),
        (vec!["18446744073709551616"], NEVER),
        (vec![&ten_to_the_30], NEVER),
        // Two of them contradict one another.
        (vec!["99999999", "Thu, 01 Jan 1970 00:00:00 GMT"], AGAIN),
    ];
    join_all(cases.into_iter().map(|(values, attempts)| async move {
        let answer = slow_down(&values);
        let service = PushService::builder().answer(move |_| answer.clone()).start().await.unwrap();
        let run = world::publish_at(&service, FEW, world::impatient()).await;
        assert!(run.all(Throttled), "{values:?}: {run:?}");
        assert_eq!(run.attempts, attempts, "{values:?}: {run:?}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_flaps_gets_every_message_once() {
    let asked = AtomicUsize::new(0);
    let flap = move |_| match asked.fetch_add(1, Ordering::SeqCst) % 2 {
        0 => Answer::unavailable(Some(Duration::ZERO)),
        _ => Answer::Normal,
    };
    let service = PushService::builder().answer(flap).start().await.unwrap();
    let run = world::publish_at(&service, 1, world::impatient()).await;
    assert!(run.all(Accepted), "{run:?}");
    assert_eq!((run.attempts, service.counters().accepted), (2, 1));
}
