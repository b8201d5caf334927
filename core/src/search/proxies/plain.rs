//! The first-order change of the loss if all weights were removed, signs and all.
//!
//! Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021, arXiv:2101.08134), in its code; the saliency
//! is that of Mozer and Smolensky, "Skeletonization" (NeurIPS 1988). On fresh weights it is close to noise.

use crate::registry::{Citation, Method};

/// See the module.
pub static METHOD: Method = Method {
    id: "plain",
    name: "Plain",
    sentence: "Sums weight times gradient, with its sign.",
    formula: "s = Σ w · ∂L/∂w",
    citation: Citation {
        authors: "Abdelfattah, Mehrotra, Dudziak and Lane",
        title: "Zero-Cost Proxies for Lightweight NAS",
        year: 2021,
        venue: "ICLR, arXiv:2101.08134",
    },
    params: &[],
};

#[cfg(feature = "compute")]
pub use run::score;

#[cfg(feature = "compute")]
mod run {
    use super::super::probe::{Probe, dot};
    use crate::Result;

    /// The sum of products.
    ///
    /// # Errors
    /// As [`Probe::gradients`].
    pub async fn score(probe: &Probe) -> Result<f64> {
        let gradients = probe.gradients().await?;
        Ok(probe.weights().map(|i| dot(&probe.values()[i], &gradients[i])).sum())
    }
}
