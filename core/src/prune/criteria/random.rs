//! A coin for every weight or channel: the baseline that a criterion must beat. Mittal et al.,
//! "Recovering from Random Pruning", WACV 2018 (arXiv:1801.10447), found it hard to beat after
//! fine-tuning.

use super::Criterion;
use crate::registry::{Citation, Method};
use crate::rng::Rng;

/// See the module.
pub struct Random;

static METHOD: Method = Method {
    id: "random",
    name: "Random",
    sentence: "Removes at random, from the run's seed; a baseline.",
    formula: "s ~ U(0, 1)",
    citation: Citation {
        authors: "Mittal, Bhardwaj, Khapra and Ravindran",
        title: "Recovering from Random Pruning: On the Plasticity of Deep Convolutional Neural Networks",
        year: 2018,
        venue: "WACV 2018, arXiv:1801.10447",
    },
    params: &[],
};

impl Criterion for Random {
    fn method(&self) -> &'static Method {
        &METHOD
    }
    fn weights(&self, _name: &str, values: &[f32], rng: &mut Rng) -> Vec<f64> {
        values.iter().map(|_| rng.f64()).collect()
    }
    fn class(&self, _values: &[f32], rng: &mut Rng) -> f64 {
        rng.f64()
    }
}
