//! Single path, uniform: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform
//! Sampling", ECCV 2020, arXiv:1904.00420. Every step trains one subnet, drawn uniformly.

use super::{Pass, Sampler, Subnets, Target};
use crate::Result;
use crate::params::Config;
use crate::registry::{Citation, Method};

/// See the module.
pub struct SinglePath;

static METHOD: Method = Method {
    id: "single-path",
    name: "Single path",
    sentence: "Every step trains one subnet, drawn uniformly.",
    formula: "a ~ Uniform(A),  w ← w − η ∇L(a, w_a)",
    citation: Citation {
        authors: "Guo, Zhang, Mu, Heng, Liu, Wei and Sun",
        title: "Single Path One-Shot Neural Architecture Search with Uniform Sampling",
        year: 2020,
        venue: "ECCV, arXiv:1904.00420",
    },
    params: &[],
};

impl Sampler for SinglePath {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    fn step(&self, _config: &Config, batch: usize, subnets: &mut Subnets<'_>) -> Result<Vec<Pass>> {
        Ok(vec![Pass { genome: subnets.draw()?, samples: 0..batch, weight: 1.0, target: Target::Labels }])
    }
}
