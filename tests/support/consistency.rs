//! What is true of every database of `SqliteStore`, whatever happened to the programs that used it.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

use rusqlite::Connection;
use serde_json::Value;

use super::consistent::{self, NONE};

/// Here an end is the end of all its leases, too.
const NO_LEASES: (&str, &str) = (
    "a lease is left on a broadcast that came to its end",
    "SELECT l.number FROM leases AS l JOIN broadcasts AS b ON b.number = l.broadcast WHERE b.state IN (1, 2)",
);

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
    for (problem, sql) in NONE.iter().chain([&NO_LEASES]) {
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
    let tallies: Vec<Value> = serde_json::from_str(tallies).unwrap();
    tallies.iter().map(consistent::read_and_counted).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}
