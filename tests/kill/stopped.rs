//! A node that sleeps through its lease.

use std::time::Duration;

use super::checks;
use super::database::Database;
use super::node::Node;
use super::setting::Setting;

const SUBSCRIPTIONS: usize = 3000;

/// Stops a node in the middle, lets another one finish, and wakes it.
pub async fn node(database: Database) {
    let mut setting = Setting::new(database, SUBSCRIPTIONS).await;
    let mut sleeper = vec![setting.node()];
    setting.reached(SUBSCRIPTIONS as u64 / 3, &mut sleeper).await;
    let sleeper = sleeper.remove(0);
    stop(&setting.database, &sleeper).await;

    let mut other = vec![setting.node()];
    let before = setting.ended(&mut other).await;
    assert!(before.takeovers > 0, "it had no lease when it was stopped: {before:?}");

    // It is told to end before it wakes, so that it does what it has left to do and no more.
    sleeper.signal("TERM");
    sleeper.signal("CONT");
    sleeper.terminate().await;
    assert_eq!(setting.report().await, before, "it changed something after its lease");
    for node in other {
        node.terminate().await;
    }
    checks::everything(setting, &before).await;
}

/// Stops it while it holds no lock of the database, which the others would wait for: neither engine can take one
/// from a process that is there.
async fn stop(database: &Database, node: &Node) {
    for _ in 0..100 {
        node.signal("STOP");
        if database.is_free().await {
            return;
        }
        node.signal("CONT");
        // Long enough to come to the end of a transaction.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the node is always in the middle of a transaction: {}", node.log());
}
