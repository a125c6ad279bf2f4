//! What is counted, and the page that tells it: the text format of Prometheus, version 0.0.4.
//!
//! A label's value is never a person, a secret, or anything a stranger can make up: it is a word of ours, or a name that settings or
//! catalog hold. Should one of those be without end after all, what comes after the first [`MOST_SERIES`] is counted together.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The content type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How many combinations of labels one count has at most, but for the one that stands for all others.
const MOST_SERIES: usize = 500;
/// Stands for what has no place of its own.
const OTHERS: &str = "other";

/// The value of a label.
pub type Label = Cow<'static, str>;

/// Something that has figures to tell.
pub trait Source: Send + Sync + fmt::Debug {
    fn tell(&self, page: &mut Page);
}

/// All there is to tell, in the order it was announced.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<Mutex<Vec<Arc<dyn Source>>>>);

impl Registry {
    pub fn add(&self, source: Arc<dyn Source>) {
        lock(&self.0).push(source);
    }

    /// The page.
    #[must_use]
    pub fn page(&self) -> String {
        let sources = lock(&self.0).clone();
        let mut page = Page::default();
        for source in sources {
            source.tell(&mut page);
        }
        page.0
    }
}

/// What a figure means to whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// It only grows, until the process ends.
    Counter,
    /// It is what it is now.
    Gauge,
    Histogram,
}

/// The page being written.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Begins a figure. Each is begun once; what follows are its values.
    pub fn begin(&mut self, name: &str, figure: Figure, help: &str) {
        let figure = match figure {
            Figure::Counter => "counter",
            Figure::Gauge => "gauge",
            Figure::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {figure}\n");
    }

    /// A value of the figure that was begun.
    pub fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A figure that has one value.
    pub fn one(&mut self, name: &str, figure: Figure, help: &str, value: impl fmt::Display) {
        self.begin(name, figure, help);
        self.value(name, &[], value);
    }
}

/// Values by labels.
#[derive(Debug)]
struct Series<V, const N: usize> {
    labels: [&'static str; N],
    values: Mutex<BTreeMap<[Label; N], V>>,
}

impl<V: Default, const N: usize> Series<V, N> {
    fn new(labels: [&'static str; N]) -> Self {
        Self { labels, values: Mutex::default() }
    }

    fn change(&self, labels: [Label; N], change: impl FnOnce(&mut V)) {
        let mut values = lock(&self.values);
        let known = values.len() < MOST_SERIES || values.contains_key(&labels);
        let labels = if known { labels } else { std::array::from_fn(|_| Cow::Borrowed(OTHERS)) };
        change(values.entry(labels).or_default());
    }

    fn each(&self, mut tell: impl FnMut(&[(&str, &str)], &V)) {
        for (texts, value) in &*lock(&self.values) {
            let pairs: [(&str, &str); N] = std::array::from_fn(|at| (self.labels[at], &*texts[at]));
            tell(&pairs, value);
        }
    }
}

/// Things counted, by labels.
#[derive(Debug)]
pub struct Counters<const N: usize> {
    name: &'static str,
    help: &'static str,
    series: Series<u64, N>,
}

impl<const N: usize> Counters<N> {
    /// `name` ends in `_total`, as counters' names do.
    #[must_use]
    pub fn new(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self { name, help, series: Series::new(labels) }
    }

    /// One more.
    pub fn count(&self, labels: [Label; N]) {
        self.series.change(labels, |count| *count += 1);
    }

