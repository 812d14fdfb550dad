//! The secrets, in every form in which they could be printed.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{Debug, Display};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// So many characters of a secret in a row are a leak: a text that was cut still tells.
const WINDOW: usize = 12;

/// What must not be shown.
#[derive(Default)]
pub(crate) struct Needles {
    /// Parts of secrets by their first octets, and whose part it is.
    windows: HashMap<[u8; WINDOW], Vec<(String, String)>>,
}

impl Needles {
    /// A secret that is text.
    pub(crate) fn text(&mut self, name: &str, secret: &str) -> &mut Self {
        for line in secret.lines() {
            self.form(name, line);
        }
        self.octets(name, secret.as_bytes())
    }

    /// A secret that is octets.
    pub(crate) fn octets(&mut self, name: &str, secret: &[u8]) -> &mut Self {
        assert!(secret.len() >= WINDOW, "{name} is too short to be looked for");
        // Inside something longer its base64 has one of three alignments.
        for (shift, foreign) in [(0, 0), (1, 2), (2, 3)] {
            let shifted = [&[0; 2][..shift], secret].concat();
            for base64 in [BASE64_URL_SAFE_NO_PAD.encode(&shifted), BASE64_STANDARD_NO_PAD.encode(&shifted)] {
                self.form(name, &base64[foreign..base64.len() - 1]);
            }
        }
        let hex = hex(secret);
        self.form(name, &hex);
        self.form(name, &hex.to_uppercase());
        // Lists of numbers, and what `Bytes` writes.
        for six in secret.windows(6) {
            self.window(name, list(six));
            self.window(name, six.escape_ascii().to_string());
        }
        self
    }

    fn form(&mut self, name: &str, form: &str) {
        assert!(form.is_ascii());
        for start in 0..=form.len().saturating_sub(WINDOW) {
            self.window(name, form[start..].chars().take(WINDOW).collect());
        }
    }

    fn window(&mut self, name: &str, window: String) {
        if let Some(first) = window.as_bytes().first_chunk() {
            let same = self.windows.entry(*first).or_default();
            if !same.iter().any(|(known, _)| *known == window) {
                same.push((window, name.to_owned()));
            }
        }
    }

    /// The names of the secrets that `shown` shows.
    pub(crate) fn found_in(&self, shown: &str) -> BTreeSet<&str> {
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut found = BTreeSet::new();
        let mut rest = shown.as_bytes();
        while let Some(first) = rest.first_chunk::<WINDOW>() {
            let windows = self.windows.get(first).into_iter().flatten();
            found.extend(
                windows.filter(|(window, _)| rest.starts_with(window.as_bytes())).map(|(_, name)| &**name),
            );
            rest = &rest[1..];
        }
        found
    }
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets
        .iter()
        .flat_map(|octet| [octet >> 4, octet & 15])
        .filter_map(|n| char::from_digit(n.into(), 16))
        .collect()
}

/// As `{:?}` lists octets, without the brackets.
fn list(octets: &[u8]) -> String {
    octets.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

/// Formats things and looks for secrets in what comes out.
pub(crate) struct Shown<'a> {
    needles: &'a Needles,
    leaks: Vec<String>,
    count: usize,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(needles: &'a Needles) -> Self {
        Self { needles, leaks: Vec::new(), count: 0 }
    }

    pub(crate) fn text(&mut self, what: &str, shown: &str) {
        self.count += 1;
        for name in self.needles.found_in(shown) {
            self.leaks.push(format!("{what} shows {name}: {shown}"));
        }
    }

    pub(crate) fn debug(&mut self, what: &(impl Debug + ?Sized)) {
        self.text("Debug", &format!("{what:?}"));
        self.text("Debug", &format!("{what:#?}"));
    }

    pub(crate) fn display(&mut self, what: &(impl Display + ?Sized)) {
        self.text("Display", &what.to_string());
    }

    /// An error with all its causes.
    pub(crate) fn error(&mut self, error: &(dyn std::error::Error + 'static)) {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.debug(error);
            self.display(error);
            cause = error.source();
        }
    }

    /// The error of what must fail.
    #[track_caller]
    pub(crate) fn failure<T>(&mut self, result: Result<T, impl std::error::Error + 'static>) {
        match result {
            Ok(_) => panic!("this was to fail"),
            Err(error) => self.error(&error),
        }
    }

    pub(crate) fn finish(self) -> usize {
        assert!(self.leaks.is_empty(), "{} leaks:\n{}", self.leaks.len(), self.leaks.join("\n"));
        self.count
    }

    pub(crate) fn leaks(&self) -> &[String] {
        &self.leaks
    }
}
