//! Sum of absolute values: Li, Kadav, Durdanovic, Samet and Graf, "Pruning Filters for Efficient
//! ConvNets", ICLR 2017 (arXiv:1608.08710). For single weights it is magnitude pruning.

use super::Criterion;
use crate::registry::{Citation, Method};
use crate::rng::Rng;

/// See the module.
pub struct MagnitudeL1;

static METHOD: Method = Method {
    id: "magnitude-l1",
    name: "Magnitude (L1)",
    sentence: "Removes what has the smallest sum of absolute weights.",
    formula: "s = Σ |wᵢ|",
    citation: Citation {
        authors: "Li, Kadav, Durdanovic, Samet and Graf",
        title: "Pruning Filters for Efficient ConvNets",
        year: 2017,
        venue: "ICLR 2017, arXiv:1608.08710",
    },
    params: &[],
};

impl Criterion for MagnitudeL1 {
    fn method(&self) -> &'static Method {
        &METHOD
    }
    fn weights(&self, _name: &str, values: &[f32], _rng: &mut Rng) -> Vec<f64> {
        values.iter().map(|w| f64::from(w.abs())).collect()
    }
    fn class(&self, values: &[f32], _rng: &mut Rng) -> f64 {
        values.iter().map(|w| f64::from(w.abs())).sum()
    }
}
