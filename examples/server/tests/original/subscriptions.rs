//! Subscriptions: one by one, and lists.

use serde_json::{Value, json};

use super::case::{Case, call};
use super::differences::{HASH_ID, KNOWN_MEMBERS, LIVE_LISTS, ONE_OWNER, REAL_KEYS, WHOLE_SECONDS};
use super::{ADA, BOB};

/// What a browser sends, and its id.
#[derive(Clone, Debug)]
pub struct Device {
    pub json: Value,
    pub id: String,
}

impl Device {
    fn path(&self) -> String {
        format!("/v0/subscriptions/{}", self.id)
    }

    /// With some members changed.
    fn with(&self, members: &Value) -> Value {
        let mut json = self.json.clone();
        for (name, value) in members.as_object().unwrap() {
            json[name] = value.clone();
        }
        json!({"data": json})
    }

    fn body(&self) -> Value {
        json!({"data": self.json})
    }

    fn record(&self) -> Value {
        self.with(&json!({"id": self.id, "last_modified": "<number>"}))
    }

    fn tombstone(&self) -> Value {
        json!({"id": self.id, "last_modified": "<number>", "deleted": true})
    }
}

pub fn cases([one, two, three]: &[Device; 3]) -> Vec<Case> {
    let mut cases = posts(one, two);
    cases.extend(refusals(one));
    cases.extend(lists(one, two));
    cases.extend(one_by_one(one, three));
    cases.extend(owners(one));
    cases.extend(removals(one, two));
    cases
}

fn post(body: &Value) -> Case {
    call("POST", "/v0/subscriptions").by(ADA).json(body)
}

fn get(query: &str) -> Case {
    call("GET", format!("/v0/subscriptions{query}")).by(ADA)
}

fn posts(one: &Device, two: &Device) -> Vec<Case> {
    vec![
        get("")
            .exactly(json!({"data": []}))
            .with("total-records", "0")
            .with("etag", "\"*")
            .with("last-modified", "*")
            .with("cache-control", "no-cache, no-store"),
        post(&one.body())
            .gives(201)
            .exactly(one.record())
            .with("etag", "\"*")
            .with("last-modified", "*")
            .differs(WHOLE_SECONDS),
        post(&one.body()).gives(201).exactly(one.record()),
        post(&one.with(&json!({"id": one.id, "keys": two.json["keys"]}))).gives(200).exactly(one.record()),
        post(&one.with(&json!({"id": "nope"}))).gives(400).part(json!({
            "errno": 107,
            "message": format!("data in body: Invalid ID: 'nope' found while it should be '{}'", one.id),
        })),
        post(&one.with(&json!({"expirationTime": 4_102_444_800_000_u64})))
            .gives(201)
            .part(json!({"data": {"expirationTime": 4_102_444_800_000_u64}})),
        post(&one.with(&json!({"options": {"userVisibleOnly": true}})))
            .gives(201)
            .exactly(one.record())
            .differs(KNOWN_MEMBERS),
    ]
}

fn refusals(one: &Device) -> Vec<Case> {
    let invalid =
        |message: &str| json!({"code": 400, "errno": 107, "error": "Invalid parameters", "message": message});
    let keys = |auth: &Value, p256dh: &Value| one.with(&json!({"keys": {"auth": auth, "p256dh": p256dh}}));
    let (auth, p256dh) = (&one.json["keys"]["auth"], &one.json["keys"]["p256dh"]);
    let off_curve = p256dh.as_str().unwrap().replace(|c: char| c.is_ascii_lowercase(), "a");
    vec![
        post(&json!({"data": {"endpoint": "nope", "keys": one.json["keys"]}}))
            .gives(400)
            .part(invalid("data.endpoint in body: Must be a URL")),
        post(&json!({"data": {"endpoint": one.json["endpoint"]}}))
            .gives(400)
            .part(invalid("data.keys in body: Required")),
        post(&json!({"data": {"keys": one.json["keys"]}}))
            .gives(400)
            .part(invalid("data.endpoint in body: Required")),
        post(&json!({})).gives(400).part(invalid("data in body: Required")),
        post(&one.with(&json!({"keys": {"auth": auth}})))
            .gives(400)
            .part(invalid("data.keys.p256dh in body: Required")),
        post(&one.with(&json!({"keys": {"p256dh": p256dh}})))
            .gives(400)
            .part(invalid("data.keys.auth in body: Required")),
        post(&keys(auth, &json!("nope"))).gives(400).part(json!({"code": 400})),
        post(&keys(auth, &json!(off_curve))).gives(400).part(json!({"errno": 107})).differs(REAL_KEYS),
        post(&keys(&json!("c2hvcnQ"), p256dh)).gives(400).part(json!({"errno": 107})).differs(REAL_KEYS),
        post(&json!({"data": one.json, "x": 1}))
            .gives(400)
            .part(json!({"details": [{"description": "Unrecognized keys in mapping: \"{'x': 1}\""}]})),
    ]
}

