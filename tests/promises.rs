//! Each test that docs/reliability.md names is there.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::Path;

/// What stands between backticks and is a path of tests.
fn named(manual: &str) -> impl Iterator<Item = &str> {
    let quoted = manual.split('`').skip(1).step_by(2);
    quoted.filter(|word| ["tests/", "examples/", "src/", "fuzz/"].iter().any(|start| word.starts_with(start)))
}

/// Whether the tree has this file, or this function in this file.
fn exists(root: &Path, name: &str) -> bool {
    match name.split_once("::") {
        None => root.join(name).exists(),
        Some((file, function)) => {
            fs::read_to_string(root.join(file)).is_ok_and(|text| text.contains(&format!("fn {function}(")))
        }
    }
}

#[test]
fn every_test_that_the_manual_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual = fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let names: Vec<_> = named(&manual).collect();
    assert!(names.len() > 30, "the names are found: {names:?}");
    let missing: Vec<_> = names.into_iter().filter(|name| !exists(root, name)).collect();
    assert!(missing.is_empty(), "named, but not there: {missing:?}");
}

#[test]
fn a_test_that_is_gone_is_noticed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = "`a word`, `tests/promises.rs`, `tests/none.rs`, `tests/promises.rs::exists`, `tests/promises.rs::gone`";
    let found: Vec<_> = named(text).map(|name| exists(root, name)).collect();
    assert_eq!(found, [true, false, true, false]);
}
