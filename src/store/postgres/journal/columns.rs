//! What columns of the journal mean.

use std::time::Duration;

use crate::store::journal::Control;
use crate::store::journal::tallies::Tallies;
use crate::store::sql::{Damaged, control, millis};
use crate::{BroadcastId, BroadcastState};

/// `broadcasts.state`.
pub(super) const RUNNING: i16 = 0;
pub(super) const FINISHED: i16 = 1;
pub(super) const TIMED_OUT: i16 = 2;
pub(super) const ABORTED: i16 = 3;

pub(super) fn state(column: i16) -> Result<BroadcastState, Damaged> {
    match column {
        RUNNING => Ok(BroadcastState::Running),
        FINISHED => Ok(BroadcastState::Finished),
        TIMED_OUT => Ok(BroadcastState::TimedOut),
        ABORTED => Ok(BroadcastState::Aborted),
        _ => Err(Damaged::new("broadcasts", "state")),
    }
}

/// How fast each of so many leases may go.
pub(super) fn share(paused: bool, per_minute: Option<i64>, leases: i64) -> Result<Control, Damaged> {
    let leases = usize::try_from(leases).unwrap_or_default();
    Ok(control(paused, per_minute)?.shared_by(leases))
}

pub(super) fn tally(table: &'static str, text: &str) -> Result<Tallies, Damaged> {
    Tallies::from_json(text).ok_or(Damaged::new(table, "tally"))
}

pub(super) fn broadcast_id(text: &str) -> Result<BroadcastId, Damaged> {
    BroadcastId::new(text).map_err(|_| Damaged::new("broadcasts", "id"))
}

/// Milliseconds that can be added to, or taken from, a moment.
pub(super) fn term(duration: Duration) -> i64 {
    const AGES: i64 = 1 << 60;
    millis(duration).min(AGES)
}

/// The time between two moments, in milliseconds. A clock that was set back makes it zero.
pub(super) fn span(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_divided_but_never_to_nothing() {
        let share =
            |limit, leases| share(false, limit, leases).unwrap().per_minute.map(std::num::NonZeroU32::get);
        assert_eq!(share(None, 3), None);
        assert_eq!(share(Some(600), 3), Some(200));
        assert_eq!(share(Some(2), 3), Some(1));
        assert_eq!(share(Some(2), 0), Some(2));
        assert_eq!(super::share(false, Some(0), 1).unwrap_err().column, "per_minute");
    }

    #[test]
    fn the_longest_term_can_be_added_to_any_time() {
        let now = 1_i64 << 42;
        assert!(now.checked_add(term(Duration::MAX)).is_some());
        assert_eq!(span(-5), Duration::ZERO);
    }
}
