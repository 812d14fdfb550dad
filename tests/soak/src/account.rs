//! The account: what the ledger comes to, and whether it is as it must be.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use webpush_channels::{BroadcastState, OutcomeKind, Report};

use crate::ledger::{Broadcast, End, Failed, Ledger};

/// What a worker has in hand at most, of one lease: what it may have sent without having said so.
pub(crate) const IN_HAND: u64 = 4096 + 64;

/// How many of a kind are named.
const NAMED: usize = 5;

#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) broadcasts: u64,
    pub(crate) owed: u64,
    /// Owed, and there.
    pub(crate) accepted: u64,
    /// Owed, not there, and the report says why.
    pub(crate) explained: BTreeMap<&'static str, u64>,
    /// Of these, messages that had time enough: every try failed.
    pub(crate) given_up: u64,
    /// Of these, with fewer requests than there may be.
    pub(crate) early: u64,
    pub(crate) lost: u64,
    /// Messages that somebody had already.
    pub(crate) duplicates: u64,
    /// Of these, in broadcasts whose workers all lived: of messages that may have arrived, and were sent again.
    pub(crate) repeated: u64,
    pub(crate) takeovers: u64,
    pub(crate) repeats: u64,
    /// Requests, pruned and withheld subscriptions of all reports.
    pub(crate) attempts: u64,
    pub(crate) pruned: u64,
    pub(crate) withheld: u64,
    /// Outcomes of all reports.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Devices that were gone, that a broadcast had to find, and that are stored yet.
    pub(crate) kept: u64,
    /// Devices that were gone and had to be found.
    pub(crate) gone: u64,
    pub(crate) wrong: Vec<String>,
}

impl Account {
    pub(crate) fn of(ledger: &Ledger) -> Self {
        let mut account = Self::default();
        for (number, broadcast) in ledger.broadcasts.iter().enumerate() {
            match &broadcast.end {
                None => account.wrong(format!("broadcast {number} does not end")),
                Some(end) => account.broadcast(ledger, number, broadcast, end),
            }
        }
        account.pruning(ledger);
        if account.lost > 0 {
            let (lost, owed) = (account.lost, account.owed);
            account.wrong(format!("{lost} of {owed} messages are lost"));
        }
        if account.given_up * RARE > account.owed {
            let (given_up, owed) = (account.given_up, account.owed);
            account.wrong(format!("{given_up} of {owed} messages were given up, though there was time"));
        }
        account
    }

