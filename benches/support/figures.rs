//! What comes out: figures with their targets, for people as a table and for `scripts/bench.sh` as lines.
//!
//! Owns: medians, ratios, the words *met* and *NOT met*. Never: decides whether a run failed; a missed target is a
//! result like any other.

/// One result.
#[derive(Debug)]
pub(crate) struct Figure {
    name: String,
    value: String,
    ratio: Option<f64>,
    target: Option<(String, bool)>,
}

impl Figure {
    /// A figure without a target, for orientation.
    pub(crate) fn plain(name: impl Into<String>, value: String) -> Self {
        Self { name: name.into(), value, ratio: None, target: None }
    }

    /// With how it compares to its reference.
    pub(crate) fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = Some(ratio);
        self
    }

    /// With what it should be, and whether it is.
    pub(crate) fn target(mut self, target: &str, met: bool) -> Self {
        self.target = Some((target.to_owned(), met));
        self
    }

    /// `figure`, name, value, ratio, target, verdict, separated by tabs: every bench of this project prints its results
    /// like this, and `scripts/bench.sh` makes one table of them.
    pub(crate) fn line(&self) -> String {
        let ratio = self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2} x"));
        let (target, verdict) = match &self.target {
            Some((target, true)) => (target.as_str(), "met"),
            Some((target, false)) => (target.as_str(), "NOT met"),
            None => ("-", "-"),
        };
        format!("figure\t{}\t{}\t{ratio}\t{target}\t{verdict}", self.name, self.value)
    }
}

/// Prints them as they come.
pub(crate) fn print(figures: &[Figure]) {
    for figure in figures {
        println!("{}", figure.line());
    }
}

/// The middle one; of an even number the lower middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios of pairs measured one after the other, so that noise hits both of a pair.
pub(crate) fn median_ratio(values: &[f64], references: &[f64]) -> f64 {
    median(&ratios(values, references))
}

/// The smallest and the largest, such as the ratios of all rounds: what a shared machine made of one and the same thing.
pub(crate) fn spread(values: &[f64]) -> String {
    let (least, most) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(*value), most.max(*value)));
    format!("{least:.2} to {most:.2}")
}

/// The ratio of each pair.
pub(crate) fn ratios(values: &[f64], references: &[f64]) -> Vec<f64> {
    values.iter().zip(references).map(|(value, reference)| value / reference).collect()
}
