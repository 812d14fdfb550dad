//! The query string of a list, as kinto.core reads it.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use super::filter::{self, FIELDS, Filter};
use super::sort::{self, Sort};
use super::token::Token;
use crate::error::ApiError;
use crate::routes::subscriptions::record::Stamp;

/// What a client wants of a list.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(super) filters: Vec<Filter>,
    pub(super) sort: Sort,
    pub(super) limit: Option<usize>,
    pub(super) token: Option<Token>,
    fields: Option<Vec<String>>,
    last_modified: Option<u64>,
    given: Vec<(String, String)>,
}

/// The query of a URL; what has no meaning and begins with an underscore is ignored.
pub(crate) fn parse(uri: &Uri) -> Result<Query, ApiError> {
    let mut query = Query { given: pairs(uri.query().unwrap_or_default())?, ..Query::default() };
    for (name, value) in &query.given {
        match name.trim() {
            "_limit" => query.limit = usize::try_from(number(name, value)?).ok().filter(|limit| *limit > 0),
            "_sort" => query.sort = sort::parse(value)?,
            "_token" => query.token = Some(value.parse()?),
            "_fields" => query.fields = Some(fields(value)?),
            "last_modified" => {
                query.filters.push(Filter::last_modified(filter::Test::Eq, number(name, value)?));
            }
            "_since" => query.filters.push(Filter::last_modified(filter::Test::Gt, time(name, value)?)),
            "_before" | "_to" => {
                query.filters.push(Filter::last_modified(filter::Test::Lt, time(name, value)?));
            }
            other if other.starts_with('_') => {}
            other => query.filters.push(filter::parse(other, value)?),
        }
    }
    Ok(query)
}

/// The query of one record's URL, where nothing is filtered and sorted.
pub(crate) fn of_record(uri: &Uri) -> Result<Query, ApiError> {
    let mut query = Query::default();
    for (name, value) in &pairs(uri.query().unwrap_or_default())? {
        match name.trim() {
            "_fields" => query.fields = Some(fields(value)?),
            "last_modified" => query.last_modified = Some(number(name, value)?),
            _ => {}
        }
    }
    Ok(query)
}

impl Query {
    /// When a record is to have been deleted.
    pub(crate) const fn last_modified(&self) -> Option<u64> {
        self.last_modified
    }

    /// The fields of a record that are wanted; `id` and `last_modified` always are.
    pub(crate) fn project(&self, record: &Value) -> Value {
        let Some(fields) = &self.fields else { return record.clone() };
        let mut projected = Map::new();
        for field in fields.iter().map(String::as_str).chain(["id", "last_modified"]) {
            let (first, rest) =
                field.split_once('.').map_or((field, None), |(first, rest)| (first, Some(rest)));
            match (record.get(first), rest) {
                (Some(Value::Object(members)), Some(rest)) => {
                    let part = projected.entry(first).or_insert_with(|| Map::new().into());
                    if let (Some(value), Some(part)) = (members.get(rest), part.as_object_mut()) {
                        part.insert(rest.to_owned(), value.clone());
                    }
                }
                (Some(value), _) => {
                    projected.insert(first.to_owned(), value.clone());
                }
                (None, _) => {}
            }
        }
        projected.into()
    }

    /// The same query for the next page.
    pub(super) fn with_token(&self, token: &Token) -> String {
        let kept = self.given.iter().filter(|(name, _)| name.trim() != "_token");
        let kept = kept.map(|(name, value)| format!("{}={}&", encode(name), encode(value)));
        kept.chain([format!("_token={}", encode(&token.to_string()))]).collect()
    }
}

