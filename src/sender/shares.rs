//! Who may have how many of a limited number of requests.

use slab::Slab;

/// Counts requests by party. Whoever asks alone may have all of them; while others ask too, each
/// has its share, so that a large broadcast does not starve a small one.
///
/// Nothing is ever handed to a party that waits: it may have stopped looking.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    held: usize,
    asking: usize,
    parties: Slab<Party>,
}

#[derive(Debug, Default)]
struct Party {
    held: usize,
    asks: bool,
    left: bool,
}

impl Shares {
    /// One more party; returns its number.
    pub(crate) fn join(&mut self) -> usize {
        self.parties.insert(Party::default())
    }

    /// A party takes no more. What it holds counts until it is given back.
    pub(crate) fn leave(&mut self, number: usize) {
        self.ask(number, false);
        self.parties[number].left = true;
        self.forget(number);
    }

    /// How many requests there are.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// Whether any party asks for more than it has.
    pub(crate) const fn is_short(&self) -> bool {
        self.asking > 0
    }

    /// How many more of `limit` a party may take.
    pub(crate) fn room(&self, number: usize, limit: usize) -> usize {
        let mine = &self.parties[number];
        let free = limit.saturating_sub(self.held);
        if self.asking == usize::from(mine.asks) {
            return free;
        }
        let takes_part = |(other, party): &(usize, &Party)| *other == number || party.held > 0 || party.asks;
        let share = limit.div_ceil(self.parties.iter().filter(takes_part).count());
        free.min(share.saturating_sub(mine.held))
    }

    pub(crate) fn take(&mut self, number: usize) {
        self.held += 1;
        self.parties[number].held += 1;
    }

    pub(crate) fn give_back(&mut self, number: usize) {
        self.held -= 1;
        self.parties[number].held -= 1;
        self.forget(number);
    }

    /// Says whether a party wants more than it has; returns whether it did before.
    pub(crate) fn ask(&mut self, number: usize, asks: bool) -> bool {
        let before = std::mem::replace(&mut self.parties[number].asks, asks);
        self.asking = self.asking + usize::from(asks) - usize::from(before);
        before
    }

    fn forget(&mut self, number: usize) {
        let party = &self.parties[number];
        if party.left && party.held == 0 {
            self.parties.remove(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(shares: &mut Shares, party: usize, limit: usize) -> usize {
        let room = shares.room(party, limit);
        (0..room).for_each(|_| shares.take(party));
        room
    }

    #[test]
    fn who_asks_alone_gets_everything_and_a_second_gets_half() {
        let mut shares = Shares::default();
        let (a, b, _idle) = (shares.join(), shares.join(), shares.join());
        assert_eq!(take(&mut shares, a, 10), 10);
        shares.ask(a, true);
        shares.ask(b, true);
        (0..2).for_each(|_| shares.give_back(a));
        assert_eq!((shares.room(a, 10), take(&mut shares, b, 10)), (0, 2));
        (0..7).for_each(|_| shares.give_back(a));
        assert_eq!((take(&mut shares, b, 10), take(&mut shares, a, 10)), (3, 4));
        (0..3).for_each(|_| shares.give_back(b));
        assert_eq!(shares.room(a, 10), 0, "b asks");
        shares.ask(b, false);
        assert_eq!(shares.room(a, 10), 3, "nobody else asks");
    }

    #[test]
    fn requests_outlive_their_party_and_leave_nothing_behind() {
        let mut shares = Shares::default();
        let (a, b) = (shares.join(), shares.join());
        shares.ask(a, true);
        assert_eq!(take(&mut shares, a, 3), 3);
        shares.leave(a);
        assert!(!shares.is_short());
        assert_eq!(shares.room(b, 3), 0);
        (0..3).for_each(|_| shares.give_back(a));
        assert_eq!((shares.room(b, 3), shares.held(), shares.parties.len()), (3, 0, 1));
    }
}
