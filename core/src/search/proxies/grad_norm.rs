//! The norm of the loss's gradient on one batch, summed over layers.
//!
//! Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021, arXiv:2101.08134).

use crate::registry::{Citation, Method};

/// See the module.
pub static METHOD: Method = Method {
    id: "grad-norm",
    name: "Gradient norm",
    sentence: "Sums the Euclidean norms of the layers' gradients on one batch.",
    formula: "s = Σ_l ‖∂L/∂W_l‖₂",
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
    use super::super::probe::{Probe, norm};
    use crate::Result;

    /// The sum of norms.
    ///
    /// # Errors
    /// As [`Probe::gradients`].
    pub async fn score(probe: &Probe) -> Result<f64> {
        let gradients = probe.gradients().await?;
        Ok(probe.weights().map(|i| norm(&gradients[i])).sum())
    }
}
