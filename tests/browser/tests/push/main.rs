//! From an application server's POST to what a person sees, with nothing simulated but the vendor.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use webpush_channels_browser_tests::{Failure, World, eventually};

mod devices;
mod keys;
mod notifications;
mod offline;

/// Reports that everything read was taken.
fn assert_accepted(report: &Value, number: u64) {
    assert_eq!(report["state"], "finished", "{report}");
    let counts = if number == 0 { json!({}) } else { json!({ "accepted": number }) };
    assert_eq!(report["counts"], counts, "{report}");
}

/// What the pushes of an object hold: sorted keys, no spaces.
fn canonical(data: &Value) -> String {
    data.to_string()
}

/// Waits until a number is what it should be.
async fn settles(what: &str, wanted: usize, mut look: impl FnMut() -> usize) -> Result<(), Failure> {
    let mut last = None;
    let result = eventually(what, async || {
        last = Some(look());
        Ok((last == Some(wanted)).then_some(()))
    });
    result.await.map_err(|error| format!("{error}: {last:?} instead of {wanted}").into())
}

/// Messages that browsers say they opened.
fn acknowledged(world: &World) -> usize {
    world.push().counters().decrypted.try_into().unwrap()
}
