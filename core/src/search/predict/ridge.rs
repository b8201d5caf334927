//! Ridge regression, in closed form.
//!
//! Hoerl and Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems" (Technometrics 12, 1970). On
//! standardised features: β = (ZᵀZ + λI)⁻¹ Zᵀ(y − ȳ), by Cholesky. The intercept is the mean and is not shrunk.

use super::{Samples, Scale};
use crate::search::linalg::Cholesky;
use crate::{Error, Result};

/// A linear function of features.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    scales: Vec<Scale>,
    beta: Vec<f64>,
    mean: f64,
}

impl Ridge {
    /// Fits with the penalty `lambda`, which must be positive: with it there is a solution however few samples there
    /// are. It weighs against the sum of squared errors over the samples.
    ///
    /// # Errors
    /// As [`Samples::check`], or the penalty is not a positive number.
    pub fn fit(samples: Samples<'_>, lambda: f64) -> Result<Self> {
        let features = samples.check()?;
        if !(lambda > 0.0 && lambda.is_finite()) {
            return Err(Error::Numeric(format!("a ridge penalty must be positive; {lambda} is not")));
        }
        let scales: Vec<Scale> =
            (0..features).map(|j| Scale::of(samples.x.iter().map(|row| row[j]))).collect();
        let mean = samples.y.iter().sum::<f64>() / samples.y.len() as f64;
        let mut normal = vec![0.0; features * features];
        let mut right = vec![0.0; features];
        for (row, y) in samples.x.iter().zip(samples.y) {
            let z: Vec<f64> = row.iter().zip(&scales).map(|(x, s)| s.down(*x)).collect();
            for (i, zi) in z.iter().enumerate() {
                right[i] += zi * (y - mean);
                // The lower triangle is all that is read.
                for (cell, zj) in normal[i * features..].iter_mut().zip(&z[..=i]) {
                    *cell += zi * zj;
                }
            }
        }
        for i in 0..features {
            normal[i * features + i] += lambda;
        }
        let cholesky = Cholesky::new(&normal, features).ok_or_else(|| {
            Error::Numeric(format!("a ridge penalty of {lambda} is lost beside the features"))
        })?;
        Ok(Self { beta: cholesky.solve(&right)?, scales, mean })
    }

    /// The prediction for one row of features.
    pub fn predict(&self, x: &[f64]) -> f64 {
        let terms =
            x.iter().zip(&self.scales).zip(&self.beta).map(|((x, scale), beta)| beta * scale.down(*x));
        self.mean + terms.sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn one_feature_by_hand() {
        // x = 1, 3 becomes z = −1, 1; y = 0, 4 is 2 ∓ 2: β = 4 / (2 + λ).
        let x = [vec![1.0], vec![3.0]];
        let fit = |lambda| Ridge::fit(Samples { x: &x, y: &[0.0, 4.0] }, lambda).unwrap();
        for lambda in [0.5, 2.0, 6.0] {
            let beta = 4.0 / (2.0 + lambda);
            let ridge = fit(lambda);
            assert!((ridge.predict(&[3.0]) - (2.0 + beta)).abs() < 1e-12);
            assert!((ridge.predict(&[2.0]) - 2.0).abs() < 1e-12);
            // Two deviations from the mean.
            assert!((ridge.predict(&[4.0]) - (2.0 + 2.0 * beta)).abs() < 1e-12);
        }
        assert!(Ridge::fit(Samples { x: &x, y: &[0.0, 4.0] }, 0.0).is_err());
        assert!(Ridge::fit(Samples { x: &x, y: &[0.0, 4.0] }, f64::NAN).is_err());
    }

    #[test]
    fn the_fit_is_where_the_penalised_error_is_least() {
        let mut rng = Rng::new(4);
        let x: Vec<Vec<f64>> = (0..9).map(|_| (0..14).map(|_| f64::from(rng.normal())).collect()).collect();
        let y: Vec<f64> = (0..9).map(|_| f64::from(rng.normal())).collect();
        let lambda = 0.7;
        let ridge = Ridge::fit(Samples { x: &x, y: &y }, lambda).unwrap();
        let cost = |r: &Ridge| {
            let error: f64 = x.iter().zip(&y).map(|(x, y)| (r.predict(x) - y).powi(2)).sum();
            error + lambda * r.beta.iter().map(|b| b * b).sum::<f64>()
        };
        for j in 0..14 {
            let moved = |by: f64| {
                let mut other = ridge.clone();
                other.beta[j] += by;
                cost(&other)
            };
            let slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
            assert!(slope.abs() < 1e-8, "{j}: {slope}");
        }
    }

    #[test]
    fn a_linear_function_is_found_whatever_the_units() {
        let mut rng = Rng::new(2);
        let x: Vec<Vec<f64>> = (0..50)
            .map(|_| vec![1e6 * f64::from(rng.normal()), 1e-3 * f64::from(rng.normal()), 5.0])
            .collect();
        let f = |x: &[f64]| 3.0 + 2e-6 * x[0] - 4e3 * x[1];
        let y: Vec<f64> = x.iter().map(|x| f(x)).collect();
        let ridge = Ridge::fit(Samples { x: &x, y: &y }, 1e-9).unwrap();
        let new = [1.2e6, -2e-3, 5.0];
        assert!((ridge.predict(&new) - f(&new)).abs() < 1e-6, "{} and {}", ridge.predict(&new), f(&new));
    }
}
