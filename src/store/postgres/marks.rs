//! Changes that only mark entries: they need not be read first.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::db::query;
use super::error::PgError;
use crate::store::{Change, EntryRef};

/// All owners are locked before the first entry: the list of them is complete when it is first
/// looked at. An entry that was changed while its owner was waited for is looked at again, and is
/// left alone if it is in another version then.
pub(super) const MARK: &str = "WITH locked AS MATERIALIZED (\
     SELECT number FROM webpush_channels.users WHERE number = ANY(ARRAY(\
     SELECT owner FROM webpush_channels.subscriptions WHERE id = ANY($1))) ORDER BY name FOR UPDATE) \
     UPDATE webpush_channels.subscriptions s SET payload_limit = coalesce(t.payload_limit, s.payload_limit), \
     needs_renewal = s.needs_renewal OR t.needs_renewal \
     FROM unnest($1::bytea[], $2::bytea[], $3::integer[], $4::boolean[]) WITH ORDINALITY \
     AS t(id, version, payload_limit, needs_renewal, place) \
     WHERE s.id = t.id AND s.version = t.version AND s.owner = ANY(ARRAY(SELECT number FROM locked)) \
     RETURNING t.place";

/// What the changes of a batch make of one entry.
#[derive(Clone, Copy, Default)]
struct Mark {
    payload_limit: Option<i32>,
    needs_renewal: bool,
}

impl Mark {
    /// Adds a change; says whether it only marks.
    fn add(&mut self, change: Change) -> bool {
        match change {
            // Of several limits the last counts.
            Change::LimitPayload(limit) => self.payload_limit = Some(limit.into()),
            Change::NeedsRenewal => self.needs_renewal = true,
            Change::Remove | Change::UseKey(_) => return false,
        }
        true
    }
}

/// What is to be marked, if the changes do nothing else.
pub(super) struct Marks(HashMap<EntryRef, Mark>);

impl Marks {
    /// `None` if there is a change that does more.
    pub(super) fn of(changes: &[(EntryRef, Change)]) -> Option<Self> {
        let mut marks: HashMap<EntryRef, Mark> = HashMap::new();
        let all = changes.iter().all(|(to, change)| marks.entry(*to).or_default().add(*change));
        all.then_some(Self(marks))
    }

    /// Marks the entries that are still in these versions, and says which these were.
    pub(super) async fn make(&self, tx: &Transaction<'_>) -> Result<HashSet<EntryRef>, PgError> {
        let entries = || self.0.keys();
        let ids: Vec<&[u8]> = entries().map(|to| to.id.as_bytes().as_slice()).collect();
        let versions: Vec<&[u8]> = entries().map(|to| to.version.as_bytes().as_slice()).collect();
        let limits: Vec<Option<i32>> = self.0.values().map(|mark| mark.payload_limit).collect();
        let renewals: Vec<bool> = self.0.values().map(|mark| mark.needs_renewal).collect();
        let marked = query(tx, MARK, &[&ids, &versions, &limits, &renewals]).await?;
        let place = |row: &Row| Ok(usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or(usize::MAX));
        let places = marked.iter().map(place).collect::<Result<HashSet<_>, PgError>>()?;
        Ok(entries().enumerate().filter(|(at, _)| places.contains(at)).map(|(_, to)| *to).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Version;
    use crate::{KeyId, SubscriptionId};

    fn entry(n: u8) -> EntryRef {
        EntryRef { id: SubscriptionId::from_bytes([n; 32]), version: Version::from_bytes([n; 16]) }
    }

    #[test]
    fn changes_of_one_entry_become_one_mark() {
        let changes = [
            (entry(1), Change::LimitPayload(3000)),
            (entry(2), Change::NeedsRenewal),
            (entry(1), Change::NeedsRenewal),
            (entry(1), Change::LimitPayload(2000)),
        ];
        let Marks(marks) = Marks::of(&changes).unwrap();
        let mark = |n| marks.get(&entry(n)).map(|mark| (mark.payload_limit, mark.needs_renewal));
        assert_eq!((marks.len(), mark(1), mark(2)), (2, Some((Some(2000), true)), Some((None, true))));
    }

    #[test]
    fn what_does_more_is_no_mark() {
        for more in [Change::Remove, Change::UseKey(KeyId::from_bytes([0; 16]))] {
            assert!(Marks::of(&[(entry(1), Change::NeedsRenewal), (entry(2), more)]).is_none());
        }
    }
}
