//! The strength of all paths through a network, without any data.
//!
//! Tanaka, Kunin, Yamins and Ganguli, "Pruning neural networks without any data by iteratively conserving synaptic
//! flow" (NeurIPS 2020, arXiv:2006.05467): with every weight made positive, normalizations taken out and ones for an
//! input, R is the sum of the outputs; each weight's share is w · ∂R/∂w. Summed over the network by Abdelfattah et al.
//! (ICLR 2021, arXiv:2101.08134). Given here as its logarithm, since the sum outgrows f32 in deep networks; the order
//! is the same.

use crate::registry::{Citation, Method};

/// See the module.
pub static METHOD: Method = Method {
    id: "synflow",
    name: "SynFlow",
    sentence: "Sums the strength of all paths from input to output, without any data.",
    formula: "s = ln Σ |w · ∂R/∂w|,  R = 1ᵀ f(1; |W|)",
    citation: Citation {
        authors: "Tanaka, Kunin, Yamins and Ganguli",
        title: "Pruning neural networks without any data by iteratively conserving synaptic flow",
        year: 2020,
        venue: "NeurIPS, arXiv:2006.05467",
    },
    params: &[],
};

#[cfg(feature = "compute")]
pub use run::score;

#[cfg(feature = "compute")]
mod run {
    use super::super::probe::{Probe, saliency};
    use crate::model::Graph;
    use crate::train::interpret::NoHook;
    use crate::{Error, Result};
    use std::collections::BTreeSet;

    /// What the ones at the input, and the sum at the output, are multiplied by until nothing on the way forward or
    /// back is infinite, as powers of two: a network of rectified linear units passes such factors on as they are.
    const SCALES: [i32; 4] = [0, -40, -80, -120];

    /// The graph without batch normalizations, and without the parameters that only they read.
    fn without_norms(graph: &Graph) -> Graph {
        let mut graph = graph.clone();
        for node in graph.nodes.iter_mut().filter(|n| n.op == "BatchNormalization") {
            node.op = "Identity".into();
            node.inputs.truncate(1);
            node.outputs.truncate(1);
            node.attrs.clear();
        }
        let read: BTreeSet<&String> =
            graph.nodes.iter().flat_map(|n| &n.inputs).chain(&graph.outputs).collect();
        let params = graph.params.iter().filter(|(name, _)| read.contains(name));
        graph.params = params.map(|(name, param)| (name.clone(), param.clone())).collect();
        graph
    }

    /// The logarithm of the sum; minus infinity where nothing reaches the output.
    ///
    /// # Errors
    /// What an operator cannot do, the device failed, or the sum outgrows f32 at every scale.
    pub async fn score(probe: &Probe) -> Result<f64> {
        let mut linear = probe.over(without_norms(probe.graph()), 1)?;
        linear.change(|v| v.abs());
        for power in SCALES {
            let scale = f64::from(power).exp2();
            let input = crate::map_value!(linear.input()?, t => t.ones_like().mul_scalar(scale));
            let params = linear.leaves(linear.values())?;
            let sum = linear.logits(&params, input, &NoHook)?.sum().mul_scalar(scale);
            let gradients = linear.read(&params, sum).await?;
            let flow: f64 = linear.weights().map(|i| saliency(&linear.values()[i], &gradients[i])).sum();
            if flow.is_finite() {
                return Ok(flow.ln() - 2.0 * f64::from(power) * std::f64::consts::LN_2);
            }
        }
        Err(Error::Numeric(format!("the synaptic flow of “{}” is too large for f32", probe.graph().name)))
    }
}
