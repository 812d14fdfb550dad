//! docs/service.md says what there is: every setting, every route, every error.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::collections::BTreeSet;

use clap::CommandFactory;
use serde_json::Value;
use webpush_channels_server::settings::Options;

const MANUAL: &str = include_str!("../../../docs/service.md");
const DOCUMENT: &str = include_str!("../src/openapi.json");

/// The cells of the rows below a heading of a table, up to its end.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let table = MANUAL.lines().skip_while(|line| !line.starts_with(heading)).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What stands between the first backticks.
fn code(cell: &str) -> &str {
    cell.split('`').nth(1).unwrap_or_default()
}

#[test]
fn the_manual_has_every_setting_of_the_help() {
    let documented = rows("| flag | variable |");
    let command = Options::command();
    let own = |id: &str| !matches!(id, "help" | "version");
    let settings: Vec<_> =
        command.get_arguments().filter(|argument| own(argument.get_id().as_str())).collect();
    assert!(settings.len() > 30);
    for setting in &settings {
        let flag = format!("--{}", setting.get_long().unwrap());
        let row = documented.iter().find(|row| code(row[0]) == flag).unwrap_or_else(|| panic!("{flag}"));
        assert_eq!(code(row[1]), setting.get_env().unwrap(), "{flag}");
        let key = if flag == "--config" { "" } else { setting.get_id().as_str() };
        assert_eq!(code(row[2]), key, "{flag}");
        let help = setting.get_help().unwrap().to_string();
        if let Some((_, default)) = help.split_once("[default: ") {
            let plain = |text: &str| text.replace(['`', ']', ','], "");
            assert_eq!(plain(row[3]), plain(default), "{flag}");
        }
    }
    assert_eq!(documented.len(), settings.len(), "settings that are no more");
}

#[test]
fn the_manual_has_every_operation_of_the_document() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        let prefix = if item.get("servers").is_some() { "" } else { "/v0" };
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters" && *key != "servers")
        {
            let call = format!("| `{} {prefix}{path}`", method.to_uppercase());
            assert!(MANUAL.contains(&call), "{call}");
        }
    }
}

#[test]
fn the_manual_and_the_document_have_the_same_errors() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let known = document["components"]["schemas"]["Error"]["properties"]["errno"]["enum"].as_array().unwrap();
    let known: BTreeSet<_> = known.iter().map(|errno| errno.as_u64().unwrap()).collect();
    let documented = rows("| status | errno |");
    let numbers: BTreeSet<u64> = documented.iter().map(|row| row[1].parse().unwrap()).collect();
    assert_eq!(numbers, known);
    for response in document["components"]["responses"].as_object().unwrap().values() {
        let description = response["description"].as_str().unwrap();
        let errno = description.strip_prefix("errno ").and_then(|rest| rest.split(':').next()).unwrap();
        assert!(documented.iter().any(|row| row[1] == errno), "{description}");
    }
}
