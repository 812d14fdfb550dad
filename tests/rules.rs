//! Every rule id that the code cites is explained in docs/rules.md.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The ids in a text: `E-30`, `Q-M5`.
fn ids(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_id = |word: &&str| {
        word.split_once('-').is_some_and(|(family, number)| {
            let digits = match family {
                "D" | "E" | "V" | "H" | "R" | "S" => number,
                "Q" => number.get(1..).unwrap_or_default(),
                _ => "",
            };
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        })
    };
    text.split(|c| !word(c)).filter(is_id).map(str::to_owned).collect()
}

fn cited_below(dir: &Path, cited: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            cited_below(&path, cited);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            cited.append(&mut ids(&fs::read_to_string(path).unwrap()));
        }
    }
}

#[test]
fn every_cited_rule_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let explained = ids(&fs::read_to_string(root.join("docs/rules.md")).unwrap());
    let mut cited = BTreeSet::new();
    for dir in ["src", "tests", "benches", "examples", "fuzz"] {
        let dir = root.join(dir);
        // The published package has no fuzz targets.
        if dir.is_dir() {
            cited_below(&dir, &mut cited);
        }
    }
    assert!(cited.len() > 50, "the ids are found: {cited:?}");
    let unexplained: Vec<_> = cited.difference(&explained).collect();
    assert!(unexplained.is_empty(), "cited, but not in docs/rules.md: {unexplained:?}");
}

#[test]
fn an_id_is_told_from_other_words() {
    assert_eq!(ids("(E-30, Q-M5) SHA-256 R-x P-256 AES-128").len(), 2);
}
