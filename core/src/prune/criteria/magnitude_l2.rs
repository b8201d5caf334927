//! Euclidean norm: the L2 variant of Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017
//! (arXiv:1608.08710, section 4.4). For single weights it orders as L1 does.

use super::Criterion;
use crate::registry::{Citation, Method};
use crate::rng::Rng;

/// See the module.
pub struct MagnitudeL2;

static METHOD: Method = Method {
    id: "magnitude-l2",
    name: "Magnitude (L2)",
    sentence: "Removes what has the smallest Euclidean norm of its weights.",
    formula: "s = √(Σ wᵢ²)",
    citation: Citation {
        authors: "Li, Kadav, Durdanovic, Samet and Graf",
        title: "Pruning Filters for Efficient ConvNets",
        year: 2017,
        venue: "ICLR 2017, arXiv:1608.08710",
    },
    params: &[],
};

impl Criterion for MagnitudeL2 {
    fn method(&self) -> &'static Method {
        &METHOD
    }
    fn weights(&self, _name: &str, values: &[f32], _rng: &mut Rng) -> Vec<f64> {
        values.iter().map(|w| f64::from(w.abs())).collect()
    }
    fn class(&self, values: &[f32], _rng: &mut Rng) -> f64 {
        values.iter().map(|w| f64::from(*w) * f64::from(*w)).sum::<f64>().sqrt()
    }
}
