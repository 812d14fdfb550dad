//! Every way in that docs/security.md names has its fuzz targets, and every target is named there.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What the corpora may take of a clone, in octets.
const MAX_CORPORA: u64 = 400 * 1024;

fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// The names in a directory, without this ending.
fn names(below: &str, ending: &str) -> BTreeSet<String> {
    let entries =
        fs::read_dir(path(below)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries
        .map(|name| name.strip_suffix(ending).unwrap_or_else(|| panic!("{below}/{name}")).to_owned())
        .collect()
}

fn targets() -> BTreeSet<String> {
    names("fuzz/fuzz_targets", ".rs")
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The entry points and the targets of each row.
fn table() -> Vec<(String, Vec<String>)> {
    let document = fs::read_to_string(path("docs/security.md")).unwrap();
    let (_, section) = document.split_once("\n## Entry points for untrusted input\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [_, entry_points, targets] = cells[..] else { panic!("three columns: {row}") };
        (entry_points.to_owned(), quoted(targets).map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn the_table_and_the_targets_are_the_same() {
    let table = table();
    assert!(table.len() >= 10, "the table is found");
    let named: BTreeSet<String> = table.into_iter().flat_map(|(_, targets)| targets).collect();
    assert_eq!(named, targets());
    let manifest = fs::read_to_string(path("fuzz/Cargo.toml")).unwrap();
    let built = manifest.split("[[bin]]").skip(1).map(|bin| {
        let name = bin.split('"').nth(1).unwrap();
        assert!(bin.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        name.to_owned()
    });
    assert_eq!(built.collect::<BTreeSet<_>>(), targets());
}

/// `Type::function`, `function` and words of the protocol; a path is the corpus' business.
#[test]
fn the_targets_of_a_row_have_every_entry_point_of_it() {
    for (entry_points, targets) in table() {
        assert!(!targets.is_empty(), "{entry_points}");
        let source =
            |target: &String| fs::read_to_string(path(&format!("fuzz/fuzz_targets/{target}.rs"))).unwrap();
        let sources: String = targets.iter().map(source).collect();
        for entry_point in quoted(&entry_points).filter(|word| !word.starts_with('/')) {
            for part in entry_point.split("::") {
                assert!(sources.contains(part), "{entry_point} in none of {targets:?}");
            }
        }
    }
}

#[test]
fn every_target_has_a_small_corpus() {
    assert_eq!(names("fuzz/corpus", ""), targets());
    let dictionaries = names("fuzz/dictionaries", ".dict");
    assert!(dictionaries.is_subset(&targets()), "{dictionaries:?}");
    let mut octets = 0;
    for target in targets() {
        let inputs = fs::read_dir(path("fuzz/corpus").join(&target)).unwrap();
        let sizes: Vec<u64> = inputs.map(|input| input.unwrap().metadata().unwrap().len()).collect();
        assert!(!sizes.is_empty(), "{target}");
        octets += sizes.iter().sum::<u64>();
    }
    assert!(octets < MAX_CORPORA, "{octets} octets are many");
}
