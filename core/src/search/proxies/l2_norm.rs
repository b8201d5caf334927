//! The norm of the weights, summed over layers; of He-initialized ones it counts units (√(2·units) a layer).
//!
//! Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021, arXiv:2101.08134), in its code.

use crate::registry::{Citation, Method};

/// See the module.
pub static METHOD: Method = Method {
    id: "l2-norm",
    name: "Weight norm",
    sentence: "Sums the Euclidean norms of the layers' fresh weights.",
    formula: "s = Σ_l ‖W_l‖₂",
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
    pub async fn score(probe: &Probe) -> Result<f64> {
        Ok(probe.weights().map(|i| norm(&probe.values()[i])).sum())
    }
}