fn encode(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

/// The most parameters of a query: each filter looks at each record.
const MAX_PAIRS: usize = 64;

/// As forms are encoded: `+` is a space.
fn pairs(query: &str) -> Result<Vec<(String, String)>, ApiError> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text)
            .decode_utf8()
            .map(Cow::into_owned)
            .map_err(|_| ApiError::invalid("querystring", None, "Invalid UTF-8"))
    };
    let given: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    if given.len() > MAX_PAIRS {
        let description = format!("At most {MAX_PAIRS} parameters are taken");
        return Err(ApiError::invalid("querystring", None, description));
    }
    given
        .into_iter()
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// A time, also in the form of a list's `ETag`.
fn time(name: &str, value: &str) -> Result<u64, ApiError> {
    number(name, value).map(|number| Stamp(number).time())
}

/// A time in milliseconds or a count; quotes around it are those of an `ETag`.
fn number(name: &str, value: &str) -> Result<u64, ApiError> {
    let invalid = |description| Err(ApiError::invalid("querystring", name, description));
    let text = filter::unquoted(value.trim());
    match text.parse::<i128>() {
        Ok(number) if number < 0 => invalid(format!("{number} is less than minimum value 0")),
        Ok(number) => u64::try_from(number)
            .ok()
            .filter(|number| i64::try_from(*number).is_ok())
            .map_or_else(|| invalid(format!("{number} is greater than maximum value {}", 1_u64 << 63)), Ok),
        Err(_) => invalid(format!("\"{}\" is not a number", shortened(text))),
    }
}

/// What a message repeats of a query.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

fn fields(value: &str) -> Result<Vec<String>, ApiError> {
    let fields: Vec<String> = value.split(',').map(|field| field.trim().to_owned()).collect();
    let known = |field: &str| {
        let first = field.split('.').next().unwrap_or_default();
        FIELDS.iter().any(|known| known.name.split('.').next() == Some(first))
    };
    let unknown: Vec<String> =
        fields.iter().filter(|field| !known(field)).map(|field| shortened(field)).collect();
    if unknown.is_empty() {
        return Ok(fields);
    }
    let description = shortened_list(&unknown);
    Err(ApiError::invalid("body", "Invalid _fields parameter", format!("Fields {description} do not exist")))
}

fn shortened_list(names: &[String]) -> String {
    names.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn query(text: &str) -> Result<Query, ApiError> {
        parse(&format!("/v0/subscriptions?{text}").parse().unwrap())
    }

    #[test]
    fn fields_are_projected_with_the_two_that_always_are() {
        let record =
            json!({"endpoint": "e", "keys": {"auth": "a", "p256dh": "p"}, "id": "i", "last_modified": 1});
        let projected = query("_fields=keys.auth,expirationTime").unwrap().project(&record);
        assert_eq!(projected, json!({"keys": {"auth": "a"}, "id": "i", "last_modified": 1}));
        let projected = query("_fields=endpoint,keys").unwrap().project(&record);
        assert_eq!(projected, record);
        assert!(query("_fields=endpoint,other").is_err());
    }

    #[test]
    fn numbers_are_counts_or_times_and_may_be_quoted() {
        assert_eq!(query("_limit=5").unwrap().limit, Some(5));
        assert_eq!(query("_limit=0").unwrap().limit, None);
        let uri = "/v0/subscriptions/x?other=1&last_modified=%2212%22".parse().unwrap();
        assert_eq!(of_record(&uri).unwrap().last_modified(), Some(12));
        assert!(query(&"like_id=a&".repeat(MAX_PAIRS)).is_ok());
        assert!(query(&"like_id=a&".repeat(MAX_PAIRS + 1)).is_err());
        for wrong in ["_limit=x", "_limit=-1", "_since=", "_before=1.5", "_to=9223372036854775808", "_limit"]
        {
            assert!(query(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_query_is_kept_for_the_next_page() {
        let token = Token::default();
        let next = query("in_id=a%2Cb&_limit=2&_token=eyJpZCI6IiIsImxhc3RfbW9kaWZpZWQiOjAsImJlZm9yZSI6MH0");
        let next = next.unwrap().with_token(&token);
        assert!(next.starts_with("in%5Fid=a%2Cb&%5Flimit=2&_token="), "{next}");
        assert!(query(&next).unwrap().token.is_some());
    }
}
