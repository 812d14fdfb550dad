//! Enough of a Rust reader to find paths: tokens, `use` groups, inline modules, `#[cfg(test)]` items.

/// What the checker wants to know of one file.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Every path, `use` groups written out.
    pub(crate) paths: Vec<UsedPath>,
    /// Modules declared as `#[cfg(test)] mod name;`.
    pub(crate) test_modules: Vec<String>,
    /// Macros defined with `macro_rules!`.
    pub(crate) macros: Vec<String>,
}

/// A path as it stands in a file.
#[derive(Clone, Debug)]
pub(crate) struct UsedPath {
    pub(crate) segments: Vec<String>,
    /// The name after `as`.
    pub(crate) alias: Option<String>,
    /// Counted from 1.
    pub(crate) line: usize,
    /// How many inline modules it stands in.
    inline: usize,
}

impl UsedPath {
    pub(crate) fn is(&self, segments: &[&str]) -> bool {
        self.segments == segments
    }

    pub(crate) fn ends_with(&self, segments: &[&str]) -> bool {
        self.segments.len() >= segments.len()
            && self.segments.iter().rev().zip(segments.iter().rev()).all(|(a, b)| a == b)
    }

    /// The first name below the crate's root, if the path leads there from a module `depth` levels below it.
    pub(crate) fn below_root(&self, depth: usize) -> Option<&str> {
        let mut rest = self.segments.iter().map(String::as_str).peekable();
        if rest.peek() == Some(&"self") {
            rest.next();
        }
        let mut up = 0;
        while rest.peek() == Some(&"super") {
            rest.next();
            up += 1;
        }
        let rooted = if up == 0 { rest.next() == Some("crate") } else { up >= depth + self.inline };
        rooted.then(|| rest.next().unwrap_or("self"))
    }
}

/// The paths of a text, as segments.
pub(crate) fn paths(text: &str) -> impl Iterator<Item = Vec<String>> {
    Source::parse(text).paths.into_iter().map(|used| used.segments)
}

impl Source {
    pub(crate) fn parse(text: &str) -> Self {
        let tokens = tokens(text);
        let mut reader = Reader { tokens: &tokens, at: 0, braces: Vec::new(), source: Self::default() };
        while reader.at < tokens.len() {
            reader.step();
        }
        reader.source
    }
}

#[derive(Debug)]
struct Token {
    /// An identifier, `::`, or one other character.
    text: String,
    line: usize,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    }
}

