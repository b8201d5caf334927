//! Multi-architectural sampling: Liao, Karaman and Sze, "Searching for Efficient Multi-Stage Vision
//! Transformers", 2021, arXiv:2109.00642. Every step splits its batch among several subnets, drawn
//! uniformly, so that one forward and backward pass trains them all.

use super::{Pass, Sampler, Subnets, Target};
use crate::Result;
use crate::params::{Config, ParamSpec};
use crate::registry::{Citation, Method};

/// See the module.
pub struct Multi;

static METHOD: Method = Method {
    id: "multi",
    name: "Multi-architectural sampling",
    sentence: "Every step splits its batch among several drawn subnets.",
    formula: "w ← w − η ∇ Σᵢ (|Bᵢ|/|B|) L(aᵢ, w, Bᵢ),  B = B₁ ∪ … ∪ Bₙ",
    citation: Citation {
        authors: "Liao, Karaman and Sze",
        title: "Searching for Efficient Multi-Stage Vision Transformers",
        year: 2021,
        venue: "arXiv:2109.00642",
    },
    params: &[ParamSpec::int("multi.subnets", "Subnets", 1, 16, 4, "How many subnets share a batch.")],
};

impl Sampler for Multi {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    fn step(&self, config: &Config, batch: usize, subnets: &mut Subnets<'_>) -> Result<Vec<Pass>> {
        // Batch statistics of a single sample say nothing.
        let n = config.count(METHOD.params, "multi.subnets").clamp(1, (batch / 2).max(1));
        let mut passes = Vec::with_capacity(n);
        for i in 0..n {
            let samples = i * batch / n..(i + 1) * batch / n;
            let weight = samples.len() as f32 / batch.max(1) as f32;
            passes.push(Pass { genome: subnets.draw()?, samples, weight, target: Target::Labels });
        }
        Ok(passes)
    }
}
