use serde_json::Value;

use super::MarionetteError;

/// The `error` of an answer.
#[derive(Debug)]
pub(super) struct Refused {
    error: String,
    message: String,
}

impl Refused {
    pub(super) fn of(self, command: &str) -> MarionetteError {
        MarionetteError::Refused { command: command.to_owned(), error: self.error, message: self.message }
    }
}

pub(super) fn check_greeting(greeting: &Value) -> Result<(), MarionetteError> {
    match greeting.get("marionetteProtocol").and_then(Value::as_u64) {
        Some(3) => Ok(()),
        _ => Err(MarionetteError::unexpected("the greeting of protocol 3", greeting)),
    }
}

/// `[1, id, error, result]`, where one of the last two is null.
pub(super) fn parse(mut answer: Value, id: u64) -> Result<Result<Value, Refused>, MarionetteError> {
    let parts = answer.as_array_mut().map(Vec::as_mut_slice);
    let Some([kind, answered, error, result]) = parts else {
        return Err(MarionetteError::unexpected("an answer", &answer));
    };
    if *kind != 1 || *answered != id {
        return Err(MarionetteError::unexpected("the answer to the last command", &answer));
    }
    if error.is_null() {
        return Ok(Ok(result.take()));
    }
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Err(Refused { error: text("error"), message: text("message") }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_a_result_or_a_refusal() {
        assert_eq!(parse(json!([1, 7, null, { "value": 3 }]), 7).unwrap().unwrap(), json!({ "value": 3 }));
        let refused = parse(json!([1, 7, { "error": "no such element", "message": "m" }, null]), 7).unwrap();
        let error = refused.unwrap_err().of("WebDriver:FindElement");
        assert!(error.is_about_element());
        assert_eq!(error.to_string(), "WebDriver:FindElement: no such element: m");
    }

    #[test]
    fn anything_else_is_outside_of_the_protocol() {
        for bad in [json!({}), json!([1, 7, null]), json!([0, 7, null, null]), json!([1, 6, null, null])] {
            assert!(matches!(parse(bad, 7), Err(MarionetteError::Protocol { .. })));
        }
    }
}
