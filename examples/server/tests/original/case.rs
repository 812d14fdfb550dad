//! A request of the table, and what it must bring.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::openapi::Document;
use crate::world::World;

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Case {
    method: Method,
    path: String,
    by: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
    status: u16,
    expected: Expected,
    expected_headers: Vec<(&'static str, Option<String>)>,
    pub difference: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum Expected {
    Anything,
    Exactly(Value),
    Part(Value),
}

/// A request; what it must bring is said by what follows.
pub fn call(method: &str, path: impl Into<String>) -> Case {
    Case {
        method: method.parse().unwrap(),
        path: path.into(),
        by: None,
        headers: Vec::new(),
        body: None,
        status: 200,
        expected: Expected::Anything,
        expected_headers: Vec::new(),
        difference: None,
    }
}

impl Case {
    pub fn by(mut self, pair: &'static str) -> Self {
        self.by = Some(pair);
        self
    }

    /// `{etag}` in the value is the last `ETag` that was seen.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").text(&body.to_string())
    }

    pub fn text(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    pub fn gives(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The whole body.
    pub fn exactly(mut self, body: Value) -> Self {
        self.expected = Expected::Exactly(body);
        self
    }

    /// Members of the body, and of those in it.
    pub fn part(mut self, body: Value) -> Self {
        self.expected = Expected::Part(body);
        self
    }

    /// A header of the answer: a final `*` is anything, `a, b` are words of it in any order.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.expected_headers.push((name, Some(value.to_owned())));
        self
    }

    pub fn without(mut self, name: &'static str) -> Self {
        self.expected_headers.push((name, None));
        self
    }

    /// The original answers otherwise: docs/service.md says why.
    pub fn differs(mut self, name: &'static str) -> Self {
        self.difference = Some(name);
        self
    }
}

/// Sends them one after the other, and says what is wrong.
pub async fn replay(world: &World, cases: &[Case]) -> Vec<String> {
    let document = Document::new();
    let (mut etag, mut wrong) = (String::new(), Vec::new());
    for case in cases {
        let answer = send(world, case, &etag).await;
        for problem in problems(case, &answer, &document) {
            wrong.push(format!(
                "{} {} by {:?}: {problem}\n    {}",
                case.method, case.path, case.by, answer.body
            ));
        }
        if let Some(tag) = answer.headers.get("etag") {
            tag.to_str().unwrap().clone_into(&mut etag);
        }
    }
    wrong
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

async fn send(world: &World, case: &Case, etag: &str) -> Answer {
    let path = case.path.replace("{etag}", etag.trim_matches('"'));
    let mut request = match case.by {
        Some(pair) => world.by(pair, case.method.clone(), &path),
        None => world.request(case.method.clone(), &path),
    };
    for (name, value) in &case.headers {
        request = request.header(*name, value.replace("{etag}", etag));
    }
    if let Some(body) = &case.body {
        request = request.body(body.clone());
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

fn problems(case: &Case, answer: &Answer, document: &Document) -> Vec<String> {
    let path = case.path.replace("{etag}", "1");
    let mut problems = Vec::new();
    if !matches!(case.method, Method::OPTIONS | Method::HEAD) {
        problems = document.judge(case.method.as_str(), &path, answer.status, &answer.body);
    }
    if answer.status != case.status {
        problems.push(format!("{} instead of {}", answer.status, case.status));
    }
    let fits = match &case.expected {
        Expected::Anything => true,
        Expected::Exactly(expected) => matches(expected, &answer.body, true),
        Expected::Part(expected) => matches(expected, &answer.body, false),
    };
    if !fits {
        problems.push(format!("the body does not fit {:?}", case.expected));
    }
    for (name, expected) in &case.expected_headers {
        let found = answer.headers.get(*name).map(|value| value.to_str().unwrap());
        let fits = match (expected, found) {
            (None, found) => found.is_none(),
            (Some(_), None) => false,
            (Some(expected), Some(found)) => has(expected, found),
        };
        if !fits {
            problems.push(format!("{name}: {found:?} instead of {expected:?}"));
        }
    }
    problems
}

/// `<number>` and `<text>` stand for any; a final `*` for any rest.
fn matches(expected: &Value, found: &Value, whole: bool) -> bool {
    match (expected, found) {
        (Value::String(expected), found) if expected == "<number>" => found.is_number(),
        (Value::String(expected), found) if expected == "<text>" => found.is_string(),
        (Value::String(expected), Value::String(found)) => match expected.strip_suffix('*') {
            Some(beginning) => found.starts_with(beginning),
            None => expected == found,
        },
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len()
                && expected.iter().zip(found).all(|(expected, found)| matches(expected, found, whole))
        }
        (Value::Object(expected), Value::Object(found)) => {
            let has = |(name, value)| found.get(name).is_some_and(|found| matches(value, found, whole));
            (!whole || expected.len() == found.len()) && expected.iter().all(has)
        }
        (expected, found) => expected == found,
    }
}

fn has(expected: &str, found: &str) -> bool {
    match expected.strip_suffix('*') {
        Some(beginning) => found.starts_with(beginning),
        None if expected.contains(", ") => {
            expected.split(", ").all(|word| found.split(',').any(|found| found.trim() == word))
        }
        None => expected == found,
    }
}
