//! Filters: `field=`, and with `lt_`, `min_`, `max_`, `not_`, `eq_`, `gt_`, `in_`, `exclude_` and `like_` before it.

use serde_json::Value;

use super::query::shortened;
use crate::error::ApiError;

/// A field that lists are filtered and sorted by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Number,
    Text,
}

pub(super) const ID: Field = Field { name: "id", kind: Kind::Text };
pub(super) const LAST_MODIFIED: Field = Field { name: "last_modified", kind: Kind::Number };

/// All fields that a record can have. `deleted` is one that no live record has.
pub(super) const FIELDS: [Field; 8] = [
    Field { name: "deleted", kind: Kind::Text },
    Field { name: "endpoint", kind: Kind::Text },
    Field { name: "expirationTime", kind: Kind::Number },
    ID,
    Field { name: "keys", kind: Kind::Text },
    Field { name: "keys.auth", kind: Kind::Text },
    Field { name: "keys.p256dh", kind: Kind::Text },
    LAST_MODIFIED,
];

impl Field {
    pub(super) fn named(name: &str) -> Option<Self> {
        FIELDS.into_iter().find(|field| field.name == name)
    }

    pub(super) fn of(self, record: &Value) -> Operand {
        let value = self.name.split('.').try_fold(record, |value, name| value.get(name));
        match value {
            Some(Value::Number(number)) => Operand::Number(number.as_u64().map_or(0, i128::from)),
            Some(Value::String(text)) => Operand::Text(text.clone()),
            _ => Operand::Missing,
        }
    }
}

/// What is compared. One that is missing comes last.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Operand {
    Number(i128),
    Text(String),
    Missing,
}

/// One condition on a record.
#[derive(Debug)]
pub(super) struct Filter {
    field: Field,
    test: Test,
    values: Vec<Operand>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Test {
    Eq,
    Exclude,
    Gt,
    In,
    Like,
    Lt,
    Max,
    Min,
    Not,
}

const TESTS: [(&str, Test); 9] = [
    ("eq_", Test::Eq),
    ("exclude_", Test::Exclude),
    ("gt_", Test::Gt),
    ("in_", Test::In),
    ("like_", Test::Like),
    ("lt_", Test::Lt),
    ("max_", Test::Max),
    ("min_", Test::Min),
    ("not_", Test::Not),
];

/// A filter out of a name and a value of the query.
pub(super) fn parse(name: &str, value: &str) -> Result<Filter, ApiError> {
    let test = TESTS.iter().find_map(|(prefix, test)| Some((*test, name.strip_prefix(prefix)?)));
    let (test, field) = test.unwrap_or((Test::Eq, name));
    let name = shortened(name);
    let field = Field::named(field)
        .ok_or_else(|| ApiError::invalid("querystring", &*name, format!("Unknown filter field '{name}'")))?;
    let invalid = || ApiError::invalid("querystring", &*name, format!("Invalid value for {name}"));
    let listed = matches!(test, Test::In | Test::Exclude);
    let values = if listed { value.split(',').collect() } else { vec![value] };
    let values = values.into_iter().map(|value| match field.kind {
        Kind::Number => unquoted(value.trim()).parse().map(Operand::Number).map_err(|_| invalid()),
        // An id is no number to kinto.core.
        Kind::Text if listed && field == ID && value.parse::<i64>().is_ok() => Err(invalid()),
        Kind::Text => Ok(Operand::Text(unquoted(value).to_owned())),
    });
    Ok(Filter { field, test, values: values.collect::<Result<_, _>>()? })
}

impl Filter {
    pub(super) fn last_modified(test: Test, value: u64) -> Self {
        Self { field: LAST_MODIFIED, test, values: vec![Operand::Number(value.into())] }
    }

    pub(super) fn matches(&self, record: &Value) -> bool {
        let found = match (self.field.of(record), self.field.kind) {
            (Operand::Missing, Kind::Number) => return false,
            (Operand::Missing, Kind::Text) => Operand::Text(String::new()),
            (found, _) => found,
        };
        let any = |test: &dyn Fn(&Operand) -> bool| self.values.iter().any(test);
        match self.test {
            Test::Eq | Test::In => any(&|value| found == *value),
            Test::Exclude | Test::Not => !any(&|value| found == *value),
            Test::Gt => any(&|value| found > *value),
            Test::Like => any(&|value| is_like(&found, value)),
            Test::Lt => any(&|value| found < *value),
            Test::Max => any(&|value| found <= *value),
            Test::Min => any(&|value| found >= *value),
        }
    }
}

fn is_like(found: &Operand, value: &Operand) -> bool {
    match (found, value) {
        (Operand::Text(found), Operand::Text(part)) => found.to_lowercase().contains(&part.to_lowercase()),
        _ => found == value,
    }
}

/// Without the quotes that a value may have.
pub(super) fn unquoted(text: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_test_means_what_its_name_says() {
        let record = json!({"id": "b", "endpoint": "https://Push.example/", "last_modified": 5});
        for (name, value, expected) in [
            ("id", "b", true),
            ("id", "\"b\"", true),
            ("not_id", "b", false),
            ("in_id", "a,b", true),
            ("exclude_id", "a,b", false),
            ("exclude_id", "a,c", true),
            ("like_endpoint", "push", true),
            ("like_endpoint", "pull", false),
            ("last_modified", "5", true),
            ("gt_last_modified", "5", false),
            ("min_last_modified", "5", true),
            ("max_last_modified", "4", false),
            ("lt_last_modified", "6", true),
            ("in_last_modified", "4,5", true),
            ("eq_last_modified", "-1", false),
            ("min_expirationTime", "0", false),
            ("deleted", "true", false),
            ("not_deleted", "true", true),
        ] {
            assert_eq!(parse(name, value).unwrap().matches(&record), expected, "{name}={value}");
        }
    }

    #[test]
    fn unknown_fields_and_values_of_another_kind_are_refused() {
        for (name, value) in [
            ("other", "1"),
            ("madmax_id", "1"),
            ("in_", ""),
            ("min_last_modified", "a"),
            ("in_last_modified", "1,a"),
            ("in_id", "0,1"),
            ("exclude_id", "0"),
        ] {
            assert!(parse(name, value).is_err(), "{name}={value}");
        }
    }
}