    /// How many there were whose labels are these.
    #[must_use]
    pub fn get(&self, labels: [&str; N]) -> u64 {
        lock(&self.series.values).get(&labels.map(|label| Cow::Owned(label.to_owned()))).copied().unwrap_or(0)
    }
}

impl<const N: usize> Source for Counters<N> {
    fn tell(&self, page: &mut Page) {
        page.begin(self.name, Figure::Counter, self.help);
        self.series.each(|labels, count| page.value(self.name, labels, count));
    }
}

/// Durations counted by how long they were, by labels.
#[derive(Debug)]
pub struct Durations<const N: usize> {
    name: &'static str,
    help: &'static str,
    /// The upper bounds of the classes, in seconds, rising; above the last is one more class.
    bounds: &'static [f64],
    series: Series<Spread, N>,
}

#[derive(Debug, Default)]
struct Spread {
    /// How many fell into each class, not counting those below.
    classes: Vec<u64>,
    sum: Duration,
}

impl<const N: usize> Durations<N> {
    /// `name` ends in `_seconds`.
    #[must_use]
    pub fn new(name: &'static str, help: &'static str, labels: [&'static str; N], bounds: &'static [f64]) -> Self {
        Self { name, help, bounds, series: Series::new(labels) }
    }

    pub fn note(&self, labels: [Label; N], took: Duration) {
        let seconds = took.as_secs_f64();
        let class = self.bounds.partition_point(|bound| *bound < seconds);
        self.series.change(labels, |spread| {
            spread.classes.resize(self.bounds.len() + 1, 0);
            spread.classes[class] += 1;
            spread.sum += took;
        });
    }
}

impl<const N: usize> Source for Durations<N> {
    fn tell(&self, page: &mut Page) {
        page.begin(self.name, Figure::Histogram, self.help);
        let (buckets, sum, count) =
            (format!("{}_bucket", self.name), format!("{}_sum", self.name), format!("{}_count", self.name));
        self.series.each(|labels, spread| {
            let mut so_far = 0;
            for (at, fell) in spread.classes.iter().enumerate() {
                so_far += fell;
                let bound = self.bounds.get(at).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
                let mut labels = labels.to_vec();
                labels.push(("le", &bound));
                page.value(&buckets, &labels, so_far);
            }
            page.value(&sum, labels, spread.sum.as_secs_f64());
            page.value(&count, labels, so_far);
        });
    }
}

/// What the system says of this process.
#[derive(Debug)]
pub struct Process {
    /// When it began, in seconds since 1970.
    pub started: i64,
}

/// What `/proc` counts processor time in: the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

impl Source for Process {
    fn tell(&self, page: &mut Page) {
        page.one(
            "process_start_time_seconds",
            Figure::Gauge,
            "When the process began, in seconds since 1970.",
            self.started,
        );
        // On a system without /proc these are left out.
        let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).ok();
        if let Some(bytes) = read("status").as_deref().and_then(resident) {
            page.one("process_resident_memory_bytes", Figure::Gauge, "Memory in use.", bytes);
        }
        if let Some(ticks) = read("stat").as_deref().and_then(ticks) {
            let seconds = ticks as f64 / TICKS_PER_SECOND;
            page.one("process_cpu_seconds_total", Figure::Counter, "Processor time used.", seconds);
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            page.one("process_open_fds", Figure::Gauge, "Files and sockets that are open.", open.count());
        }
        if let Some(most) = read("limits").as_deref().and_then(most_files) {
            page.one("process_max_fds", Figure::Gauge, "How many files and sockets may be open.", most);
        }
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// User and system time: the 12th and 13th after the name, which stands in brackets and may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn most_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &impl Source) -> String {
        let mut page = Page::default();
        source.tell(&mut page);
        page.0
    }

    #[test]
    fn counts_are_told_by_their_labels() {
        let counters = Counters::new("x_total", "A \\ and\na line.", ["a", "b"]);
        counters.count(["one".into(), "two".into()]);
        counters.count(["one".into(), "two".into()]);
        counters.count(["\"\\\n".into(), "".into()]);
        assert_eq!(
            text(&counters),
            "# HELP x_total A \\\\ and\\na line.\n# TYPE x_total counter\n\
             x_total{a=\"\\\"\\\\\\n\",b=\"\"} 1\nx_total{a=\"one\",b=\"two\"} 2\n"
        );
        assert_eq!((counters.get(["one", "two"]), counters.get(["one", "three"])), (2, 0));
    }

    #[test]
    fn a_duration_is_in_its_class_and_in_all_above() {
        let durations = Durations::new("d_seconds", "How long.", ["a"], &[0.1, 1.0]);
        for millis in [100, 101, 1_000, 5_000] {
            durations.note(["x".into()], Duration::from_millis(millis));
        }
        assert_eq!(
            text(&durations),
            "# HELP d_seconds How long.\n# TYPE d_seconds histogram\n\
             d_seconds_bucket{a=\"x\",le=\"0.1\"} 1\nd_seconds_bucket{a=\"x\",le=\"1\"} 3\n\
             d_seconds_bucket{a=\"x\",le=\"+Inf\"} 4\nd_seconds_sum{a=\"x\"} 6.201\nd_seconds_count{a=\"x\"} 4\n"
        );
    }

    #[test]
    fn labels_without_end_are_counted_together() {
        let counters = Counters::new("x_total", "X.", ["a"]);
        for number in 0..MOST_SERIES + 100 {
            counters.count([number.to_string().into()]);
            counters.count(["0".into()]);
        }
        assert_eq!(counters.get(["other"]), 100);
        assert_eq!(counters.get(["0"]) as usize, 1 + MOST_SERIES + 100);
        assert_eq!(text(&counters).lines().count(), 2 + MOST_SERIES + 1);
    }

    #[test]
    fn the_process_tells_of_its_memory_files_and_time() {
        let told = text(&Process { started: 1_795_302_827 });
        let value = |name: &str| -> f64 {
            let line = told.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} is missing in {told}")).parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_open_fds") > 2.0 && value("process_max_fds") > value("process_open_fds"));
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert_eq!(value("process_start_time_seconds"), 1_795_302_827.0);
        assert_eq!(ticks("1 (a) b) S 1 1 1 0 -1 4 1 0 0 0 7 5 0 0 20"), Some(12));
    }
}
