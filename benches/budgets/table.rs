//! The table: what was measured beside its floor and its budget.

#![allow(dead_code, reason = "not every table has every kind of line")]

use std::fmt;

/// What several rounds measured, in microseconds, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(pub(crate) Vec<f64>);

impl Samples {
    pub(crate) fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The median of the ratios of each round: what slows one round down slows both sides.
    pub(crate) fn over(&self, floor: &Self) -> f64 {
        median(self.0.iter().zip(&floor.0).map(|(measured, floor)| measured / floor).collect())
    }

    /// Round by round.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, two)| one + two).collect())
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

/// How a figure is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Judged {
    AtMost,
    AtLeast,
    Told,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Row {
    what: &'static str,
    floor: String,
    measured: String,
    value: f64,
    limit: f64,
    unit: &'static str,
    judged: Judged,
}

impl Row {
    /// A cost that is judged by its ratio to a floor that was measured beside it.
    pub(crate) fn ratio(
        what: &'static str,
        measured: &Samples,
        floor_name: &str,
        floor: &Samples,
        limit: f64,
    ) -> Self {
        Self {
            what,
            floor: format!("{:.2} us ({floor_name})", floor.median()),
            measured: format!("{:.2} us", measured.median()),
            value: measured.over(floor),
            limit,
            unit: "",
            judged: Judged::AtMost,
        }
    }

    /// A ratio that is to be reached.
    pub(crate) fn at_least(
        what: &'static str,
        floor: String,
        measured: String,
        value: f64,
        limit: f64,
    ) -> Self {
        Self { what, floor, measured, value, limit, unit: "", judged: Judged::AtLeast }
    }

    /// A figure that is not judged.
    pub(crate) fn told(what: &'static str, floor: String, value: f64, unit: &'static str) -> Self {
        Self { judged: Judged::Told, ..Self::plain(what, floor, value, f64::INFINITY, unit) }
    }

    /// A figure that is judged as it is.
    pub(crate) fn plain(
        what: &'static str,
        floor: String,
        value: f64,
        limit: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            what,
            floor,
            measured: format!("{value:.2}{unit}"),
            value,
            limit,
            unit,
            judged: Judged::AtMost,
        }
    }

    fn is_met(&self) -> bool {
        match self.judged {
            Judged::AtMost => self.value <= self.limit,
            Judged::AtLeast => self.value >= self.limit,
            Judged::Told => true,
        }
    }
}

/// All lines, as Markdown.
#[derive(Debug)]
pub(crate) struct Table(pub(crate) Vec<Row>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | floor | measured | ratio | budget | met |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for row in &self.0 {
            let Row { what, floor, measured, value, limit, unit, judged } = row;
            let ratio = if unit.is_empty() { format!("{value:.3}") } else { "-".to_owned() };
            let met = if row.is_met() { "yes" } else { "**no**" };
            let sign = match judged {
                Judged::AtMost => "<=",
                Judged::AtLeast => ">=",
                Judged::Told => {
                    writeln!(f, "| {what} | {floor} | {measured} | {ratio} | - | - |")?;
                    continue;
                }
            };
            writeln!(f, "| {what} | {floor} | {measured} | {ratio} | {sign} {limit}{unit} | {met} |")?;
        }
        Ok(())
    }
}
