//! Who is measured.

/// A sender, and what it is measured with.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// As the tables and the plot have it, in Markdown.
    label: &'static str,
    pub(crate) by: By,
    /// Pushes of one measurement; none where there is nothing that sends.
    pub(crate) pushes: usize,
    /// Messages of one measurement, which are made and not sent.
    pub(crate) messages: usize,
    /// What nothing can do without, and what this project is.
    pub(crate) kind: Kind,
}

/// What runs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum By {
    /// This program once more.
    Rust,
    Node,
    Python,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Floor,
    Ours,
    Peer,
}

/// What the others are compared with.
pub(crate) const COMPARED: &str = "web-push-isahc";

/// A second of CPU time or so for each, where a round of them is measured.
pub(crate) const ROWS: [Row; 10] = [
    Row {
        name: "floor-aws-lc-rs",
        label: "floor: aws-lc-rs and hyper alone",
        by: By::Rust,
        pushes: 20_000,
        messages: 20_000,
        kind: Kind::Floor,
    },
    Row {
        name: "channels-aws-lc-rs",
        label: "**this crate**, aws-lc-rs (its default)",
        by: By::Rust,
        pushes: 20_000,
        messages: 20_000,
        kind: Kind::Ours,
    },
    Row {
        name: "floor-rustcrypto",
        label: "floor: RustCrypto alone",
        by: By::Rust,
        pushes: 0,
        messages: 4_000,
        kind: Kind::Floor,
    },
    Row {
        name: "channels-rustcrypto",
        label: "**this crate**, RustCrypto (pure Rust)",
        by: By::Rust,
        pushes: 4_000,
        messages: 4_000,
        kind: Kind::Ours,
    },
    Row {
        name: "ece",
        label: "`ece`, encryption alone",
        by: By::Rust,
        pushes: 0,
        messages: 8_000,
        kind: Kind::Peer,
    },
    Row {
        name: COMPARED,
        label: "`web-push`, isahc (its default)",
        by: By::Rust,
        pushes: 3_000,
        messages: 3_000,
        kind: Kind::Peer,
    },
    Row {
        name: "web-push-hyper",
        label: "`web-push`, its feature hyper-client",
        by: By::Rust,
        pushes: 3_000,
        messages: 0,
        kind: Kind::Peer,
    },
    Row {
        name: "web-push-native",
        label: "`web-push-native`, over reqwest",
        by: By::Rust,
        pushes: 3_000,
        messages: 3_000,
        kind: Kind::Peer,
    },
    Row {
        name: "node",
        label: "node `web-push`",
        by: By::Node,
        pushes: 2_000,
        messages: 2_000,
        kind: Kind::Peer,
    },
    Row {
        name: "python",
        label: "`pywebpush`",
        by: By::Python,
        pushes: 2_000,
        messages: 3_000,
        kind: Kind::Peer,
    },
];

/// One thing that a row is measured with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    Push,
    Message,
}

impl What {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Message => "message",
        }
    }
}

impl Row {
    /// Who does a thing: a client has no part in messages alone.
    pub(crate) fn label(&self, what: What) -> &'static str {
        match (what, self.name) {
            (What::Message, "floor-aws-lc-rs") => "floor: aws-lc-rs alone",
            (What::Message, COMPARED) => "`web-push`",
            (What::Message, "web-push-native") => "`web-push-native`",
            _ => self.label,
        }
    }

    /// Whose messages nobody can open.
    pub(crate) fn is_floor(&self) -> bool {
        self.kind == Kind::Floor
    }

    /// How many of a thing one measurement takes. In a smoke run only as many as show that it works.
    pub(crate) fn times(&self, what: What, smoke: bool) -> usize {
        let times = match what {
            What::Push => self.pushes,
            What::Message => self.messages,
        };
        if smoke { times.min(64) } else { times }
    }
}
