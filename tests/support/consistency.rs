//! What is true of every database of `SqliteStore`, whatever happened to the programs that used it.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

use rusqlite::Connection;
use serde_json::Value;

/// Each finds rows that must not be there.
const NONE: &[(&str, &str)] = &[
    (
        "a user has another number of subscriptions than it says",
        "SELECT number FROM users WHERE subscriptions <> \
         (SELECT count(*) FROM subscriptions WHERE owner = users.number)",
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
        "SELECT number FROM former_ids AS f WHERE NOT EXISTS \
         (SELECT 1 FROM subscriptions WHERE owner = f.owner AND number = f.number)",
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
        "SELECT l.number FROM leases AS l JOIN broadcasts AS b ON b.number = l.broadcast \
         WHERE b.ended IS NULL AND NOT EXISTS (SELECT 1 FROM ranges AS r WHERE r.broadcast = l.broadcast \
         AND r.number = l.range AND (r.number = 0 OR r.lease = l.number))",
    ),
    (
        "a lease is left on a broadcast that came to its end",
        "SELECT l.number FROM leases AS l JOIN broadcasts AS b ON b.number = l.broadcast WHERE b.state IN (1, 2)",
    ),
    (
        "a range is leased to nobody",
        "SELECT r.broadcast FROM ranges AS r WHERE r.lease IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM leases AS l WHERE l.number = r.lease AND l.broadcast = r.broadcast AND l.range = r.number)",
    ),
    ("a range is done and leased", "SELECT broadcast FROM ranges WHERE done <> 0 AND lease IS NOT NULL"),
    (
        "a retry is leased to nobody",
        "SELECT r.broadcast FROM retries AS r WHERE r.lease IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM leases AS l WHERE l.number = r.lease AND l.broadcast = r.broadcast AND l.range = 0)",
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
        "SELECT number FROM broadcasts AS b WHERE ended IS NULL \
         AND NOT EXISTS (SELECT 1 FROM ranges WHERE broadcast = b.number AND done = 0) \
         AND NOT EXISTS (SELECT 1 FROM retries WHERE broadcast = b.number)",
    ),
    (
        "a broadcast has no place for the sums of its retries",
        "SELECT number FROM broadcasts AS b WHERE ended IS NULL \
         AND NOT EXISTS (SELECT 1 FROM ranges WHERE broadcast = b.number AND number = 0 AND done = 1)",
    ),
    (
        "a channel's totals lack broadcasts",
        "SELECT number FROM broadcasts WHERE audience_kind = 0 AND state IN (1, 2) GROUP BY audience \
         HAVING count(*) > coalesce((SELECT t.broadcasts FROM totals AS t WHERE t.channel = audience), 0)",
    ),
];

/// Checks the file, its rows, and what workers that keep to the contract have counted.
pub fn check(database: &Connection) {
    let problems = problems(database);
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Checks that the file is whole, and that each row is where it belongs.
pub fn check_rows(database: &Connection) {
    let problems = problems_of_rows(database);
    assert!(problems.is_empty(), "{problems:#?}");
}

/// All that is wrong.
pub fn problems(database: &Connection) -> Vec<String> {
    let mut problems = problems_of_rows(database);
    problems.extend(problems_of_counts(database));
    problems
}

fn problems_of_rows(database: &Connection) -> Vec<String> {
    let whole: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let mut problems: Vec<_> = Some(whole).filter(|whole| whole != "ok").into_iter().collect();
    for (problem, sql) in NONE {
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        let rows: Vec<i64> = rows.map(Result::unwrap).collect();
        if !rows.is_empty() {
            problems.push(format!("{problem}: {rows:?}"));
        }
    }
    problems
}

/// Every entry that was read has its outcome or waits for a retry, once.
fn problems_of_counts(database: &Connection) -> Vec<String> {
    let mut statement = database
        .prepare(
            "SELECT b.number, b.state, b.tally, (SELECT count(*) FROM retries WHERE broadcast = b.number), \
             (SELECT json_group_array(json(tally)) FROM ranges WHERE broadcast = b.number) \
             FROM broadcasts AS b",
        )
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut problems = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let (number, state, retries): (i64, i64, i64) =
            (row.get(0).unwrap(), row.get(1).unwrap(), row.get(3).unwrap());
        let tallies = match row.get::<_, Option<String>>(2).unwrap() {
            Some(tally) => format!("[{tally}]"),
            None => row.get(4).unwrap(),
        };
        let (read, counted) = read_and_counted(&tallies);
        let right = match state {
            0 => read == counted + u64::try_from(retries).unwrap(),
            // What was deferred stays pending.
            3 => read >= counted,
            _ => read == counted,
        };
        if !right {
            problems.push(format!(
                "broadcast {number} (state {state}): {read} read, {counted} counted, {retries} retries"
            ));
        }
    }
    problems
}

/// How many entries were read, and how many have an outcome.
fn read_and_counted(tallies: &str) -> (u64, u64) {
    let tallies: Value = serde_json::from_str(tallies).unwrap();
    let (mut read, mut counted) = (0, 0);
    for tally in tallies.as_array().unwrap() {
        read += tally["read"].as_u64().unwrap();
        let origins = tally["origins"].as_object().unwrap().values();
        counted += origins
            .flat_map(|counts| counts.as_object().unwrap().values())
            .filter_map(Value::as_u64)
            .sum::<u64>();
    }
    (read, counted)
}
