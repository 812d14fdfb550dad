//! What an error says.

use std::error::Error;

/// The longest text of one error. They are written by hand and quote at most a name.
const MAX_LEN: usize = 1024;

/// An error with all its causes, each checked to be one bounded line.
pub fn whole(error: &dyn Error) -> String {
    let mut whole = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        assert!(
            !text.is_empty() && text.len() <= MAX_LEN,
            "an error says something, and not everything: {text}"
        );
        whole.push_str(&text);
        whole.push('\n');
        next = error.source();
    }
    whole
}
