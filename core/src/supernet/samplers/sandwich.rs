//! The sandwich rule with inplace distillation: Yu and Huang, "Universally Slimmable Networks and
//! Improved Training Techniques", ICCV 2019, arXiv:1903.05134; as used by Yu et al., "BigNAS", ECCV
//! 2020, arXiv:2003.11142. Every step trains the largest subnet on the labels, and the smallest and a
//! few drawn ones on the largest one's answers to the same samples; their gradients add up.

use super::{Pass, Sampler, Subnets, Target};
use crate::Result;
use crate::params::{Config, ParamSpec};
use crate::registry::{Citation, Method};

/// See the module.
pub struct Sandwich;

static METHOD: Method = Method {
    id: "sandwich",
    name: "Sandwich rule with inplace distillation",
    sentence: "Every step trains the largest subnet on the labels, and the smallest and a few drawn ones on what the largest answers.",
    formula: "∇ CE(y, p_max) + Σ_{a ∈ {min, a₁ … aₙ}} ∇ CE(p_max, p_a)",
    citation: Citation {
        authors: "Yu, Jin, Liu, Bender, Kindermans, Tan, Huang, Song, Pang and Le",
        title: "BigNAS: Scaling Up Neural Architecture Search with Big Single-Stage Models",
        year: 2020,
        venue: "ECCV, arXiv:2003.11142",
    },
    params: &[ParamSpec::int(
        "sandwich.random",
        "Drawn subnets",
        0,
        8,
        2,
        "Subnets of a step besides the largest and the smallest.",
    )],
};

impl Sampler for Sandwich {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    fn step(&self, config: &Config, batch: usize, subnets: &mut Subnets<'_>) -> Result<Vec<Pass>> {
        let pass = |genome, target| Pass { genome, samples: 0..batch, weight: 1.0, target };
        let mut passes =
            vec![pass(subnets.largest(), Target::Labels), pass(subnets.smallest(), Target::Pass(0))];
        for _ in 0..config.count(METHOD.params, "sandwich.random") {
            passes.push(pass(subnets.draw()?, Target::Pass(0)));
        }
        Ok(passes)
    }
}
