//! A recorder that remembers what it was asked for, and what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// One series.
#[derive(Debug, Default)]
pub struct Cell {
    values: Mutex<Values>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Values {
    /// Of a counter or gauge; of a histogram the sum.
    pub value: f64,
    /// The most that it was.
    pub most: f64,
    /// How often it was told something.
    pub times: u64,
}

impl Cell {
    fn set(&self, change: impl FnOnce(f64) -> f64) {
        let mut values = self.values.lock().unwrap();
        values.value = change(values.value);
        values.most = values.most.max(values.value);
        values.times += 1;
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand")]
impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.set(|it| it + value as f64);
    }

    fn absolute(&self, value: u64) {
        self.set(|_| value as f64);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.set(|it| it + value);
    }

    fn decrement(&self, value: f64) {
        self.set(|it| it - value);
    }

    fn set(&self, value: f64) {
        self.set(|_| value);
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.set(|it| it + value);
    }
}

/// Name, and labels with their words.
pub type Series = (String, BTreeMap<String, String>);

#[derive(Clone, Debug, Default)]
pub struct Book(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    series: Mutex<BTreeMap<Series, (&'static str, Arc<Cell>)>>,
    described: Mutex<BTreeSet<(String, &'static str)>>,
}

impl Book {
    fn cell(&self, kind: &'static str, key: &Key) -> Arc<Cell> {
        let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        let mut series = self.0.series.lock().unwrap();
        let (known, cell) = series.entry((key.name().to_owned(), labels)).or_insert((kind, Arc::default()));
        assert_eq!(*known, kind, "{key}");
        Arc::clone(cell)
    }

    fn describe(&self, name: &KeyName, kind: &'static str) {
        self.0.described.lock().unwrap().insert((name.as_str().to_owned(), kind));
    }

    pub fn described(&self) -> BTreeSet<(String, &'static str)> {
        self.0.described.lock().unwrap().clone()
    }

    /// Every series, and its kind.
    pub fn series(&self) -> BTreeMap<Series, &'static str> {
        self.0.series.lock().unwrap().iter().map(|(series, (kind, _))| (series.clone(), *kind)).collect()
    }

    /// All of a name whose labels have these words, added up.
    #[track_caller]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Values {
        let series = self.0.series.lock().unwrap();
        let wanted = |key: &Series| {
            key.0 == name && labels.iter().all(|(label, word)| key.1.get(*label).is_some_and(|it| it == word))
        };
        let mut found = series.iter().filter(|(key, _)| wanted(key)).map(|(_, (_, cell))| cell).peekable();
        assert!(found.peek().is_some(), "no series {name} {labels:?}");
        found.fold(Values::default(), |sum, cell| {
            let one = *cell.values.lock().unwrap();
            Values { value: sum.value + one.value, most: sum.most + one.most, times: sum.times + one.times }
        })
    }

    #[track_caller]
    pub fn is(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let found = self.get(name, labels).value;
        assert!((found - value).abs() < 1e-6, "{name} {labels:?} is {found}, not {value}");
    }
}

impl Recorder for Book {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&key, "counter");
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&key, "gauge");
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.describe(&key, "histogram");
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell("counter", key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell("gauge", key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell("histogram", key))
    }
}