fn lists(one: &Device, two: &Device) -> Vec<Case> {
    let both = |first: &Device, second: &Device| json!({"data": [{"id": first.id}, {"id": second.id}]});
    let (first, second) = if one.id < two.id { (one, two) } else { (two, one) };
    vec![
        post(&two.body()).gives(201).exactly(two.record()),
        get("").part(json!({"data": [{"id": "<text>"}, {"id": "<text>"}]})).with("total-records", "2"),
        get("?_sort=id").part(both(first, second)),
        get("?_sort=-id").part(both(second, first)).without("next-page"),
        get("?_sort=id&_limit=1")
            .part(json!({"data": [{"id": first.id}]}))
            .with("total-records", "2")
            .with("next-page", "http*"),
        get("?_fields=endpoint&_sort=id&_limit=1").exactly(json!({"data": [
            {"endpoint": first.json["endpoint"], "id": first.id, "last_modified": "<number>"},
        ]})),
        get(&format!("?id={}", two.id))
            .exactly(json!({"data": [two.record()["data"]]}))
            .with("total-records", "1"),
        get("?_since=99999999999999").exactly(json!({"data": []})),
        get("?_before=1").exactly(json!({"data": []})),
        get("?_limit=x").gives(400).part(json!({"errno": 107, "details": [{"location": "querystring"}]})),
        get("?_sort=unknown").gives(400).part(json!({"errno": 107})),
        get("?unknown=1").gives(400).part(json!({"errno": 107})),
        get("").with("total-records", "2"),
        get("").header("if-none-match", "{etag}").gives(304).with("etag", "\"*").with("last-modified", "*"),
        get("").header("if-match", "{etag}"),
        get("")
            .header("if-match", "\"1\"")
            .gives(412)
            .part(json!({"code": 412, "errno": 114, "message": "Resource was modified meanwhile"})),
        call("HEAD", "/v0/subscriptions").by(ADA).with("total-records", "2"),
        call("GET", "/v0/subscriptions").by(BOB).exactly(json!({"data": []})).with("total-records", "0"),
    ]
}

/// GET, PUT and PATCH, of one that is there and of one that is not.
fn one_by_one(one: &Device, other: &Device) -> Vec<Case> {
    let put = |device: &Device| call("PUT", device.path()).by(ADA).json(&device.body());
    let unknown = json!({"code": 404, "errno": 110, "error": "Not Found", "details": {
        "id": "abc", "resource_name": "subscription",
    }});
    let keys = &one.json["keys"];
    vec![
        call("GET", one.path()).by(ADA).exactly(one.record()).with("etag", "\"*"),
        call("GET", one.path()).by(ADA).header("if-none-match", "{etag}").gives(304),
        call("GET", "/v0/subscriptions/abc").by(ADA).gives(404).exactly(unknown),
        call("GET", "/v0/subscriptions/-bad")
            .by(ADA)
            .gives(400)
            .part(json!({"message": "path: Invalid record id"})),
        put(other).header("if-match", "\"1\"").gives(412).part(json!({"errno": 114})),
        put(other).header("if-none-match", "*").gives(201).exactly(other.record()),
        put(other).gives(200).exactly(other.record()),
        put(other)
            .header("if-none-match", "*")
            .gives(412)
            .part(json!({"errno": 114, "details": {"existing": {"id": other.id}}})),
        call("PUT", "/v0/subscriptions/abc")
            .by(ADA)
            .json(&other.body())
            .gives(400)
            .part(json!({"errno": 107}))
            .differs(HASH_ID),
        call("PATCH", other.path())
            .by(ADA)
            .json(&json!({"data": {"keys": keys}}))
            .gives(200)
            .part(json!({"data": {"id": other.id, "keys": keys}})),
        call("PATCH", "/v0/subscriptions/abc")
            .by(ADA)
            .json(&json!({"data": {}}))
            .gives(404)
            .part(json!({"errno": 110})),
        call("DELETE", other.path()).by(ADA).exactly(json!({"data": other.tombstone()})),
    ]
}

fn owners(one: &Device) -> Vec<Case> {
    let unknown = json!({"code": 404, "errno": 110, "error": "Not Found", "details": {
        "id": one.id, "resource_name": "subscription",
    }});
    vec![
        call("GET", one.path()).by(BOB).gives(404).exactly(unknown.clone()),
        call("PATCH", one.path()).by(BOB).json(&json!({"data": {}})).gives(404).exactly(unknown.clone()),
        call("DELETE", one.path()).by(BOB).gives(404).exactly(unknown.clone()),
        call("GET", one.path()).by(ADA).exactly(one.record()),
        call("POST", "/v0/subscriptions")
            .by(BOB)
            .json(&one.body())
            .gives(201)
            .exactly(one.record())
            .differs(ONE_OWNER),
        call("GET", one.path()).by(ADA).gives(404).exactly(unknown).differs(ONE_OWNER),
        post(&one.body()).gives(201).exactly(one.record()),
    ]
}

fn removals(one: &Device, two: &Device) -> Vec<Case> {
    let delete = |query: &str| call("DELETE", format!("/v0/subscriptions{query}")).by(ADA);
    vec![
        call("DELETE", one.path()).by(ADA).header("if-match", "\"1\"").gives(412).part(json!({"errno": 114})),
        call("DELETE", one.path()).by(ADA).exactly(json!({"data": one.tombstone()})),
        call("DELETE", one.path()).by(ADA).gives(404).part(json!({"errno": 110})),
        get("?_since=0")
            .part(json!({"data": [{"id": two.id}]}))
            .with("total-records", "1")
            .differs(LIVE_LISTS),
        post(&one.body()).gives(201),
        delete(&format!("?id={}", two.id)).exactly(json!({"data": [two.tombstone()]})),
        delete("").exactly(json!({"data": [one.tombstone()]})),
        delete("").exactly(json!({"data": []})),
        call("GET", one.path()).by(ADA).gives(404).part(json!({"errno": 110})),
    ]
}
