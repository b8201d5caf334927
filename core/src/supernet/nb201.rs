//! NAS-Bench-201 cells: every edge of every cell has its own tensors for each operation with weights,
//! as in the one-shot models of Dong and Yang, "NAS-Bench-201" (ICLR 2020, arXiv:2001.00326),
//! section 5. All channels are alike, so a piece is always a whole tensor.

use super::Sharing;
use crate::Result;
use crate::model::{Graph, Places};
use crate::params::Config;
use crate::space::{Genome, nb201};

/// See the module.
pub struct Nb201;

fn all(op: u8) -> Genome {
    Genome(vec![op; nb201::EDGES.len()])
}

impl Sharing for Nb201 {
    fn space(&self) -> &'static str {
        "nb201"
    }

    fn placed(
        &self,
        config: &Config,
        genome: &Genome,
        input: &[usize],
        classes: usize,
    ) -> Result<(Graph, Places)> {
        nb201::placed(config, genome, input, classes)
    }

    /// The two operations that have weights, on all edges.
    fn cover(&self, _config: &Config) -> Vec<Genome> {
        vec![all(2), all(3)]
    }

    /// 3×3 convolutions on all edges.
    fn largest(&self, _config: &Config) -> Genome {
        all(3)
    }

    /// The cell's input is its output.
    fn smallest(&self, _config: &Config) -> Genome {
        Genome(nb201::EDGES.iter().map(|e| u8::from(*e == (0, 3))).collect())
    }
}
