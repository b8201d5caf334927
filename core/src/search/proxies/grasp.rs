//! How much removing the weights would preserve the flow of gradients.
//!
//! Wang, Zhang and Grosse, "Picking Winning Tickets Before Training by Preserving Gradient Flow" (ICLR 2020,
//! arXiv:2002.07376); summed over the network by Abdelfattah et al. (ICLR 2021, arXiv:2101.08134): −Σ w · (H·g).
//!
//! Burn derives once, so the product of the Hessian with the gradient is a central difference of gradients along the
//! gradient: H·g ≈ (∇L(w + εg) − ∇L(w − εg)) / 2ε. Where ReLUs switch in between it is the slope across the kink;
//! differentiating twice would not see it.

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

    /// The length of the step to either side, as a part of the weights' own length: large beside the rounding of f32
    /// gradients, small beside the curvature.
    const STEP: f64 = 3e-3;

    /// The sum.
    ///
    /// # Errors
    /// As [`Probe::gradients`].
    pub async fn score(probe: &Probe) -> Result<f64> {
        let gradients = probe.gradients().await?;
        let length = |of: &[Vec<f32>]| probe.weights().map(|i| dot(&of[i], &of[i])).sum::<f64>().sqrt();
        let (weights, gradient) = (length(probe.values()), length(&gradients));
        if gradient == 0.0 {
            return Ok(0.0);
        }
        let epsilon = STEP * weights / gradient;
        let moved = |by: f64| {
            let mut values = probe.values().to_vec();
            for i in probe.weights() {
                values[i].iter_mut().zip(&gradients[i]).for_each(|(w, g)| *w += (by * f64::from(*g)) as f32);
            }
            values
        };
        let (above, below) =
            (probe.gradients_at(&moved(epsilon)).await?, probe.gradients_at(&moved(-epsilon)).await?);
        let along = |of: &[Vec<f32>]| probe.weights().map(|i| dot(&probe.values()[i], &of[i])).sum::<f64>();
        Ok(-(along(&above) - along(&below)) / (2.0 * epsilon))
    }
}
