//! The JSON of a subscription: read and written back the same, by both ways in.
#![no_main]

use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use webpush_channels::{Subscription, SubscriptionKeys};
use webpush_channels_fuzz::whole;

/// Longer JSON is refused by `from_json` alone: whoever deserializes has a bound of his own.
const MAX_LEN: usize = 16 * 1024;

fuzz_target!(|data: &[u8]| {
    let deserialized = Subscription::deserialize(&mut serde_json::Deserializer::from_slice(data));
    let parsed = Subscription::from_json(data);
    let subscription = match parsed {
        Ok(subscription) => subscription,
        Err(error) => {
            whole(&error);
            if let Err(error) = deserialized {
                assert!(error.to_string().len() < 512, "an error does not quote what it found: {error}");
            }
            return;
        }
    };
    assert!(data.len() <= MAX_LEN);
    assert_eq!(deserialized.ok().as_ref(), Some(&subscription));

    let written = serde_json::to_string(&subscription).expect("a subscription is JSON");
    let again = Subscription::from_json(&written).expect("what was written can be read");
    assert_eq!(again, subscription);
    assert_eq!(serde_json::to_string(&again).expect("it was before"), written);

    let keys = subscription.keys();
    let (p256dh, auth) = (keys.p256dh().to_base64url(), keys.auth().to_base64url());
    assert_eq!(SubscriptionKeys::from_base64url(&p256dh, &auth).as_ref(), Ok(keys));
    assert_eq!(subscription.clone().with_expiration_time(subscription.expiration_time()), subscription);
    assert!(subscription.expiration_time().is_none_or(|at| at >= SystemTime::UNIX_EPOCH));

    let shown = format!("{subscription:?}");
    assert!(!shown.contains(&p256dh) && !shown.contains(&auth), "keys are not shown (S-11)");
});
