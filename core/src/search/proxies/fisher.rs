//! How much the loss would change if a channel were silent, by the Fisher information of its activations.
//!
//! Theis, Korshunova, Tejani and Huszár, "Faster gaze prediction with dense networks and Fisher pruning" (2018,
//! arXiv:1801.05787); summed over a network to compare architectures by Turner et al., "BlockSwap" (ICLR
//! 2020, arXiv:1906.04113), and as here by Abdelfattah et al. (ICLR 2021, arXiv:2101.08134): channels are those that
//! convolutions and fully connected layers put out.

use crate::registry::{Citation, Method};

/// See the module.
pub static METHOD: Method = Method {
    id: "fisher",
    name: "Fisher",
    sentence: "Sums how much the loss would change if each channel were silent.",
    formula: "s = Σ over channels of ½ · mean over samples of (Σ a · ∂L/∂a)²",
    citation: Citation {
        authors: "Turner, Crowley, O'Boyle, Storkey and Gray",
        title: "BlockSwap: Fisher-guided Block Substitution for Network Compression on a Budget",
        year: 2020,
        venue: "ICLR, arXiv:1906.04113",
    },
    params: &[],
};

#[cfg(feature = "compute")]
pub use run::score;

#[cfg(feature = "compute")]
mod run {
    use super::super::probe::{Probe, dot};
    use crate::Result;
    use crate::ops::Value;
    use crate::train::interpret::Hook;
    use burn::tensor::Device;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    /// The operators whose outputs count.
    const LAYERS: [&str; 3] = ["Conv", "Gemm", "MatMul"];

    /// Adds a zero to what layers put out: its gradient is that of the output.
    struct Taps<'a> {
        names: BTreeSet<&'a str>,
        device: &'a Device,
        seen: RefCell<Vec<(Value, Value)>>,
    }

    impl Hook for Taps<'_> {
        fn activation(&self, name: &str, value: Value) -> Result<Value> {
            if !self.names.contains(name) {
                return Ok(value);
            }
            let dims = value.dims();
            let zero = Value::from_host(vec![0.0; dims.iter().product()], &dims, self.device)?;
            let zero = crate::map_value!(zero, t => t.autodiff().require_grad());
            self.seen.borrow_mut().push((value.clone(), zero.clone()));
            Ok(crate::zip_values!(value, zero, a, b => a + b))
        }
    }

    /// The sum over channels.
    ///
    /// # Errors
    /// What an operator cannot do, or the device failed.
    pub async fn score(probe: &Probe) -> Result<f64> {
        let layers = probe.graph().nodes.iter().filter(|n| LAYERS.contains(&n.op.as_str()));
        let names = layers.flat_map(|n| &n.outputs).map(String::as_str).collect();
        let taps = Taps { names, device: probe.device(), seen: RefCell::default() };
        let params = probe.leaves(probe.values())?;
        let logits = probe.logits(&params, probe.input()?, &taps)?;
        let gradients = probe.loss(logits).backward();
        let mut score = 0.0;
        for (value, zero) in taps.seen.into_inner() {
            let dims = value.dims();
            let Some(gradient) = zero.gradient(&gradients) else { continue };
            let (value, gradient) = (value.to_host().await?, gradient.to_host().await?);
            // [samples, channels, positions]; rows of positions are summed.
            let positions = dims.iter().skip(2).product::<usize>().max(1);
            let rows = value.chunks_exact(positions).zip(gradient.chunks_exact(positions));
            score += rows.map(|(a, g)| dot(a, g).powi(2)).sum::<f64>() / (2 * probe.samples()) as f64;
        }
        Ok(score)
    }
}
