//! The service's own document as the judge of its answers.

use serde_json::Value;

const DOCUMENT: &str = include_str!("../../src/openapi.json");

/// The document, parsed.
#[derive(Debug)]
pub struct Document(Value);

impl Document {
    pub fn new() -> Self {
        Self(serde_json::from_str(DOCUMENT).unwrap())
    }

    /// What is wrong with an answer: an operation that the document lacks, a status that it does not have, or a body of
    /// another shape. Empty: nothing.
    pub fn judge(&self, method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
        let Some(operation) = self.operation(method, path) else { return Vec::new() };
        let Some(response) = operation["responses"].get(status.to_string()) else {
            return vec![format!("{method} {path}: {status} is not documented")];
        };
        let content = &self.resolved(response)["content"];
        let Some(schema) = content.get("application/json").map(|content| &content["schema"]) else {
            let empty = body.as_str().is_some_and(str::is_empty);
            return if empty || content.is_object() {
                Vec::new()
            } else {
                vec![format!("{status} has a body")]
            };
        };
        let mut problems = Vec::new();
        self.check(schema, body, "body", &mut problems);
        problems
    }

    /// `None` for what is no operation of the API: redirects, unknown paths, other methods.
    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = path.split('?').next()?.strip_prefix("/v0")?;
        let fits = |template: &str| {
            let (one, other): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| *one == other || (*one == "{id}" && !other.is_empty()))
        };
        let (_, item) = self.0["paths"].as_object()?.iter().find(|(template, _)| fits(template))?;
        item.get(method.to_lowercase())
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.0.pointer(&reference[1..]).unwrap(),
            None => value,
        }
    }

    fn check(&self, schema: &Value, value: &Value, place: &str, problems: &mut Vec<String>) {
        let schema = self.resolved(schema);
        if let Some(kinds) = schema.get("type")
            && !is_of(kinds, value)
        {
            problems.push(format!("{place}: {value} is no {kinds}"));
        }
        if let Some(constant) = schema.get("const")
            && constant != value
        {
            problems.push(format!("{place}: {value} is not {constant}"));
        }
        if let Some(choice) = schema.get("enum").and_then(Value::as_array)
            && !choice.contains(value)
        {
            problems.push(format!("{place}: {value} is none of {choice:?}"));
        }
        if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
            for (at, value) in values.iter().enumerate() {
                self.check(items, value, &format!("{place}[{at}]"), problems);
            }
        }
        if let Some(members) = value.as_object() {
            self.check_members(schema, members, place, problems);
        }
    }

    fn check_members(
        &self,
        schema: &Value,
        members: &serde_json::Map<String, Value>,
        place: &str,
        problems: &mut Vec<String>,
    ) {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !members.contains_key(name.as_str().unwrap()) {
                problems.push(format!("{place}: {name} is missing"));
            }
        }
        for (name, value) in members {
            let place = format!("{place}.{name}");
            let member = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
            match member {
                Some(Value::Bool(false)) => problems.push(format!("{place} is not documented")),
                Some(member) => self.check(member, value, &place, problems),
                None => {}
            }
        }
    }
}

fn is_of(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &str| match kind {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        _ => false,
    };
    match kinds {
        Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
        kind => is(kind.as_str().unwrap()),
    }
}
