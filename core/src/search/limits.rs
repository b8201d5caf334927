//! The most that a candidate may cost, as set or as suits its space.

use super::Settings;
use crate::protocol::{Metric, Metrics};
use crate::space;

/// Whether a candidate costs more of something than it may.
pub(super) fn over(costs: &Metrics, metric: Metric, most: f64) -> bool {
    costs.iter().any(|(m, v)| *m == metric && *v > most)
}

/// Values in a sample for which [`space::Entry::room`] is meant.
pub(super) const SMALL: f64 = 64.0;

/// The most that a candidate may cost, by metric. What is left to the space grows with the samples: MACs as they do,
/// parameters, of which only some spaces have more for more values, as their square root does.
pub(super) fn limits(settings: &Settings, space: &str, sample: usize) -> Vec<(Metric, f64)> {
    let [params, macs] = space::room(space).map(|room| room as f64);
    let larger = (sample as f64 / SMALL).max(1.0);
    let all = [
        (Metric::Params, settings.float("limit.params"), params * larger.sqrt()),
        (Metric::Macs, settings.float("limit.macs"), macs * larger),
        (Metric::Bytes, settings.float("limit.bytes"), f64::INFINITY),
        (Metric::PeakBytes, settings.float("limit.peak"), f64::INFINITY),
        (Metric::PredictedMs, settings.float("limit.ms"), f64::INFINITY),
    ];
    let each =
        all.into_iter().map(|(metric, set, suits)| (metric, if set > 0.0 { set } else { suits.ceil() }));
    each.filter(|(_, most)| most.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Config, ParamValue};

    #[test]
    fn what_is_left_to_the_space_grows_with_the_samples() {
        let of = |config: Config, sample| limits(&Settings::new(config).unwrap(), "chain", sample);
        let suits = space::room("chain").map(|room| room as f64);
        let free = of(Config::default(), 64);
        assert_eq!(free, [(Metric::Params, suits[0]), (Metric::Macs, suits[1])], "the others have no limit");
        let large = of(Config::default(), 4 * 64);
        assert_eq!(large, [(Metric::Params, 2.0 * suits[0]), (Metric::Macs, 4.0 * suits[1])]);
        let set = Config::default()
            .with("limit.params", ParamValue::Int(100))
            .with("limit.ms", ParamValue::Float(0.5));
        let set = of(set, 4 * 64);
        let all = [(Metric::Params, 100.0), (Metric::Macs, 4.0 * suits[1]), (Metric::PredictedMs, 0.5)];
        assert_eq!(set, all, "what is set stays");
    }
}