#[derive(Debug)]
struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// For each open brace, whether it is an inline module's.
    braces: Vec<bool>,
    source: Source,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text.as_str())
    }

    fn step(&mut self) {
        match self.peek(0) {
            "#" if self.is_cfg_test() => self.skip_item(),
            "mod" if self.peek(2) == "{" => {
                self.braces.push(true);
                self.at += 3;
            }
            "macro_rules" if self.peek(1) == "!" => {
                self.source.macros.push(self.peek(2).to_owned());
                self.at += 3;
            }
            "{" => {
                self.braces.push(false);
                self.at += 1;
            }
            "}" => {
                self.braces.pop();
                self.at += 1;
            }
            "use" => {
                self.at += 1;
                self.use_tree(Vec::new());
            }
            _ if self.tokens[self.at].is_name() => self.path(),
            _ => self.at += 1,
        }
    }

    fn is_cfg_test(&self) -> bool {
        ["#", "[", "cfg", "(", "test", ")", "]"].iter().enumerate().all(|(i, want)| self.peek(i) == *want)
    }

    /// To the end of the item behind `#[cfg(test)]`: its braces, or the semicolon; a field ends at the comma.
    fn skip_item(&mut self) {
        self.at += 7;
        let mut depth = 0_usize;
        let mut previous = ["", ""];
        while self.at < self.tokens.len() {
            let text = self.tokens[self.at].text.as_str();
            match text {
                "(" | "[" | "{" => depth += 1,
                // The end of what encloses it: the last field of a struct.
                ")" | "]" | "}" if depth == 0 => return,
                ")" | "]" => depth -= 1,
                "}" => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return;
                    }
                }
                ";" if depth == 0 => {
                    if previous[0] == "mod" {
                        self.source.test_modules.push(previous[1].to_owned());
                    }
                    self.at += 1;
                    return;
                }
                _ => {}
            }
            previous = [previous[1], text];
            self.at += 1;
        }
    }

    /// A path outside `use`.
    fn path(&mut self) {
        let line = self.tokens[self.at].line;
        let mut segments = vec![self.peek(0).to_owned()];
        self.at += 1;
        while self.peek(0) == "::" && self.tokens.get(self.at + 1).is_some_and(Token::is_name) {
            segments.push(self.peek(1).to_owned());
            self.at += 2;
        }
        if segments.len() > 1 {
            self.push(segments, None, line);
        }
    }

    /// One branch of a `use`: `a::b`, `a::{..}`, `a::*`, `a as b`.
    fn use_tree(&mut self, mut segments: Vec<String>) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.peek(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.peek(0), "}" | "") {
                        self.use_tree(segments.clone());
                        if self.peek(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => {
                    let alias = self.peek(1).to_owned();
                    self.at += 2;
                    return self.push(segments, Some(alias), line);
                }
                "," | "}" | ";" | "" => return self.push(segments, None, line),
                // `a::{self}` is `a`.
                "self" if !segments.is_empty() => self.at += 1,
                name => {
                    segments.push(name.to_owned());
                    self.at += 1;
                }
            }
        }
    }

    fn push(&mut self, segments: Vec<String>, alias: Option<String>, line: usize) {
        let inline = self.braces.iter().filter(|module| **module).count();
        self.source.paths.push(UsedPath { segments, alias, line, inline });
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let octets = text.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < octets.len() {
        let length = blank(&octets[at..]).unwrap_or(0);
        if length == 0 {
            let length = match octets[at] {
                b':' if octets.get(at + 1) == Some(&b':') => 2,
                c if c.is_ascii_alphanumeric() || c == b'_' => {
                    octets[at..].iter().take_while(|c| c.is_ascii_alphanumeric() || **c == b'_').count()
                }
                _ => 1,
            };
            let text = String::from_utf8_lossy(&octets[at..at + length]).into_owned();
            tokens.push(Token { text, line });
            at += length;
        } else {
            line += octets[at..at + length].split(|c| *c == b'\n').count() - 1;
            at += length;
        }
    }
    tokens
}

/// The length of what is no token of interest: white space, a comment, a text, a character, a lifetime.
fn blank(rest: &[u8]) -> Option<usize> {
    match rest {
        [c, ..] if c.is_ascii_whitespace() => Some(1),
        [b'/', b'/', ..] => Some(rest.iter().position(|c| *c == b'\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(block_comment(rest)),
        [b'r', b'"' | b'#', ..] => raw_text(rest, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] => raw_text(rest, 2),
        [b'b' | b'c', b'"', ..] => Some(1 + quoted(&rest[1..], b'"')),
        [b'"', ..] => Some(quoted(rest, b'"')),
        [b'b', b'\'', ..] => Some(1 + quoted(&rest[1..], b'\'')),
        [b'\'', b'\\', ..] => Some(quoted(rest, b'\'')),
        // A character is closed by the next quote but one; a lifetime is not.
        [b'\'', c, ..] if c.is_ascii_alphabetic() || *c == b'_' => {
            Some(if rest.get(2) == Some(&b'\'') { 3 } else { 1 + name_length(&rest[1..]) })
        }
        [b'\'', ..] => Some(quoted(rest, b'\'')),
        _ => None,
    }
}

fn name_length(rest: &[u8]) -> usize {
    rest.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == b'_').count()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `r"..."` and `r#"..."#`, but not the raw identifier `r#type`.
fn raw_text(rest: &[u8], prefix: usize) -> Option<usize> {
    let hashes = rest[prefix..].iter().take_while(|c| **c == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = [b'"'].into_iter().chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = &rest[open + 1..];
    let end = body.windows(close.len()).position(|window| window == close).unwrap_or(body.len());
    Some((open + 1 + end + close.len()).min(rest.len()))
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < rest.len() && depth > 0 {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}
