//! Predictors: what a search learns from the candidates it has judged, to guess how good others are.
//!
//! They are small and decide, so they are computed here in f64 and not by an engine: a decision costs far less than
//! one candidate's training. One method per file. All are functions of their samples and a generator.

pub mod encode;
pub mod ensemble;
pub mod expected_improvement;
pub mod mlp;
pub mod ridge;
pub mod thompson;

use crate::{Error, Result};

/// Samples to learn from: rows of features, and a target each.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// Rows of equal length.
    pub x: &'a [Vec<f64>],
    /// One target for each row.
    pub y: &'a [f64],
}

impl Samples<'_> {
    /// The number of features.
    ///
    /// # Errors
    /// There are no samples, rows differ in length, a target is missing, or something is not a finite number.
    pub fn check(&self) -> Result<usize> {
        let wrong = |message: String| Err(Error::Numeric(format!("a predictor cannot learn: {message}")));
        let Some(first) = self.x.first() else { return wrong("there are no samples".into()) };
        if self.x.len() != self.y.len() {
            return wrong(format!("{} samples have {} targets", self.x.len(), self.y.len()));
        }
        if let Some(i) = self.x.iter().position(|row| row.len() != first.len()) {
            return wrong(format!(
                "sample {i} has {} features, sample 0 has {}",
                self.x[i].len(),
                first.len()
            ));
        }
        if self.x.iter().flatten().chain(self.y).any(|v| !v.is_finite()) {
            return wrong("a feature or a target is not a finite number".into());
        }
        Ok(first.len())
    }
}

/// What brings values to mean 0 and standard deviation 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    mean: f64,
    /// 1 where all values are the same: they become 0, and a prediction of them stays as it is.
    deviation: f64,
}

impl Scale {
    pub(crate) fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let n = values.clone().count().max(1) as f64;
        let mean = values.clone().sum::<f64>() / n;
        let deviation = (values.map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        // Rounding leaves a trace of the mean where all values are equal.
        let varies = deviation > 1e-12 * mean.abs().max(f64::MIN_POSITIVE);
        Self { mean, deviation: if varies { deviation } else { 1.0 } }
    }

    pub(crate) fn down(self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }

    pub(crate) fn up(self, value: f64) -> f64 {
        self.mean + self.deviation * value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_do_not_fit_are_answered_in_words() {
        let message = |x: &[Vec<f64>], y: &[f64]| Samples { x, y }.check().unwrap_err().to_string();
        assert_eq!(Samples { x: &[vec![1.0, 2.0]], y: &[3.0] }.check(), Ok(2));
        assert!(message(&[], &[]).contains("no samples"));
        assert!(message(&[vec![1.0]], &[]).contains("1 samples have 0 targets"));
        assert!(message(&[vec![1.0], vec![]], &[0.0, 0.0]).contains("sample 1 has 0 features"));
        assert!(message(&[vec![f64::NAN]], &[0.0]).contains("finite"));
        assert!(message(&[vec![0.0]], &[f64::INFINITY]).contains("finite"));
    }

    #[test]
    fn scaling_goes_both_ways_and_a_constant_is_no_trouble() {
        let values = [1.0, 3.0, 8.0];
        let scale = Scale::of(values.iter().copied());
        let down: Vec<f64> = values.iter().map(|v| scale.down(*v)).collect();
        assert!(down.iter().sum::<f64>().abs() < 1e-12);
        assert!((down.iter().map(|v| v * v).sum::<f64>() - 3.0).abs() < 1e-12);
        assert!(down.iter().zip(values).all(|(d, v)| (scale.up(*d) - v).abs() < 1e-12));
        let flat = Scale::of([0.1; 7].into_iter());
        assert!(flat.down(0.1).abs() < 1e-12 && (flat.up(0.0) - 0.1).abs() < 1e-12);
    }
}
