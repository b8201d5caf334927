//! Elastic MobileNets: every network is a part of the largest one (Yu et al., "BigNAS", ECCV 2020,
//! arXiv:2003.11142): its leading blocks, leading channels, centres of kernels.

use super::Sharing;
use crate::Result;
use crate::model::{Graph, Places};
use crate::params::Config;
use crate::space::{Genome, Space, elastic};

/// See the module.
pub struct Elastic;

impl Sharing for Elastic {
    fn space(&self) -> &'static str {
        "elastic"
    }

    fn placed(
        &self,
        config: &Config,
        genome: &Genome,
        input: &[usize],
        classes: usize,
    ) -> Result<(Graph, Places)> {
        elastic::placed(config, genome, input, classes)
    }

    fn cover(&self, config: &Config) -> Vec<Genome> {
        vec![self.largest(config)]
    }

    /// The last option of every gene.
    fn largest(&self, config: &Config) -> Genome {
        Genome(
            elastic::Elastic.genes(config).iter().map(|g| g.options.len().saturating_sub(1) as u8).collect(),
        )
    }

    /// The first option of every gene.
    fn smallest(&self, config: &Config) -> Genome {
        Genome(vec![0; elastic::Elastic.genes(config).len()])
    }
}
