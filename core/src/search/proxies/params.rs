//! The number of trainable parameters: the first baseline that a proxy must beat.
//!
//! Ning et al., "Evaluating Efficient Performance Estimators of Neural Architectures" (NeurIPS 2021,
//! arXiv:2008.03064), which holds zero-shot estimators against it.

use crate::registry::{Citation, Method};

/// See the module.
pub static METHOD: Method = Method {
    id: "params",
    name: "Parameters",
    sentence: "Counts trainable parameters; what a cleverer proxy must beat.",
    formula: "s = |θ|",
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
        Ok(probe.graph().trainable_params() as f64)
    }
}
