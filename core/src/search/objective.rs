//! What a search minimises.

use super::Settings;
use crate::protocol::{Metric, Metrics};
use crate::{Error, Result};

/// One objective: a metric and its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Objective {
    /// The metric.
    pub metric: Metric,
}

impl Objective {
    /// The value to minimise; accuracy counts as error, 1 − accuracy. Infinite where the metric is
    /// missing or not a number.
    pub fn value(self, metrics: &Metrics) -> f64 {
        let value = metrics.iter().find(|(m, _)| *m == self.metric).map_or(f64::NAN, |(_, v)| *v);
        match (value.is_nan(), self.metric.higher_is_better()) {
            (true, _) => f64::INFINITY,
            (false, true) => 1.0 - value,
            (false, false) => value,
        }
    }
}

/// The objectives of a search, in the order of [`KEYS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objectives(pub Vec<Objective>);

/// Setting and metric of each objective there is.
pub const KEYS: [(&str, Metric); 6] = [
    ("objective.accuracy", Metric::ValAccuracy),
    ("objective.params", Metric::Params),
    ("objective.macs", Metric::Macs),
    ("objective.bytes", Metric::Bytes),
    ("objective.peak", Metric::PeakBytes),
    ("objective.latency", Metric::LatencyMs),
];

impl Objectives {
    /// The objectives that the settings switch on.
    ///
    /// # Errors
    /// None is.
    pub fn new(settings: &Settings) -> Result<Self> {
        let chosen = KEYS.iter().filter(|(key, _)| settings.bool(key));
        let chosen: Vec<_> = chosen.map(|(_, metric)| Objective { metric: *metric }).collect();
        match chosen.is_empty() {
            true => Err(Error::config("objective.accuracy", "choose at least one objective to search for")),
            false => Ok(Self(chosen)),
        }
    }

    /// All values, to minimise.
    pub fn values(&self, metrics: &Metrics) -> Vec<f64> {
        self.0.iter().map(|o| o.value(metrics)).collect()
    }

    /// What strategies of one objective compare, in lexicographic order, lower first: the first
    /// objective, then the validation loss (small validation splits tie often), then the others.
    pub fn fitness(&self, metrics: &Metrics) -> Vec<f64> {
        let mut values = self.values(metrics);
        let loss = metrics.iter().find(|(m, _)| *m == Metric::ValLoss).map_or(0.0, |(_, v)| *v);
        values.insert(1.min(values.len()), if loss.is_nan() { f64::INFINITY } else { loss });
        values
    }
}
