//! The ledger: what is owed to whom and what arrived, written by those who see it happen, and by nothing of the
//! library.
//!
//! Times are measured from the beginning of the run. A stay begins when the service has confirmed the last step that
//! makes a device a member, and ends before the first request that may end it: what is owed is never in doubt.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use webpush_channels::{OutcomeKind, Report};

use crate::origins::Manner;

/// How many channels there are.
pub(crate) const CHANNELS: usize = 3;

/// A time in which something was true.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stay {
    from: Duration,
    to: Option<Duration>,
}

impl Stay {
    fn covers(&self, (began, ended): (Duration, Duration)) -> bool {
        self.from < began && self.to.is_none_or(|to| to > ended)
    }
}

type Stays = [Vec<Stay>; CHANNELS];

/// A message that a push service took.
pub(crate) type Receipt = (Duration, Manner);

/// One subscription, from its registration on.
#[derive(Debug, Default)]
pub(crate) struct Device {
    /// As the service calls it.
    pub(crate) id: String,
    /// It was a member, and its push service took messages for it.
    stays: Stays,
    /// It was a member, and its push service said 410.
    gone: Stays,
    /// Which broadcasts it got, when, and what was wrong with its push service then.
    pub(crate) accepted: HashMap<usize, Vec<Receipt>>,
}

impl Device {
    pub(crate) fn is_owed(&self, broadcast: &Broadcast) -> bool {
        let is_member = |time| self.stays[broadcast.channel].iter().any(|stay| stay.covers(time));
        broadcast.time().is_some_and(is_member)
    }

    /// Whether this broadcast must have found out that the device is gone.
    pub(crate) fn is_found_gone(&self, broadcast: &Broadcast) -> bool {
        let is_gone = |time| self.gone[broadcast.channel].iter().any(|stay| stay.covers(time));
        broadcast.time().is_some_and(is_gone)
    }
}

/// One publication.
#[derive(Debug)]
pub(crate) struct Broadcast {
    pub(crate) channel: usize,
    /// So long push services keep it, and senders try.
    pub(crate) ttl: Duration,
    /// Before the first request that may have published it.
    began: Duration,
    pub(crate) end: Option<End>,
}

/// What is known at the end of a broadcast.
#[derive(Debug)]
pub(crate) struct End {
    /// After an answer that said so.
    at: Duration,
    pub(crate) report: Report,
    /// Which subscriptions were not reached, and why, as the journal says.
    pub(crate) failures: HashMap<String, Failed>,
}

/// How it ended for one subscription, and after how many requests.
pub(crate) type Failed = (OutcomeKind, u8);

impl Broadcast {
    fn time(&self) -> Option<(Duration, Duration)> {
        self.end.as_ref().map(|end| (self.began, end.at))
    }
}

/// Everything that was written down.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) devices: Vec<Device>,
    pub(crate) broadcasts: Vec<Broadcast>,
    /// Push service and number there.
    at: HashMap<(usize, usize), usize>,
    /// A device and a broadcast that are not written down: to see that this is noticed.
    pub(crate) swallowed: Option<(usize, usize)>,
    /// What is at the end of the run still stored, by its id.
    pub(crate) stored: HashSet<String>,
}

impl Ledger {
    /// A device that has just got its subscription from a push service, as the `number`th of it.
    pub(crate) fn add(&mut self, service: usize, number: usize, id: String) -> usize {
        self.devices.push(Device { id, ..Device::default() });
        self.at.insert((service, number), self.devices.len() - 1);
        self.devices.len() - 1
    }

    /// The device with that subscription.
    pub(crate) fn number(&self, service: usize, number: usize) -> usize {
        self.at[&(service, number)]
    }

    /// From now on the channel's messages are owed to it. Said again, it changes nothing.
    pub(crate) fn enter(&mut self, device: usize, channel: usize, now: Duration) {
        begin(&mut self.devices[device].stays[channel], now);
    }

    /// From now on they are not.
    pub(crate) fn leave(&mut self, device: usize, channel: usize, now: Duration) {
        let Device { stays, gone, .. } = &mut self.devices[device];
        for stays in [stays, gone] {
            end(&mut stays[channel], now);
        }
    }

    /// From now on its push service says 410.
    pub(crate) fn gone(&mut self, device: usize, before: Duration, after: Duration) {
        let device = &mut self.devices[device];
        for (stays, gone) in device.stays.iter_mut().zip(&mut device.gone) {
            if end(stays, before) {
                begin(gone, after);
            }
        }
    }

    /// Writes a publication down, and says which number its messages carry.
    pub(crate) fn publish(&mut self, channel: usize, ttl: Duration, now: Duration) -> usize {
        self.broadcasts.push(Broadcast { channel, ttl, began: now, end: None });
        self.broadcasts.len() - 1
    }

