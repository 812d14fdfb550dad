//! The table of docs/operations.md, and what there really is.

use std::collections::{BTreeMap, BTreeSet};

use webpush_channels::{OutcomeKind, Vendor};

use crate::recorder::Book;
use crate::{hub, support};

const MANUAL: &str = include_str!("../../docs/operations.md");

/// Kind and labels, with their words, of each name.
type Names = BTreeMap<String, (String, BTreeMap<String, BTreeSet<String>>)>;

fn codes(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn documented() -> Names {
    let rows = MANUAL.lines().skip_while(|line| !line.starts_with("| name | kind | labels |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        let name = codes(cells[0]).next().unwrap();
        let labels = cells[2].split(';').filter(|label| label.contains('`')).map(label).collect();
        (name, (cells[1].to_owned(), labels))
    })
    .collect()
}

/// A label and its words: those that stand there, or those that the text below tells.
fn label(text: &str) -> (String, BTreeSet<String>) {
    let mut codes = codes(text);
    let name = codes.next().unwrap();
    let words = match &*name {
        "service" => [Vendor::Apple, Vendor::Fcm, Vendor::Mozilla, Vendor::Other, Vendor::Wns]
            .map(|vendor| vendor.as_str().to_owned())
            .into(),
        "outcome" => OutcomeKind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect(),
        _ => codes.collect(),
    };
    (name, words)
}

pub fn counted(book: &Book) -> Names {
    let mut names = Names::new();
    for ((name, labels), kind) in book.series() {
        let (_, known) = names.entry(name).or_insert_with(|| (kind.to_owned(), BTreeMap::new()));
        for (label, word) in labels {
            known.entry(label).or_default().insert(word);
        }
    }
    names
}

#[tokio::test(start_paused = true)]
async fn the_manual_has_every_series_and_no_other() {
    let book = Book::default();
    let double = support::Double::by_status();
    let store = support::store(support::each_status()).await;
    let channels = hub(&book, &store, &double);
    let (before, documented) = (counted(&book), documented());
    assert_eq!(before, documented, "docs/operations.md");
    assert!(documented.len() > 15);
    let described: BTreeSet<_> = book.described();
    let kinds = documented.iter().map(|(name, (kind, _))| (name.clone(), &**kind)).collect::<BTreeSet<_>>();
    assert_eq!(described, kinds.into_iter().map(|(name, kind)| (name, kind_of(kind))).collect());
    // All of them are there from the start.
    crate::publish(&channels).await;
    assert_eq!(counted(&book), documented);
}

fn kind_of(kind: &str) -> &'static str {
    ["counter", "gauge", "histogram"].into_iter().find(|it| *it == kind).unwrap()
}

#[test]
fn the_words_below_the_table_are_those_of_the_code() {
    for vendor in [Vendor::Apple, Vendor::Fcm, Vendor::Mozilla, Vendor::Other, Vendor::Wns] {
        assert!(MANUAL.contains(&format!("`{vendor}`")), "{vendor}");
    }
}
