//! What is told of a message that the push service took: the granted lifetime, what it dropped, receipts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/durable.rs"]
mod durable;
mod support;

use std::time::SystemTime;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::Response;
use support::{Answer, Double, answer, broadcast, hub, members, message, news, status, vapid};
use webpush_channels::channel::{Channel as _, Delivery};
use webpush_channels::engine::request::PushRequest;
use webpush_channels::engine::response::{Verdict, classify};
use webpush_channels::sender::Sender;
use webpush_channels::store::MemoryStore;
use webpush_channels::testing::{Answer as Scripted, PushService, UserAgent};
use webpush_channels::transport::{HyperTransport, Transport as _};
use webpush_channels::{AddressPolicy, Endpoint, EndpointPolicy, Outcome, OutcomeKind, ReceiptUrl, Ttl};

const RECEIPTS: &str = "</r/1>; rel=\"urn:ietf:params:push:receipt\"";

/// The push services, by an endpoint of each.
const VENDORS: [(&str, &str); 5] = [
    ("Mozilla", "https://updates.push.services.mozilla.com/wpush/v2/x"),
    ("FCM", "https://fcm.googleapis.com/fcm/send/x"),
    ("Apple", "https://web.push.apple.com/x"),
    ("WNS", "https://db5p.notify.windows.com/w/?token=x"),
    ("other", "https://push.example.net/p/x"),
];

/// The same headers mean the same from everybody, but for what is WNS's own.
#[test]
fn what_an_accepting_answer_tells_is_read_for_every_vendor() {
    for (vendor, endpoint) in VENDORS {
        let endpoint: Endpoint = endpoint.parse().unwrap();
        let origin = endpoint.origin();
        let read = |status: u16, headers: &[(&str, &str)]| {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            let response = response.body(Bytes::new()).unwrap();
            classify(&endpoint, Ttl::hours(1), &response, SystemTime::UNIX_EPOCH).verdict
        };
        let all = [("location", "/m/1"), ("ttl", "60"), ("link", RECEIPTS)];
        for (status, receipts) in [(200, false), (201, false), (202, true), (204, false)] {
            let verdict = read(status, &all);
            let Verdict::Accepted { message_url, granted_ttl, receipt_url, .. } = verdict else {
                panic!("{vendor} {status}: {verdict:?}");
            };
            assert_eq!(message_url.unwrap().as_str(), format!("{origin}/m/1"), "{vendor}");
            assert_eq!(granted_ttl, Some(Ttl::from_secs(60)), "{vendor}");
            let expected = receipts.then(|| format!("{origin}/r/1"));
            assert_eq!(
                receipt_url.as_ref().map(ReceiptUrl::as_str),
                expected.as_deref(),
                "{vendor} {status}"
            );
        }
        let Verdict::Accepted { message_url, granted_ttl, receipt_url, .. } = read(202, &[]) else {
            panic!()
        };
        assert_eq!((message_url, granted_ttl, receipt_url), (None, None, None), "{vendor}");
        for status in [200, 201, 202] {
            let dropped = read(status, &[("x-wns-status", "dropped")]);
            assert_eq!(dropped == Verdict::AcceptedDropped, vendor == "WNS", "{vendor} {status}");
        }
    }
}

fn by_host(uri: &str) -> Answer {
    match uri {
        _ if uri.contains("windows") => answer(200, &[("x-wns-status", "dropped"), ("ms-cv", "a.1")], ""),
        _ if uri.contains("short") => answer(201, &[("ttl", "60"), ("location", "/m/1")], ""),
        _ if uri.contains("receipts") => answer(202, &[("link", RECEIPTS), ("location", "/m/2")], ""),
        _ => status(201),
    }
}

const ENDPOINTS: [&str; 4] = [
    "https://db5p.notify.windows.com/w/?token=x",
    "https://short.example.net/p/1",
    "https://receipts.example.net/p/1",
    "https://plain.example.net/p/1",
];

