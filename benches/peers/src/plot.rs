//! The plot: horizontal bars, the longer the better.

use std::fmt::Write as _;

use crate::report::{SIZE, thousands};
use crate::rows::{Kind, Row, What};
use crate::sample::Measured;

/// In the picture's units.
const WIDTH: usize = 760;
const NAMES: usize = 290;
const FIGURES: usize = 90;
const BAR: usize = 18;
const STEP: usize = 26;
const TITLE: usize = 40;

/// Colours that can be told apart on white and on black; the text follows what the reader has chosen.
const STYLE: &str = "text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600 } \
    .figure { font-variant-numeric: tabular-nums } .floor { fill: #8c959f } .ours { fill: #1f883d } \
    .peer { fill: #4184e4 } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }";

/// Pushes a minute and messages a second of one core, with a payload of 1 KB.
pub(crate) fn draw(rows: &[&Row], measured: &Measured) -> String {
    let groups = [
        ("Whole pushes a minute, on one core (1 KB, HTTPS)", What::Push, 60e6),
        ("Messages a second, on one core (1 KB, encrypted and signed)", What::Message, 1e6),
    ];
    let mut bars = String::new();
    let mut top = 0;
    for (title, what, per) in groups {
        let figure =
            |row: &&Row| Some((row.label(what), row.kind, per / measured.cpu(row, what, SIZE)?.median()));
        let figures: Vec<_> = rows.iter().filter_map(figure).collect();
        let most = figures.iter().map(|it| it.2).fold(f64::MIN_POSITIVE, f64::max);
        let _ = writeln!(bars, r#"<text class="title" x="0" y="{}">{title}</text>"#, top + 24);
        top += TITLE;
        for (label, kind, figure) in figures {
            bar(&mut bars, top, &plain(label), kind, figure, figure / most);
            top += STEP;
        }
    }
    let height = top + 6;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"Pushes a minute and messages a second of one core; the \
         tables have the figures\">\n<style>{STYLE}</style>\n{bars}</svg>\n"
    )
}

fn bar(bars: &mut String, top: usize, label: &str, kind: Kind, figure: f64, share: f64) {
    let class = match kind {
        Kind::Floor => "floor",
        Kind::Ours => "ours",
        Kind::Peer => "peer",
    };
    #[allow(clippy::cast_precision_loss, reason = "a picture is small")]
    let length = (share * (WIDTH - NAMES - FIGURES) as f64).max(1.0);
    let text = top + 14;
    let _ = writeln!(bars, r#"<text x="{}" y="{text}" text-anchor="end">{label}</text>"#, NAMES - 10);
    let _ = writeln!(
        bars,
        r#"<rect class="{class}" x="{NAMES}" y="{top}" width="{length:.1}" height="{BAR}" rx="2"/>"#
    );
    #[allow(clippy::cast_precision_loss, reason = "a picture is small")]
    let end = NAMES as f64 + length + 8.0;
    let _ = writeln!(bars, r#"<text class="figure" x="{end:.1}" y="{text}">{}</text>"#, thousands(figure));
}

/// Without the marks of Markdown. None of the labels needs escaping.
fn plain(label: &str) -> String {
    label.replace(['*', '`'], "")
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::rows::{ROWS, What};
    use crate::sample::{Measured, Sample, key};

    #[test]
    fn bars_are_as_long_as_what_is_done_in_a_time() {
        let mut measured = Measured::default();
        let sample = |cpu| Sample { cpu, elapsed: cpu };
        let [fast, slow] = [&ROWS[1], &ROWS[5]];
        let pushes =
            [(fast, 50.0), (slow, 200.0)].map(|(row, cpu)| (key(row, What::Push, 1024), sample(cpu)));
        measured.add(pushes.into());
        let picture = draw(&[fast, slow], &measured);
        for (class, length, figure) in [("ours", "380.0", "1 200 000"), ("peer", "95.0", "300 000")] {
            assert!(picture.contains(&format!(r#"class="{class}" x="290""#)), "{picture}");
            assert!(picture.contains(&format!(r#"width="{length}""#)), "{picture}");
            assert!(picture.contains(&format!(">{figure}<")), "{picture}");
        }
        assert!(!picture.contains(['*', '`']));
    }
}
