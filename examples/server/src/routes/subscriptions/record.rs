//! A subscription as its owner sees it.

use std::time::{Duration, SystemTime};

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use webpush_channels::store::{Entry, EntryRef};
use webpush_channels::{Clock, SystemClock};

use crate::json::Json;

/// One stored subscription.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    reference: EntryRef,
    stamp: Stamp,
    json: Value,
}

impl Record {
    pub(crate) fn of(entry: &Entry) -> Self {
        let reference = entry.reference();
        let mut json = serde_json::to_value(&*entry.subscription).unwrap_or_default();
        if let Some(members) = json.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        let stamp = Stamp::of_record(entry.seen, &json);
        json["id"] = reference.id.to_string().into();
        json["last_modified"] = stamp.0.into();
        Self { reference, stamp, json }
    }

    /// It, in the state in which it was read.
    pub(crate) const fn reference(&self) -> EntryRef {
        self.reference
    }

    pub(crate) const fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(crate) const fn json(&self) -> &Value {
        &self.json
    }

    /// What is left of it when it is deleted.
    pub(crate) fn tombstone(&self, at: Stamp) -> Value {
        json!({"id": self.reference.id.to_string(), "last_modified": at.0, "deleted": true})
    }

    /// Whether nothing but the time differs.
    pub(crate) fn has_content_of(&self, other: &Self) -> bool {
        ["endpoint", "keys", "expirationTime"].iter().all(|name| self.json.get(name) == other.json.get(name))
    }

    pub(crate) fn response(&self, status: StatusCode) -> Response {
        self.stamp.response(status, &self.json)
    }
}

/// The state of a record or a list: what clients compare, the number in `ETag`.
///
/// That of a record is its `last_modified`, in milliseconds since 1970. Stores know seconds; the rest is taken from the
/// content, so that states of one second are told apart, if not always (see [`put`](super::own::put)). That of a list
/// is a time, too, later than those in it, with [`MORE`] for the digits of a hash: what was removed leaves no time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Stamp(pub(crate) u64);

/// Half a second in milliseconds: records have the first half, lists the second.
const HALF: u64 = 500;
/// What the time in the state of a list is multiplied with.
const MORE: u64 = 1_000_000;
/// No time in milliseconds is so large.
const LISTS: u64 = 10_000_000_000_000_000;

impl Stamp {
    fn of_record(seen: SystemTime, content: &Value) -> Self {
        let digest = Sha256::digest(content.to_string());
        Self(whole_second(milliseconds(seen)) + remainder(&digest, HALF))
    }

    /// Of a list with these records.
    pub(crate) fn of_list(records: &[Record]) -> Self {
        let Some(newest) = records.iter().map(|record| record.stamp.0).max() else { return Self(0) };
        let mut hash = Sha256::new();
        for record in records {
            hash.update(record.reference.id.as_bytes());
            hash.update(record.stamp.0.to_be_bytes());
        }
        let time = whole_second(newest) + HALF;
        Self(time.saturating_mul(MORE).saturating_add(remainder(&hash.finalize(), HALF * MORE)))
    }

    /// Its time in milliseconds.
    pub(crate) const fn time(self) -> u64 {
        if self.0 < LISTS { self.0 } else { self.0 / MORE }
    }

    pub(crate) fn now() -> Self {
        Self(milliseconds(SystemClock::new().now()))
    }

    /// This one, or where it is not later than the other, the next.
    pub(crate) fn after(self, other: Self) -> Self {
        self.max(Self(other.0.saturating_add(1)))
    }

    /// `ETag` and `Last-Modified`.
    pub(crate) fn headers(self) -> HeaderMap {
        // The last second that an HTTP date can be.
        const LATEST: u64 = 253_402_300_799;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs((self.time() / 1000).min(LATEST));
        let texts = [(ETAG, format!("\"{}\"", self.0)), (LAST_MODIFIED, httpdate::fmt_http_date(time))];
        texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, HeaderValue::from_str(&text).ok()?)))
            .collect()
    }

    /// A response with `data` of this state.
    pub(crate) fn response(self, status: StatusCode, data: &Value) -> Response {
        (status, self.headers(), Json(json!({"data": data}))).into_response()
    }
}

/// To be asked for again each time, which is cheap with `If-None-Match`; and for nobody else.
pub(crate) fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    response
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

const fn whole_second(milliseconds: u64) -> u64 {
    milliseconds - milliseconds % 1000
}

fn remainder(digest: &[u8], of: u64) -> u64 {
    digest.iter().take(8).fold(0, |sum, octet| sum << 8 | u64::from(*octet)) % of
}

#[cfg(test)]
mod tests {
    use webpush_channels::store::NewEntry;
    use webpush_channels::{Subscription, SubscriptionKeys, UserId};

    use super::*;

    fn record(seen: u64, endpoint: &str) -> Record {
        let keys = SubscriptionKeys::from_base64url(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "BTBZMqHH6r4Tts7J_aSIgg",
        );
        let subscription = Subscription::new(endpoint.parse().unwrap(), keys.unwrap());
        let new = NewEntry::new(UserId::new("ada").unwrap(), subscription);
        Record::of(&Entry::first(&new, SystemTime::UNIX_EPOCH + Duration::from_secs(seen)))
    }

    #[test]
    fn states_of_one_second_differ_and_a_list_is_later_than_its_records() {
        let records: Vec<_> =
            (0..10).map(|n| record(1_700_000_000, &format!("https://push.example.net/{n}"))).collect();
        let times: Vec<u64> = records.iter().map(|record| record.stamp().0).collect();
        assert!(times.iter().all(|time| (1_700_000_000_000..1_700_000_000_500).contains(time)));
        assert!(times.windows(2).any(|pair| pair[0] != pair[1]));
        assert_eq!(records[3].json()["last_modified"], times[3]);

        let (all, most) = (Stamp::of_list(&records), Stamp::of_list(&records[1..]));
        assert!(all != most && all == Stamp::of_list(&records));
        assert!((1_700_000_000_500..1_700_000_001_000).contains(&all.time()));
        assert!(i64::try_from(all.0).is_ok(), "{all:?}");
        assert_eq!(Stamp::of_list(&[]), Stamp(0));
        Stamp::of_list(&[record(u64::from(u32::MAX) * 1000, "https://push.example.net/")]);
    }

    #[test]
    fn the_headers_of_any_time_can_be_written() {
        for stamp in [0, 1_700_000_000_123, u64::MAX] {
            let headers = Stamp(stamp).headers();
            assert_eq!(headers[ETAG], format!("\"{stamp}\""));
            assert!(headers[LAST_MODIFIED].to_str().unwrap().ends_with("GMT"));
        }
    }

    #[test]
    fn a_deletion_is_later_than_what_it_removes() {
        assert_eq!(Stamp(5).after(Stamp(5)), Stamp(6));
        assert_eq!(Stamp(9).after(Stamp(5)), Stamp(9));
        assert_eq!(Stamp(0).after(Stamp(u64::MAX)), Stamp(u64::MAX));
    }
}
