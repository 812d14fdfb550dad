//! One page of a list.

use serde_json::{Value, json};

use super::query::Query;
use super::sort::Sort;
use super::token::Token;
use crate::routes::subscriptions::record::Record;

/// The records of a page.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) records: Vec<Record>,
    /// How many the filters leave on all pages.
    pub(super) total: usize,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<Token>,
    /// How many are on the pages before.
    start: usize,
}

/// Filters, sorts and cuts.
pub(super) fn select(records: Vec<Record>, query: &Query) -> Selection {
    let wanted = |record: &Record| query.filters.iter().all(|filter| filter.matches(record.json()));
    let mut records: Vec<_> = records.into_iter().filter(wanted).collect();
    records.sort_by(|one, other| query.sort.compare(one.json(), other.json()));
    let total = records.len();
    let start = query.token.as_ref().map_or(0, |token| start(&records, &query.sort, token));
    records.drain(..start);
    let more = query.limit.is_some_and(|limit| limit < records.len());
    if let Some(limit) = query.limit {
        records.truncate(limit);
    }
    let next = records.last().filter(|_| more).map(|last| Token {
        id: last.reference().id.to_string(),
        last_modified: last.stamp().0,
        before: start + records.len() - 1,
    });
    Selection { records, total, next, start }
}

impl Selection {
    /// Where the next page begins when the records of this one are gone.
    pub(super) fn without(mut self) -> Self {
        if let Some(next) = &mut self.next {
            next.before = self.start;
        }
        self
    }
}

/// How many sorted records are on the pages before. What was added or removed in between neither repeats nor hides
/// others; only if the last record is gone, and the order needs more of it than a token tells, they are counted.
fn start(records: &[Record], sort: &Sort, token: &Token) -> usize {
    let same = records.iter().map(Record::json).find(|record| record["id"] == token.id);
    let told = || sort.is_told_by_tokens().then(|| json!({"id": token.id}));
    // The last record may have been renewed since: what counts is where it stood.
    let Some(mut last): Option<Value> = same.cloned().or_else(told) else {
        return token.before.min(records.len());
    };
    last["last_modified"] = token.last_modified.into();
    records.partition_point(|record| sort.compare(record.json(), &last).is_le())
}
