//! How differently a fresh network responds to different samples, by the correlation of its input gradients.
//!
//! Mellor, Turner, Storkey and Crowley, "Neural Architecture Search without Training" (first version, 2020,
//! arXiv:2006.04647v1), as Abdelfattah et al. (ICLR 2021, arXiv:2101.08134) compute it: with the eigenvalues λ of the
//! correlation matrix of the gradients of the summed outputs by each sample, −Σ log(λ + k) + 1/(λ + k), k = 10⁻⁵.

use crate::registry::{Citation, Method};

/// See the module.
pub static METHOD: Method = Method {
    id: "jacob-cov",
    name: "Jacobian covariance",
    sentence: "Prefers networks whose outputs react differently to different samples.",
    formula: "s = −Σ (ln(λ + k) + 1/(λ + k)),  λ = eig(corr(∂f/∂x))",
    citation: Citation {
        authors: "Mellor, Turner, Storkey and Crowley",
        title: "Neural Architecture Search without Training",
        year: 2021,
        venue: "ICML, arXiv:2006.04647",
    },
    params: &[],
};

#[cfg(feature = "compute")]
pub use run::score;

#[cfg(feature = "compute")]
mod run {
    use super::super::probe::Probe;
    use crate::Result;
    use crate::search::linalg::eigenvalues;
    use crate::train::interpret::NoHook;

    const K: f64 = 1e-5;

    /// The correlation matrix of some rows; `None` where one of them does not vary.
    fn correlations(rows: &[&[f32]]) -> Option<Vec<f64>> {
        let unit = |row: &&[f32]| {
            let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / row.len().max(1) as f64;
            let centred: Vec<f64> = row.iter().map(|v| f64::from(*v) - mean).collect();
            let length = centred.iter().map(|v| v * v).sum::<f64>().sqrt();
            (length > 0.0).then(|| centred.into_iter().map(|v| v / length).collect())
        };
        let units: Vec<Vec<f64>> = rows.iter().map(unit).collect::<Option<_>>()?;
        let pair = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        Some(units.iter().flat_map(|a| units.iter().map(move |b| pair(a, b))).collect())
    }

    /// The score; minus infinity where a sample's gradient is the same in every direction, so that nothing correlates.
    ///
    /// # Errors
    /// What an operator cannot do, or the device failed.
    pub async fn score(probe: &Probe) -> Result<f64> {
        let input = crate::map_value!(probe.input()?, t => t.autodiff().require_grad());
        let params = probe.leaves(probe.values())?;
        let sum = probe.logits(&params, input.clone(), &NoHook)?.sum();
        let Some(gradient) = input.gradient(&sum.backward()) else { return Ok(f64::NEG_INFINITY) };
        let gradient = gradient.to_host().await?;
        let rows: Vec<&[f32]> = gradient.chunks_exact(gradient.len() / probe.samples()).collect();
        let Some(matrix) = correlations(&rows) else { return Ok(f64::NEG_INFINITY) };
        let values = eigenvalues(&matrix, rows.len())?;
        // Rounding may leave a zero slightly negative.
        Ok(-values.iter().map(|v| v.max(0.0) + K).map(|v| v.ln() + 1.0 / v).sum::<f64>())
    }
}
