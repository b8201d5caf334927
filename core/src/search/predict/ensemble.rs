//! A small ensemble of networks: their mean, and how far they disagree.
//!
//! Lakshminarayanan, Pritzel and Blundell, "Simple and Scalable Predictive Uncertainty Estimation using Deep
//! Ensembles" (NeurIPS 2017, arXiv:1612.01474), as BANANAS uses it: the networks differ by their initial weights and
//! the order of their samples.

use super::Samples;
use super::mlp::{Mlp, MlpConfig};
use crate::rng::Rng;
use crate::{Error, Result};

/// A prediction with its uncertainty, in the targets' units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    /// The mean of the members' predictions.
    pub mean: f64,
    /// Their sample standard deviation; 0 for one member.
    pub deviation: f64,
}

/// Networks trained on the same samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    members: Vec<Mlp>,
}

impl Ensemble {
    /// Trains `members` networks one after the other.
    ///
    /// # Errors
    /// As [`Mlp::fit`], or there are no members.
    pub fn fit(samples: Samples<'_>, members: usize, config: &MlpConfig, rng: &mut Rng) -> Result<Self> {
        if members == 0 {
            return Err(Error::Numeric("an ensemble has at least one member".into()));
        }
        let fit = |_| Mlp::fit(samples, config, &mut Rng::new(rng.next_u64()));
        Ok(Self { members: (0..members).map(fit).collect::<Result<_>>()? })
    }

    /// The prediction for one row of features.
    pub fn predict(&self, x: &[f64]) -> Guess {
        let each: Vec<f64> = self.members.iter().map(|m| m.predict(x)).collect();
        let n = each.len() as f64;
        let mean = each.iter().sum::<f64>() / n;
        let square: f64 = each.iter().map(|p| (p - mean).powi(2)).sum();
        Guess { mean, deviation: (square / (n - 1.0).max(1.0)).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mlp::Loss;
    use super::*;

    fn fit(members: usize, seed: u64) -> Result<(Ensemble, Vec<Vec<f64>>)> {
        let x: Vec<Vec<f64>> = (0..16).map(|i| vec![f64::from(i) / 8.0 - 1.0]).collect();
        let y: Vec<f64> = x.iter().map(|x| (2.0 * x[0]).sin()).collect();
        let config = MlpConfig { hidden: vec![16], loss: Loss::Squared, epochs: 300, batch: 8, rate: 0.01 };
        Ok((Ensemble::fit(Samples { x: &x, y: &y }, members, &config, &mut Rng::new(seed))?, x))
    }

    #[test]
    fn members_agree_where_there_are_samples_and_less_elsewhere() {
        let (ensemble, x) = fit(5, 3).unwrap();
        let near = x.iter().map(|x| ensemble.predict(x).deviation).sum::<f64>() / x.len() as f64;
        let far = ensemble.predict(&[5.0]).deviation;
        assert!(far > 4.0 * near, "far {far}, near {near}");
        let error =
            x.iter().map(|x| (ensemble.predict(x).mean - (2.0 * x[0]).sin()).abs()).fold(0.0, f64::max);
        assert!(error < 0.2, "{error}");
        let again = fit(5, 3).unwrap().0;
        assert_eq!(ensemble, again);
        assert_eq!(fit(1, 3).unwrap().0.predict(&[0.0]).deviation, 0.0);
        assert!(fit(0, 3).is_err());
    }

    #[test]
    fn mean_and_deviation_are_those_of_the_members() {
        let (ensemble, _) = fit(3, 8).unwrap();
        let each: Vec<f64> = ensemble.members.iter().map(|m| m.predict(&[0.3])).collect();
        let [a, b, c] = each[..] else { panic!("three members") };
        let guess = ensemble.predict(&[0.3]);
        let mean = (a + b + c) / 3.0;
        assert!((guess.mean - mean).abs() < 1e-12);
        let pairs = ((a - b).powi(2) + (b - c).powi(2) + (c - a).powi(2)) / 3.0;
        // The sample variance is half the mean squared difference of pairs.
        assert!((guess.deviation.powi(2) - pairs / 2.0).abs() < 1e-12);
    }
}
