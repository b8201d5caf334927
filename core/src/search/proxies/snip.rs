//! How much the loss depends on each connection.
//!
//! Lee, Ajanthan and Torr, "SNIP: Single-shot Network Pruning based on Connection Sensitivity" (ICLR 2019,
//! arXiv:1810.02340); summed over the network by Abdelfattah et al. (ICLR 2021, arXiv:2101.08134).

use crate::registry::{Citation, Method};

/// See the module.
pub static METHOD: Method = Method {
    id: "snip",
    name: "SNIP",
    sentence: "Sums how much the loss on one batch depends on each connection.",
    formula: "s = Σ |w · ∂L/∂w|",
    citation: Citation {
        authors: "Lee, Ajanthan and Torr",
        title: "SNIP: Single-shot Network Pruning based on Connection Sensitivity",
        year: 2019,
        venue: "ICLR, arXiv:1810.02340",
    },
    params: &[],
};

#[cfg(feature = "compute")]
pub use run::score;

#[cfg(feature = "compute")]
mod run {
    use super::super::probe::{Probe, saliency};
    use crate::Result;

    /// The sum of sensitivities.
    ///
    /// # Errors
    /// As [`Probe::gradients`].
    pub async fn score(probe: &Probe) -> Result<f64> {
        let gradients = probe.gradients().await?;
        Ok(probe.weights().map(|i| saliency(&probe.values()[i], &gradients[i])).sum())
    }
}
