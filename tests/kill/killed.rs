//! Nodes that are killed at random moments.

use std::time::Duration;

use super::checks;
use super::database::Database;
use super::node::Node;
use super::setting::Setting;

/// Enough that each kill finds work in hand.
const SUBSCRIPTIONS: usize = 20_000;

/// Kills one of the nodes so often, and once more, each time starting another, and looks what arrived in the end.
pub async fn nodes(database: Database, seed: u64, nodes: usize, kills: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut setting = Setting::new(database, SUBSCRIPTIONS).await;
    let mut running: Vec<Node> = (0..nodes).map(|_| setting.node()).collect();
    // Before its end, so that there is something left to be done by others.
    let most = SUBSCRIPTIONS as u64 * 9 / 10;
    let mut moments: Vec<u64> = (0..kills).map(|_| random.u64(1..most)).collect();
    moments.sort_unstable();
    for moment in moments {
        setting.reached(moment, &mut running).await;
        tokio::time::sleep(Duration::from_millis(random.u64(..100))).await;
        replace_one(&mut setting, &mut running, &mut random).await;
    }
    // Now only retries are left, and they are due half a minute later.
    setting.reached(setting.live(), &mut running).await;
    replace_one(&mut setting, &mut running, &mut random).await;
    let report = setting.ended(&mut running).await;
    for node in running {
        node.terminate().await;
    }
    assert!(report.takeovers > 0, "{kills} kills, and no lease was lost: {report:?}");
    checks::everything(setting, &report).await;
}

async fn replace_one(setting: &mut Setting, running: &mut Vec<Node>, random: &mut fastrand::Rng) {
    running.swap_remove(random.usize(..running.len())).kill().await;
    running.push(setting.node());
}
