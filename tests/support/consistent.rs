//! What is true of the databases of both stores, in SQL that both read.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

use serde_json::Value;

/// Each finds rows that must not be there.
pub const NONE: &[(&str, &str)] = &[
    (
        "a user has another number of subscriptions than it says",
        "SELECT number FROM users u WHERE subscriptions <> \
         (SELECT count(*) FROM subscriptions s WHERE s.owner = u.number)",
    ),
    (
        "a subscription is nobody's",
        "SELECT number FROM subscriptions WHERE owner NOT IN (SELECT number FROM users)",
    ),
    (
        "a member is nobody",
        "SELECT channel FROM members WHERE owner NOT IN (SELECT number FROM users) \
         OR channel NOT IN (SELECT number FROM channels)",
    ),
    (
        "a former id leads nowhere",
        "SELECT number FROM former_ids f WHERE NOT EXISTS \
         (SELECT 1 FROM subscriptions s WHERE s.owner = f.owner AND s.number = f.number)",
    ),
    (
        "an id is a former one, too",
        "SELECT number FROM former_ids WHERE id IN (SELECT id FROM subscriptions)",
    ),
    (
        "a lease is for no broadcast",
        "SELECT number FROM leases WHERE broadcast NOT IN (SELECT number FROM broadcasts)",
    ),
    (
        "a lease is for no range",
        "SELECT l.number FROM leases l JOIN broadcasts b ON b.number = l.broadcast \
         WHERE b.ended IS NULL AND NOT EXISTS (SELECT 1 FROM ranges r WHERE r.broadcast = l.broadcast \
         AND r.number = l.range AND (r.number = 0 OR r.lease = l.number))",
    ),
    (
        "a range is leased to nobody",
        "SELECT r.broadcast FROM ranges r WHERE r.lease IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM leases l WHERE l.number = r.lease AND l.broadcast = r.broadcast AND l.range = r.number)",
    ),
    ("a range is done and leased", "SELECT broadcast FROM ranges WHERE done AND lease IS NOT NULL"),
    (
        "a retry is leased to nobody",
        "SELECT t.broadcast FROM retries t WHERE t.lease IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM leases l WHERE l.number = t.lease AND l.broadcast = t.broadcast AND l.range = 0)",
    ),
    (
        "a range is of a broadcast that does not run",
        "SELECT broadcast FROM ranges WHERE broadcast NOT IN (SELECT number FROM broadcasts WHERE ended IS NULL)",
    ),
    (
        "a retry is of a broadcast that does not run",
        "SELECT broadcast FROM retries WHERE broadcast NOT IN (SELECT number FROM broadcasts WHERE ended IS NULL)",
    ),
    (
        "a failure is of no broadcast",
        "SELECT number FROM failures WHERE broadcast NOT IN (SELECT number FROM broadcasts)",
    ),
    (
        "a broadcast says two things about its end",
        "SELECT number FROM broadcasts WHERE (ended IS NULL) <> (state = 0) OR (ended IS NULL) <> (tally IS NULL)",
    ),
    (
        "a broadcast runs although nothing is left of it",
        "SELECT number FROM broadcasts b WHERE ended IS NULL \
         AND NOT EXISTS (SELECT 1 FROM ranges r WHERE r.broadcast = b.number AND NOT r.done) \
         AND NOT EXISTS (SELECT 1 FROM retries t WHERE t.broadcast = b.number)",
    ),
    (
        "a broadcast has no place for the sums of its retries",
        "SELECT number FROM broadcasts b WHERE ended IS NULL \
         AND NOT EXISTS (SELECT 1 FROM ranges r WHERE r.broadcast = b.number AND r.number = 0 AND r.done)",
    ),
    (
        "a channel's totals lack broadcasts",
        "SELECT min(number) FROM broadcasts WHERE audience_kind = 0 AND state IN (1, 2) GROUP BY audience \
         HAVING count(*) > coalesce((SELECT t.broadcasts FROM totals t WHERE t.channel = audience), 0)",
    ),
];

/// How many entries were read, and how many have an outcome.
pub fn read_and_counted(tally: &Value) -> (u64, u64) {
    let origins = tally["origins"].as_object().unwrap().values();
    let counts = origins.flat_map(|counts| counts.as_object().unwrap().values());
    (tally["read"].as_u64().unwrap(), counts.filter_map(Value::as_u64).sum())
}
