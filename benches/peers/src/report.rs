//! The tables, and where they are written.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::footprint::PROGRAMS;
use crate::measure::SIZES;
use crate::options::Options;
use crate::rows::{COMPARED, Row, What};
use crate::sample::{Footprint, Measured};
use crate::table::{Samples, median};
use crate::versions::Versions;
use crate::{Result, plot};

const BEGINNING: &str = "<!-- peers: the output of the command above stands between these marks -->";
const END: &str = "<!-- /peers -->";
/// The size that is compared.
pub(crate) const SIZE: usize = SIZES[1];

/// Prints the tables. A whole run is written to the documents, too.
pub(crate) fn write(
    options: &Options,
    rows: &[&Row],
    measured: &Measured,
    versions: &Versions,
) -> Result<()> {
    let text = text(rows, measured, versions);
    println!("\n{text}");
    if options.smoke {
        println!("smoke run: tiny numbers, the figures mean nothing, and nothing is written");
        return Ok(());
    }
    if options.only.is_some() {
        return Ok(());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let (document, picture) = (root.join("docs/benchmarks.md"), root.join("docs/peers.svg"));
    replace(&document, &text)?;
    fs::write(&picture, plot::draw(rows, measured))?;
    println!("written to {} and {}", document.display(), picture.display());
    Ok(())
}

fn text(rows: &[&Row], measured: &Measured, versions: &Versions) -> String {
    let mut text = String::new();
    text.push_str("Whole pushes, microseconds of the sender's CPU for each:\n\n");
    text.push_str(
        "| sender | HTTP | 100 octets | 1024 | 3000 | a minute and core | x web-push | elapsed, 1024 |\n",
    );
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for row in rows {
        push(&mut text, row, rows, measured);
    }
    text.push_str("\nMessages alone, encrypted, signed and made into requests, microseconds for each:\n\n");
    text.push_str("| what | 100 octets | 1024 | 3000 | a second and core | x web-push |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for row in rows {
        message(&mut text, row, rows, measured);
    }
    if let [ours, theirs] = &measured.footprints[..] {
        text.push_str("\nA program that sends one message:\n\n");
        footprints(&mut text, ours, theirs);
    }
    let rounds = measured.rounds();
    let Versions { machine, software } = versions;
    let _ =
        write!(text, "\n{machine}; {rounds} rounds\n\n{software}\n\n    scripts/peers --rounds {rounds}\n");
    text
}

fn push(text: &mut String, row: &Row, rows: &[&Row], measured: &Measured) {
    let Some([small, middle, large]) = sizes(row, What::Push, measured) else { return };
    let elapsed = measured.elapsed(row, What::Push, SIZE).map_or(f64::NAN, |it| it.median());
    let protocol = measured.protocols.get(row.name).map_or("-", String::as_str);
    let protocol = protocol.trim_start_matches("HTTP/").trim_end_matches(".0");
    let (a_minute, ratio) = (thousands(60e6 / middle), ratio(row, What::Push, rows, measured));
    let label = row.label(What::Push);
    let _ = writeln!(
        text,
        "| {label} | {protocol} | {small:.1} | {middle:.1} | {large:.1} | {a_minute} | {ratio} | {elapsed:.1} |"
    );
}

fn message(text: &mut String, row: &Row, rows: &[&Row], measured: &Measured) {
    let Some([small, middle, large]) = sizes(row, What::Message, measured) else { return };
    let (a_second, ratio) = (thousands(1e6 / middle), ratio(row, What::Message, rows, measured));
    let label = row.label(What::Message);
    let _ = writeln!(text, "| {label} | {small:.1} | {middle:.1} | {large:.1} | {a_second} | {ratio} |");
}

/// Medians, by size.
fn sizes(row: &Row, what: What, measured: &Measured) -> Option<[f64; 3]> {
    let medians = SIZES.map(|size| measured.cpu(row, what, size).map(|samples| samples.median()));
    let [Some(small), Some(middle), Some(large)] = medians else { return None };
    Some([small, middle, large])
}

/// How many times as many as web-push: the median of the ratios of each round.
fn ratio(row: &Row, what: What, rows: &[&Row], measured: &Measured) -> String {
    let compared = rows.iter().find(|row| row.name == COMPARED);
    let compared = compared.and_then(|row| measured.cpu(row, what, SIZE));
    let ratio = |one: Samples| Some(compared.as_ref()?.over(&one));
    measured.cpu(row, what, SIZE).and_then(ratio).map_or_else(|| "-".to_owned(), |it| format!("{it:.1}"))
}

fn footprints(text: &mut String, ours: &Footprint, theirs: &Footprint) {
    let [first, second] = PROGRAMS.map(|name| name.trim_start_matches("first-push-"));
    let _ = writeln!(text, "| what | {} | `{second}` |", first.replace("channels", "this crate"));
    text.push_str("|---|---|---|\n");
    let mut row = |what: &str, value: &dyn Fn(&Footprint) -> String| {
        let _ = writeln!(text, "| {what} | {} | {} |", value(ours), value(theirs));
    };
    let start = |part: fn(&(f64, f64)) -> f64| {
        move |it: &Footprint| format!("{:.1} ms", median(it.starts.iter().map(part).collect()) / 1e3)
    };
    row("from the start of the process to the push being accepted, median", &start(|it| it.0));
    row("the same, CPU, median", &start(|it| it.1));
    row("size of the program", &|it| mebi(it.octets));
    row("the same, stripped", &|it| mebi(it.stripped));
    row("crates that it depends on", &|it| it.dependencies.to_string());
    let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), |it| format!("{it:.0} s"));
    row("building it from nothing, elapsed", &|it| seconds(it.build.map(|it| it.0)));
    row("the same, CPU", &|it| seconds(it.build.map(|it| it.1)));
}

#[allow(clippy::cast_precision_loss, reason = "programs are far below 2^52 octets")]
fn mebi(octets: u64) -> String {
    format!("{:.1} MiB", octets as f64 / f64::from(1 << 20))
}

/// A whole number, its digits by threes.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn replace(document: &PathBuf, text: &str) -> Result<()> {
    let old = fs::read_to_string(document)?;
    let parts = old.split_once(BEGINNING).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| format!("{} has no marks for this", document.display()))?;
    Ok(fs::write(document, format!("{before}{BEGINNING}\n{text}{END}{after}"))?)
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn digits_stand_by_threes() {
        for (number, text) in [(7.4, "7"), (999.6, "1 000"), (12_345.0, "12 345"), (1_160_000.0, "1 160 000")]
        {
            assert_eq!(thousands(number), text);
        }
    }
}