    /// Something is not as it must be.
    pub(crate) fn wrong(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    fn broadcast(&mut self, ledger: &Ledger, number: usize, broadcast: &Broadcast, end: &End) {
        self.broadcasts += 1;
        let (mut duplicates, mut messages, mut repeated) = (0, 0, Vec::new());
        for device in &ledger.devices {
            let receipts = device.accepted.get(&number).map_or(&[][..], Vec::as_slice);
            let got = receipts.len() as u64;
            messages += got;
            if !device.is_owed(broadcast) {
                continue;
            }
            self.owed += 1;
            match (got, end.failures.get(&device.id)) {
                (0, Some(failed)) if broadcast.excuses(failed.0) => {
                    *self.explained.entry(failed.0.as_str()).or_default() += 1;
                    self.given_up += u64::from(broadcast.ttl > SHORT);
                    self.early += u64::from(broadcast.ttl > SHORT && failed.1 < ATTEMPTS);
                }
                (0, failed) => self.lose(number, &device.id, failed),
                (got, _) => {
                    self.accepted += 1;
                    duplicates += got - 1;
                    repeated.extend((got > 1).then_some((&device.id, receipts)));
                }
            }
        }
        self.duplicates += duplicates;
        if duplicates > bound(&end.report) {
            for (device, receipts) in repeated.into_iter().take(NAMED) {
                self.wrong(format!("broadcast {number} has reached {device} more than once: {receipts:?}"));
            }
        }
        self.report(number, end, duplicates, messages);
    }

    fn lose(&mut self, broadcast: usize, device: &str, failed: Option<&Failed>) {
        self.lost += 1;
        if usize::try_from(self.lost).is_ok_and(|lost| lost <= NAMED) {
            self.wrong(format!(
                "broadcast {broadcast} has not reached {device}; the journal says {failed:?}"
            ));
        }
    }

    /// A report against itself and against what was seen.
    fn report(&mut self, number: usize, end: &End, duplicates: u64, messages: u64) {
        let report = &end.report;
        self.takeovers += report.takeovers;
        self.repeats += report.repeats;
        self.attempts += report.attempts;
        self.pruned += report.pruned;
        self.withheld += report.withheld;
        for (outcome, count) in report.counts.iter().filter(|(_, count)| *count > 0) {
            *self.outcomes.entry(outcome.as_str().to_owned()).or_default() += count;
        }
        let bound = bound(report);
        if report.takeovers == 0 {
            self.repeated += duplicates;
        }
        let accepted = report.counts[OutcomeKind::Accepted];
        let origins: u64 = report.origins.iter().map(|origin| origin.counts.total()).sum();
        let rules = [
            (duplicates <= bound, format!("has {duplicates} duplicates, more than {bound}")),
            (report.state == BroadcastState::Finished, format!("is {:?}", report.state)),
            (report.pending == 0, format!("has {} pending", report.pending)),
            (report.counts.total() == report.read, "has counts that do not add up".to_owned()),
            (origins <= report.read, "counts more by origin than in all".to_owned()),
            (accepted <= messages, format!("says {accepted} accepted, and push services took {messages}")),
            (report.pruned <= report.counts[OutcomeKind::Gone], "removed more than were gone".to_owned()),
        ];
        for (_, what) in rules.into_iter().filter(|(holds, _)| !holds) {
            self.wrong(format!("broadcast {number} {what}: {report:?}"));
        }
    }

    /// Whether those who are gone were found.
    fn pruning(&mut self, ledger: &Ledger) {
        for device in &ledger.devices {
            if !ledger.broadcasts.iter().any(|broadcast| device.is_found_gone(broadcast)) {
                continue;
            }
            self.gone += 1;
            if ledger.stored.contains(&device.id) {
                self.kept += 1;
                self.wrong(format!("{} is gone, a broadcast found it, and it is stored yet", device.id));
            }
        }
    }
}

/// What docs/durability.md promises.
const fn bound(report: &Report) -> u64 {
    IN_HAND * report.takeovers + report.repeats
}

/// What a message with a short life may run out of.
const SHORT: Duration = Duration::from_secs(60);
/// The requests that a sender makes at most. It makes fewer where a push service could not be reached: waiting for it is
/// a try, too.
const ATTEMPTS: u8 = 6;
/// Faults of seconds may not cost more than one in so many messages that have longer.
const RARE: u64 = 100;

impl Broadcast {
    /// Whether a message may end so and is not lost: it was tried for as long, or as often, as was to be.
    fn excuses(&self, outcome: OutcomeKind) -> bool {
        match outcome {
            OutcomeKind::Expired => self.ttl <= SHORT,
            OutcomeKind::GaveUp | OutcomeKind::Throttled | OutcomeKind::Unconfirmed => true,
            _ => false,
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let explained: u64 = self.explained.values().sum();
        writeln!(f, "broadcasts         {}", self.broadcasts)?;
        writeln!(f, "messages owed      {}", self.owed)?;
        writeln!(f, "  accepted         {}", self.accepted)?;
        writeln!(
            f,
            "  given up, told   {explained} {:?}; {} with time left, {} of them with less than {ATTEMPTS} requests",
            self.explained, self.given_up, self.early
        )?;
        writeln!(f, "  lost             {}", self.lost)?;
        let bound = IN_HAND * self.takeovers + self.repeats;
        writeln!(
            f,
            "  duplicated       {}, {} of them where no worker vanished (at most {bound}: {} takeovers of {IN_HAND} in \
             hand, {} repeats)",
            self.duplicates, self.repeated, self.takeovers, self.repeats
        )?;
        writeln!(f, "requests           {}", self.attempts)?;
        writeln!(f, "outcomes           {:?}", self.outcomes)?;
        writeln!(
            f,
            "gone               {} to be found, {} pruned, {} withheld, {} left",
            self.gone, self.pruned, self.withheld, self.kept
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::ledger::Receipt;
    use crate::ledger::tests::{HOUR, at};
    use crate::origins::Manner;

    const RECEIPT: Receipt = (at(2), Manner::Sound);

    /// Three members of a channel, and a broadcast to it that each of them got once.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for number in 0..3 {
            ledger.add(0, number, format!("device {number}"));
            ledger.enter(number, 0, at(0));
        }
        let broadcast = ledger.publish(0, HOUR, at(1));
        for number in 0..3 {
            ledger.accept(0, number, broadcast, RECEIPT);
        }
        ledger
    }

    fn report(accepted: u64) -> Report {
        let mut report = Report::default();
        report.state = BroadcastState::Finished;
        report.read = 3;
        report.counts.add(OutcomeKind::Accepted, accepted);
        report.counts.add(OutcomeKind::Expired, 3 - accepted);
        report
    }

    fn wrong(ledger: &Ledger) -> String {
        Account::of(ledger).wrong.join("\n")
    }

    #[test]
    fn what_everybody_got_once_is_as_it_must_be() {
        let mut ledger = ledger();
        ledger.ended(0, at(2), report(3), HashMap::new());
        let account = Account::of(&ledger);
        assert_eq!((account.owed, account.accepted, account.lost, account.duplicates), (3, 3, 0, 0));
        assert_eq!(account.wrong, Vec::<String>::new());
    }

    #[test]
    fn a_message_that_nobody_has_and_nothing_explains_is_lost() {
        let mut ledger = ledger();
        ledger.devices[1].accepted.clear();
        ledger.ended(0, at(2), report(2), HashMap::new());
        assert!(wrong(&ledger).contains("1 of 3 messages are lost"), "{}", wrong(&ledger));
        let failed = |outcome| HashMap::from([("device 1".to_owned(), (outcome, 5))]);
        // There was time, and one that lives cannot be gone.
        for failed in [failed(OutcomeKind::Expired), failed(OutcomeKind::Gone)] {
            ledger.ended(0, at(2), report(2), failed);
            assert!(wrong(&ledger).contains("lost"), "{ledger:?}");
        }
        ledger.broadcasts[0].ttl = at(5);
        ledger.ended(0, at(2), report(2), failed(OutcomeKind::Expired));
        assert_eq!(wrong(&ledger), "");
    }

    #[test]
    fn a_message_that_was_given_up_is_not_lost_and_many_are_too_many() {
        let mut ledger = ledger();
        ledger.devices[1].accepted.clear();
        let failed = HashMap::from([("device 1".to_owned(), (OutcomeKind::GaveUp, 5))]);
        ledger.ended(0, at(2), report(2), failed);
        let account = Account::of(&ledger);
        assert_eq!(
            (account.lost, account.explained["gave_up"], account.given_up, account.early),
            (0, 1, 1, 1)
        );
        assert_eq!(account.wrong, ["1 of 3 messages were given up, though there was time"]);
    }

    #[test]
    fn more_duplicates_than_promised_are_too_many() {
        let mut ledger = ledger();
        ledger.accept(0, 1, 0, RECEIPT);
        ledger.ended(0, at(2), report(3), HashMap::new());
        assert!(wrong(&ledger).contains("has 1 duplicates, more than 0"), "{}", wrong(&ledger));
        let mut repeated = report(3);
        repeated.repeats = 1;
        ledger.ended(0, at(2), repeated, HashMap::new());
        assert_eq!(wrong(&ledger), "");
    }

    type Change = fn(&mut Report);

    #[test]
    fn a_report_that_does_not_add_up_is_told() {
        let mut ledger = ledger();
        assert!(wrong(&ledger).contains("does not end"));
        let changes: [(Change, &str); 5] = [
            (|report| report.read = 4, "do not add up"),
            (|report| report.pending = 1, "1 pending"),
            (|report| report.state = BroadcastState::TimedOut, "TimedOut"),
            (|report| report.pruned = 1, "removed more"),
            (|report| report.counts.add(OutcomeKind::Accepted, 1), "push services took 3"),
        ];
        for (change, told) in changes {
            let mut report = report(3);
            change(&mut report);
            ledger.ended(0, at(2), report, HashMap::new());
            assert!(wrong(&ledger).contains(told), "{told}: {}", wrong(&ledger));
        }
    }

    #[test]
    fn a_device_that_is_gone_and_stays_is_told() {
        let mut ledger = ledger();
        ledger.ended(0, at(2), report(3), HashMap::new());
        ledger.gone(2, at(3), at(3));
        ledger.publish(0, HOUR, at(4));
        let mut empty = Report::default();
        empty.state = BroadcastState::Finished;
        ledger.ended(1, at(5), empty, HashMap::new());
        ledger.devices[0].accepted.insert(1, vec![RECEIPT]);
        ledger.devices[1].accepted.insert(1, vec![RECEIPT]);
        assert_eq!((wrong(&ledger), Account::of(&ledger).gone), (String::new(), 1));
        ledger.stored.insert("device 2".to_owned());
        assert!(wrong(&ledger).contains("stored yet"));
    }
}
