//! What must be true after all.

use webpush_channels::{BroadcastState, OutcomeKind, Report};

use super::receivers::Kind;
use super::setting::{IN_FLIGHT, Setting, WINDOW, channel, id};

/// Everybody was reached, nobody more often than promised, and every book says the same.
pub async fn everything(setting: Setting, report: &Report) {
    let kinds: Vec<_> = (0..setting.subscriptions).map(Kind::of).collect();
    let live = setting.live();
    let dead = setting.subscriptions as u64 - live;
    let (missed, duplicates) = received(&kinds, &setting.receivers.messages());
    let bound = (WINDOW + IN_FLIGHT) as u64 * report.takeovers + report.repeats;
    println!(
        "    {} requests, {} takeovers, {} repeats: {duplicates} duplicates (at most {bound})",
        report.attempts, report.takeovers, report.repeats
    );
    assert_eq!(missed, Vec::<usize>::new(), "live subscriptions without a message: {report:?}");
    assert!(duplicates <= bound, "{report:?}");

    assert_eq!(report.state, BroadcastState::Finished, "{report:?}");
    assert_eq!((report.read, report.pending), (live + dead, 0), "{report:?}");
    assert_eq!(report.counts.total(), report.read, "{report:?}");
    assert_eq!(report.counts[OutcomeKind::Accepted], live, "{report:?}");
    assert_eq!((report.counts[OutcomeKind::Gone], report.pruned), (dead, dead), "{report:?}");

    let journal = &setting.journal;
    assert_eq!(journal.count(&channel()).await.unwrap().subscriptions, live);
    assert_eq!(journal.unfinished(None, std::num::NonZeroU16::MIN).await.unwrap(), []);
    let webpush_channels::store::Audience::Channel(name) = channel() else { unreachable!("it is one") };
    let totals = journal.totals(&name).await.unwrap();
    assert_eq!((totals.broadcasts, &totals.counts, totals.pruned), (1, &report.counts, dead));
    assert_eq!(journal.report(&id()).await.unwrap().as_ref(), Some(report));
    setting.database.check().await;
}

/// Who of the living has nothing, and how many messages came more than once.
fn received(kinds: &[Kind], messages: &[u32]) -> (Vec<usize>, u64) {
    let live = |number: &usize| kinds[*number] != Kind::Dead;
    let missed = (0..kinds.len()).filter(live).filter(|number| messages[*number] == 0).collect();
    (missed, messages.iter().map(|count| u64::from(count.saturating_sub(1))).sum())
}