#[tokio::test(start_paused = true)]
async fn deliveries_and_reports_tell_what_was_dropped_shortened_or_receipted() {
    let store = members(MemoryStore::new(), ENDPOINTS.map(str::to_owned)).await;
    let channels = hub(store, &Double::new(|seen, _| by_host(&seen.uri)));
    let channel = channels.channel(&news());
    let deliveries: Vec<Delivery> = channel.deliveries(broadcast()).try_collect().await.unwrap();
    let of = |endpoint: &str| {
        let own = |delivery: &&Delivery| delivery.entry.subscription.endpoint().as_str() == endpoint;
        deliveries.iter().find(own).unwrap()
    };
    let dropped = of(ENDPOINTS[0]);
    assert_eq!((&dropped.outcome, dropped.outcome.is_accepted()), (&Outcome::AcceptedDropped, false));
    let said = dropped.detail.as_ref().unwrap().to_string();
    assert!(said.contains("dropped") && said.contains("MS-CV a.1"), "{said}");
    let Outcome::Accepted { message_url, granted_ttl, receipt_url } = &of(ENDPOINTS[1]).outcome else {
        panic!()
    };
    assert_eq!(message_url.as_ref().unwrap().as_str(), "https://short.example.net/m/1");
    assert_eq!((granted_ttl, receipt_url), (&Some(Ttl::from_secs(60)), &None));
    assert!(message().ttl() > granted_ttl.unwrap());
    let receipted = &of(ENDPOINTS[2]).outcome;
    assert_eq!(receipted.message_url().unwrap().as_str(), "https://receipts.example.net/m/2");
    let Outcome::Accepted { receipt_url: Some(receipt_url), .. } = receipted else { panic!() };
    assert_eq!(receipt_url.as_str(), "https://receipts.example.net/r/1");
    assert_eq!(of(ENDPOINTS[3]).outcome.message_url(), None);

    let report = channel.publish(broadcast()).await.unwrap();
    assert_eq!((report.counts[OutcomeKind::Accepted], report.counts[OutcomeKind::AcceptedDropped]), (3, 1));
    assert_eq!((report.pruned, report.failures.len()), (0, 1), "dropped is no proof of anything");
    let failure = &report.failures[0];
    assert_eq!((failure.outcome, failure.attempts), (OutcomeKind::AcceptedDropped, 1));
    assert!(failure.detail.as_ref().unwrap().contains("dropped"));
    assert!(report.to_string().contains("accepted_dropped"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_durable_broadcast_counts_and_lists_what_was_dropped() {
    let journal = durable::journal(ENDPOINTS.map(str::to_owned)).await;
    let transport = Double::new(|seen, _| by_host(&seen.uri));
    let report = durable::run(&journal, &transport, 10, broadcast()).await;
    assert_eq!((report.counts[OutcomeKind::Accepted], report.counts[OutcomeKind::AcceptedDropped]), (3, 1));
    assert_eq!((report.failures.len(), report.failures[0].outcome), (1, OutcomeKind::AcceptedDropped));
    assert_eq!(transport.seen().len(), 4, "nothing of it is repeated");
}

/// No sender asks for receipts (H-18); whoever builds requests may, and keeps what it gets.
#[tokio::test]
async fn receipts_go_around_once() {
    let service = PushService::start().await.unwrap();
    let agent = UserAgent::seeded(1);
    let to = service.subscribe(&agent);
    let transport =
        HyperTransport::builder().address_policy(AddressPolicy::loopback_for_tests()).build().unwrap();
    let sender =
        Sender::builder(vapid(1), transport.clone()).policy(EndpointPolicy::loopback_for_tests()).build();
    service.script(&to, [Scripted::AcceptWithReceipts, Scripted::Normal]);
    let Outcome::Accepted { message_url, granted_ttl, receipt_url } =
        sender.send(&to, &message()).await.outcome
    else {
        panic!()
    };
    assert!(message_url.is_some() && granted_ttl == Some(Ttl::hours(1)));
    let receipt_url = receipt_url.expect("202 with a Link");
    assert!(receipt_url.as_str().starts_with(&format!("{}/r/", service.origin())));

    let token = vapid(1).authorization(&service.origin()).unwrap().header;
    let request = PushRequest::new(to.endpoint(), Ttl::ZERO, token).with_receipts(Some(&receipt_url));
    assert_eq!(transport.send(request.into_http()).await.unwrap().status(), 201);
    let [by_sender, by_hand] = &service.received(&to)[..] else { panic!("{:?}", service.violations()) };
    assert!(!by_sender.headers().contains_key("prefer") && !by_sender.headers().contains_key("link"));
    assert_eq!(by_hand.headers()["prefer"], "respond-async");
    let link = format!("<{}>; rel=\"urn:ietf:params:push:receipt\"", receipt_url.as_str());
    assert_eq!(by_hand.headers()["link"], link);
}
