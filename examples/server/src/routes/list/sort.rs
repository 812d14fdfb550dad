//! `_sort`: fields in order, with `-` before those that go down.

use std::cmp::Ordering;

use serde_json::Value;

use super::filter::{Field, ID, LAST_MODIFIED};
use super::query::shortened;
use crate::error::ApiError;

/// An order of records, in which no two are equal.
#[derive(Debug)]
pub(super) struct Sort(Vec<(Field, Direction)>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Direction {
    Up,
    Down,
}

impl Default for Sort {
    /// Newest first.
    fn default() -> Self {
        Self(Vec::new()).completed()
    }
}

/// An order out of the value of `_sort`. What is no name is ignored, as in kinto.core; an unknown name is not.
pub(super) fn parse(value: &str) -> Result<Sort, ApiError> {
    let mut sort = Sort(Vec::new());
    for part in value.split(',').map(str::trim) {
        let (direction, name) = match part.strip_prefix('-') {
            Some(name) => (Direction::Down, name),
            None => (Direction::Up, part.strip_prefix('+').unwrap_or(part)),
        };
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        if name.is_empty() || !name.chars().all(is_name) {
            continue;
        }
        let field = Field::named(name).ok_or_else(|| {
            ApiError::invalid("querystring", None, format!("Unknown sort field '{}'", shortened(name)))
        })?;
        if sort.0.iter().all(|(known, _)| *known != field) {
            sort.0.push((field, direction));
        }
    }
    Ok(sort.completed())
}

impl Sort {
    /// The order between two records.
    pub(super) fn compare(&self, one: &Value, other: &Value) -> Ordering {
        self.0
            .iter()
            .map(|(field, direction)| match direction {
                Direction::Up => field.of(one).cmp(&field.of(other)),
                Direction::Down => field.of(other).cmp(&field.of(one)),
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// Whether it looks at nothing but the fields that a token holds.
    pub(super) fn is_told_by_tokens(&self) -> bool {
        // The first of these makes the order complete: what comes after it does not count.
        self.0.iter().take_while(|(field, _)| *field != ID).all(|(field, _)| *field == LAST_MODIFIED)
    }

    fn completed(mut self) -> Self {
        for (field, direction) in [(LAST_MODIFIED, Direction::Down), (ID, Direction::Up)] {
            if self.0.iter().all(|(known, _)| *known != field) {
                self.0.push((field, direction));
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_are_compared_field_by_field_and_never_equal() {
        let records = [
            json!({"id": "a", "endpoint": "x", "last_modified": 1}),
            json!({"id": "b", "endpoint": "x", "last_modified": 2}),
            json!({"id": "c", "endpoint": "w", "last_modified": 2}),
        ];
        for (sort, expected) in [
            ("", "bca"),
            ("last_modified", "abc"),
            ("-last_modified,-id", "cba"),
            ("endpoint", "cba"),
            ("-endpoint,last_modified", "abc"),
            ("+endpoint, -id,endpoint,;", "cba"),
        ] {
            let sort = parse(sort).unwrap();
            let mut sorted = records.clone();
            sorted.sort_by(|one, other| sort.compare(one, other));
            let ids: String = sorted.iter().map(|record| record["id"].as_str().unwrap()).collect();
            assert_eq!(ids, expected, "{sort:?}");
        }
        assert!(parse("endpoint,other").is_err());
    }

    #[test]
    fn tokens_tell_the_place_in_orders_by_time_and_id() {
        for (sort, told) in [("", true), ("-id", true), ("id,endpoint", true), ("endpoint", false)] {
            assert_eq!(parse(sort).unwrap().is_told_by_tokens(), told, "{sort}");
        }
    }
}
