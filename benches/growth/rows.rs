//! The table, and figures in a line.

use super::samples::{Figures, Samples};
use super::table::{Row, Samples as Values, Table, median};

/// The rows that docs/benchmarks.md explains.
pub(crate) fn table(rounds: usize, samples: &Samples) -> Table {
    let cpu = |leg: &str| Values(samples.of(leg, rounds, |it| it.cpu));
    let flat = |what, leg, than, name| Row::ratio(what, &cpu(leg), name, &cpu(than), 1.1);
    let one = format!("{:.2} us (1 push service)", cpu("size-100k").median());
    let told = |what, leg: &str| Row::told(what, one.clone(), cpu(leg).median(), " us");
    let mut rows = vec![
        flat("a push to a channel of 10 000", "size-10k", "size-1k", "1000"),
        flat("a push to a channel of 100 000", "size-100k", "size-1k", "1000"),
        flat("a push to a channel of 1 000 000", "size-1m", "size-1k", "1000"),
        flat("100 000 at 10 push services", "ten-100k", "ten-1k", "1000 at 10"),
        flat("100 000 at 1000 push services", "thousand-100k", "thousand-1k", "1000 at 1000"),
        told("100 000 at 10 push services", "ten-100k"),
        told("100 000 at 1000 push services", "thousand-100k"),
        told("10 000 at 1000, connections to 256 at a time (the default)", "thousand-defaults"),
        flat("a push on two threads, 1 ms", "two-1", "rate-1", "one thread"),
    ];
    rows.extend(rates(rounds, samples));
    rows.extend(waits(rounds, samples));
    Table(rows)
}

/// Beside what the processor could do if nothing had to be waited for.
fn rates(rounds: usize, samples: &Samples) -> Vec<Row> {
    let row = |what, leg: &str, threads: f64, judged: bool| {
        let rate = samples.of(leg, rounds, |it| it.rate);
        let bound = samples.of("size-100k", rounds, |it| 1e6 / it.cpu);
        let bound = Values(bound.into_iter().map(|it| it * threads).collect());
        let rate = Values(rate);
        let floor = format!("{:.0}/s (the processor's time)", bound.median());
        let measured = format!("{:.0}/s", rate.median());
        if judged {
            Row::at_least(what, floor, measured, rate.over(&bound), 0.8)
        } else {
            Row::told(what, floor, rate.median(), "/s")
        }
    };
    vec![
        row("pushes a second, 1 ms, one thread", "rate-1", 1.0, true),
        row("pushes a second, 50 ms, one thread", "rate-50", 1.0, true),
        row("pushes a second, 200 ms, one thread", "rate-200", 1.0, false),
        row("pushes a second, 1 ms, two threads", "two-1", 2.0, false),
        row("pushes a second, 50 ms, two threads", "two-50", 2.0, false),
        row("pushes a second, 200 ms, two threads", "two-200", 2.0, false),
    ]
}

/// The longest of all rounds: no push may wait longer.
fn waits(rounds: usize, samples: &Samples) -> [Row; 3] {
    let longest = |leg| samples.of(leg, rounds, |it| it.longest).into_iter().fold(0.0, f64::max);
    let usual = median(samples.of("wait", rounds, |it| it.wait));
    [
        Row::told("from the page to the transport, the median push", "-".into(), usual, " ms"),
        Row::plain("the longest, 1 push service", "-".into(), longest("wait"), 100.0, " ms"),
        Row::plain("the longest, 10 push services", "-".into(), longest("wait-ten"), 100.0, " ms"),
    ]
}

/// What a leg showed in all rounds.
pub(crate) fn line(leg: &str, rounds: usize, samples: &Samples) -> String {
    let median = |figure: fn(Figures) -> f64| median(samples.of(leg, rounds, figure));
    let longest = samples.of(leg, rounds, |it| it.longest).into_iter().fold(0.0, f64::max);
    let (cpu, rate, wait) = (median(|it| it.cpu), median(|it| it.rate), median(|it| it.wait));
    figures(leg, Figures { cpu, rate, wait, longest })
}

pub(crate) fn figures(leg: &str, Figures { cpu, rate, wait, longest }: Figures) -> String {
    let waits =
        if longest > 0.0 { format!(", waits {wait:.1} ms, {longest:.1} ms at most") } else { String::new() };
    format!("{leg}: {cpu:.2} us, {rate:.0}/s{waits}")
}