    pub(crate) fn ended(
        &mut self,
        broadcast: usize,
        now: Duration,
        report: Report,
        failures: HashMap<String, Failed>,
    ) {
        self.broadcasts[broadcast].end = Some(End { at: now, report, failures });
    }

    /// A push service has taken a message of the broadcast for its `number`th subscription. False: nobody published it,
    /// or nobody has that subscription.
    pub(crate) fn accept(
        &mut self,
        service: usize,
        number: usize,
        broadcast: usize,
        receipt: Receipt,
    ) -> bool {
        let Some(&device) = self.at.get(&(service, number)) else { return false };
        if broadcast >= self.broadcasts.len() {
            return false;
        }
        if self.swallowed != Some((device, broadcast)) {
            self.devices[device].accepted.entry(broadcast).or_default().push(receipt);
        }
        true
    }
}

fn begin(stays: &mut Vec<Stay>, now: Duration) {
    if stays.last().is_none_or(|stay| stay.to.is_some()) {
        stays.push(Stay { from: now, to: None });
    }
}

/// Whether there was one that went on.
fn end(stays: &mut [Stay], now: Duration) -> bool {
    let Some(open) = stays.last_mut().filter(|stay| stay.to.is_none()) else { return false };
    open.to = Some(now);
    true
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const HOUR: Duration = at(3600);

    pub(crate) const fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn a_message_is_owed_to_whom_was_a_member_all_the_time() {
        let mut ledger = Ledger::default();
        for number in 0..5 {
            ledger.add(0, number, format!("device {number}"));
        }
        ledger.enter(0, 1, at(1));
        ledger.enter(1, 0, at(1));
        ledger.enter(2, 1, at(1));
        ledger.leave(2, 1, at(15));
        ledger.enter(3, 1, at(11));
        ledger.enter(4, 1, at(1));
        let broadcast = ledger.publish(1, HOUR, at(10));
        assert!(!ledger.devices[0].is_owed(&ledger.broadcasts[broadcast]), "it goes on");
        ledger.ended(broadcast, at(20), Report::default(), HashMap::new());
        ledger.leave(4, 1, at(21));
        let owed: Vec<_> =
            ledger.devices.iter().map(|it| it.is_owed(&ledger.broadcasts[broadcast])).collect();
        assert_eq!(owed, [true, false, false, false, true], "in, elsewhere, left, late, left later");
    }

    #[test]
    fn who_came_back_was_not_there_all_the_time() {
        let mut ledger = Ledger::default();
        ledger.add(0, 0, String::new());
        ledger.enter(0, 0, at(1));
        ledger.enter(0, 0, at(2));
        let broadcast = ledger.publish(0, HOUR, at(10));
        ledger.leave(0, 0, at(11));
        ledger.leave(0, 0, at(12));
        ledger.enter(0, 0, at(13));
        ledger.ended(broadcast, at(20), Report::default(), HashMap::new());
        assert!(!ledger.devices[0].is_owed(&ledger.broadcasts[broadcast]));
    }

    #[test]
    fn a_device_that_is_gone_is_found_by_the_next_broadcast_to_its_channels() {
        let mut ledger = Ledger::default();
        ledger.add(0, 0, String::new());
        ledger.enter(0, 2, at(1));
        let during = ledger.publish(2, HOUR, at(2));
        ledger.gone(0, at(3), at(4));
        let other = ledger.publish(1, HOUR, at(5));
        let next = ledger.publish(2, HOUR, at(5));
        for broadcast in [during, other, next] {
            ledger.ended(broadcast, at(9), Report::default(), HashMap::new());
        }
        let [found, owed] = [Device::is_found_gone, Device::is_owed]
            .map(|is| [during, other, next].map(|it| is(&ledger.devices[0], &ledger.broadcasts[it])));
        assert_eq!((found, owed), ([false, false, true], [false; 3]));
    }

    #[test]
    fn what_nobody_published_or_nobody_asked_for_is_noticed() {
        let mut ledger = Ledger::default();
        ledger.add(1, 7, String::new());
        let broadcast = ledger.publish(0, HOUR, at(1));
        let receipt = (at(2), Manner::Sound);
        assert!(ledger.accept(1, 7, broadcast, receipt) && ledger.accept(1, 7, broadcast, receipt));
        assert_eq!(ledger.devices[0].accepted[&broadcast].len(), 2);
        assert!(!ledger.accept(0, 7, broadcast, receipt) && !ledger.accept(1, 7, broadcast + 1, receipt));
    }
}
