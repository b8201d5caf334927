//! How much removing the weights would preserve the flow of gradients.
//!
//! Wang, Zhang and Grosse, "Picking Winning Tickets Before Training by Preserving Gradient Flow" (ICLR 2020,
//! arXiv:2002.07376); summed over the network by Abdelfattah et al. (ICLR 2021, arXiv:2101.08134): −Σ w · (H·g).
//!
//! Burn derives once, so the Hessian's product is a finite difference of gradients. Since the Hessian is symmetric,
//! w · (H·g) = g · (H·w), and H·w ≈ (∇L((1 + δ)w) − ∇L((1 − δ)w)) / 2δ. Along the weights themselves the difference is
//! well behaved: in a chain of layers without biases no rectified linear unit switches on the way, so there is no kink
//! to step across. Where ways of different depth meet, units may switch; differentiating twice would not see those.

use crate::registry::{Citation, Method};

/// See the module.
pub static METHOD: Method = Method {
    id: "grasp",
    name: "GraSP",
    sentence: "Tells whether the weights keep gradients flowing: minus weight times Hessian times gradient.",
    formula: "s = −Σ w · (H · ∂L/∂w)",
    citation: Citation {
        authors: "Wang, Zhang and Grosse",
        title: "Picking Winning Tickets Before Training by Preserving Gradient Flow",
        year: 2020,
        venue: "ICLR, arXiv:2002.07376",
    },
    params: &[],
};

#[cfg(feature = "compute")]
pub use run::score;

#[cfg(feature = "compute")]
mod run {
    use super::super::probe::{Probe, dot};
    use crate::Result;

    /// δ: large beside the rounding of f32 gradients; what it leaves out is of the order of its square.
    const STEP: f32 = 0.01;

    /// The sum.
    ///
    /// # Errors
    /// As [`Probe::gradients`].
    pub async fn score(probe: &Probe) -> Result<f64> {
        let gradients = probe.gradients().await?;
        let scaled = |by: f32| {
            let mut values = probe.values().to_vec();
            probe.weights().for_each(|i| values[i].iter_mut().for_each(|w| *w *= by));
            values
        };
        let above = probe.gradients_at(&scaled(1.0 + STEP)).await?;
        let below = probe.gradients_at(&scaled(1.0 - STEP)).await?;
        let along = |of: &[Vec<f32>]| probe.weights().map(|i| dot(&gradients[i], &of[i])).sum::<f64>();
        Ok(-(along(&above) - along(&below)) / (2.0 * f64::from(STEP)))
    }
}
