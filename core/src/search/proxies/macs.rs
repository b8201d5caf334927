//! Multiply-accumulates of one sample: the second baseline that a proxy must beat.
//!
//! Ning et al., "Evaluating Efficient Performance Estimators of Neural Architectures" (NeurIPS 2021,
//! arXiv:2008.03064).

use crate::registry::{Citation, Method};

/// See the module.
pub static METHOD: Method = Method {
    id: "macs",
    name: "MACs",
    sentence: "Counts the multiply-accumulates of one sample; what a cleverer proxy must beat.",
    formula: "s = Σ over nodes of their MACs",
    citation: Citation {
        authors: "Ning, Tang, Li, Zhou, Liang, Yang and Wang",
        title: "Evaluating Efficient Performance Estimators of Neural Architectures",
        year: 2021,
        venue: "NeurIPS, arXiv:2008.03064",
    },
    params: &[],
};

#[cfg(feature = "compute")]
pub use run::score;

#[cfg(feature = "compute")]
mod run {
    use super::super::probe::Probe;
    use crate::Result;

    /// The count.
    pub async fn score(probe: &Probe) -> Result<f64> {
        Ok(probe.macs() as f64)
    }
}
