//! What is true of every database of `PostgresStore`, whatever happened to the programs that used it.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

use serde_json::Value;
use tokio_postgres::Client;

/// Each finds rows that must not be there.
const NONE: &[(&str, &str)] = &[
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
         (SELECT FROM subscriptions s WHERE s.owner = f.owner AND s.number = f.number)",
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
         WHERE b.ended IS NULL AND NOT EXISTS (SELECT FROM ranges r WHERE r.broadcast = l.broadcast \
         AND r.number = l.range AND (r.number = 0 OR r.lease = l.number))",
    ),
    (
        "a range is leased to nobody",
        "SELECT r.broadcast FROM ranges r WHERE r.lease IS NOT NULL AND NOT EXISTS \
         (SELECT FROM leases l WHERE l.number = r.lease AND l.broadcast = r.broadcast AND l.range = r.number)",
    ),
    ("a range is done and leased", "SELECT broadcast FROM ranges WHERE done AND lease IS NOT NULL"),
    (
        "a retry is leased to nobody",
        "SELECT t.broadcast FROM retries t WHERE t.lease IS NOT NULL AND NOT EXISTS \
         (SELECT FROM leases l WHERE l.number = t.lease AND l.broadcast = t.broadcast AND l.range = 0)",
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
         AND NOT EXISTS (SELECT FROM ranges r WHERE r.broadcast = b.number AND NOT r.done) \
         AND NOT EXISTS (SELECT FROM retries t WHERE t.broadcast = b.number)",
    ),
    (
        "a broadcast has no place for the sums of its retries",
        "SELECT number FROM broadcasts b WHERE ended IS NULL \
         AND NOT EXISTS (SELECT FROM ranges r WHERE r.broadcast = b.number AND r.number = 0 AND r.done)",
    ),
    (
        "a channel's totals lack broadcasts",
        "SELECT min(number) FROM broadcasts WHERE audience_kind = 0 AND state IN (1, 2) GROUP BY audience \
         HAVING count(*) > coalesce((SELECT t.broadcasts FROM totals t WHERE t.channel = audience), 0)",
    ),
];

/// Checks the rows, and what workers that keep to the contract have counted.
pub async fn check(client: &Client) {
    check_rows(client).await;
    check_counts(client).await;
}

/// Checks that each row is where it belongs.
pub async fn check_rows(client: &Client) {
    client.batch_execute("SET search_path = webpush_channels").await.unwrap();
    for (problem, sql) in NONE {
        let rows = client.query(*sql, &[]).await.unwrap();
        let rows: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        assert!(rows.is_empty(), "{problem}: {rows:?}");
    }
}

/// In one statement: others may be at work.
const COUNTS: &str = "SELECT b.number, b.state, (SELECT count(*) FROM webpush_channels.retries t \
         WHERE t.broadcast = b.number), \
         CASE WHEN b.tally IS NULL THEN ARRAY(SELECT r.tally FROM webpush_channels.ranges r \
         WHERE r.broadcast = b.number) ELSE ARRAY[b.tally] END \
     FROM webpush_channels.broadcasts b";

/// Checks that every entry that was read has its outcome or waits for a retry, once.
pub async fn check_counts(client: &Client) {
    for row in client.query(COUNTS, &[]).await.unwrap() {
        let (number, state, retries): (i64, i16, i64) = (row.get(0), row.get(1), row.get(2));
        let tallies: Vec<&str> = row.get(3);
        let (read, counted) =
            tallies.into_iter().map(read_and_counted).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let waiting = u64::try_from(retries).unwrap();
        match state {
            0 => assert_eq!(read, counted + waiting, "entries of the running broadcast {number}"),
            3 => assert!(
                read >= counted,
                "{read} entries, {counted} counted of the aborted broadcast {number}"
            ),
            _ => assert_eq!(read, counted, "entries of the finished broadcast {number}"),
        }
    }
}

/// How many entries were read, and how many have an outcome.
fn read_and_counted(tally: &str) -> (u64, u64) {
    let tally: Value = serde_json::from_str(tally).unwrap();
    let origins = tally["origins"].as_object().unwrap().values();
    let counts = origins.flat_map(|counts| counts.as_object().unwrap().values());
    (tally["read"].as_u64().unwrap(), counts.filter_map(Value::as_u64).sum())
}
