//! What is true of every database of `PostgresStore`, whatever happened to the programs that used it.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

use tokio_postgres::Client;

use super::consistent::{NONE, read_and_counted};

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
        let (read, counted) = tallies
            .into_iter()
            .map(|tally| read_and_counted(&serde_json::from_str(tally).unwrap()))
            .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
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
