//! How much is gone when: all at once, or gradually.

use serde::{Deserialize, Serialize};

/// A pruning schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// Everything in the first step.
    OneShot,
    /// Fast first, then ever more slowly (Zhu and Gupta, "To Prune, or Not to Prune: Exploring the
    /// Efficacy of Pruning for Model Compression", 2017, arXiv:1710.01878):
    /// s_t = s_f + (s_i − s_f)(1 − (t − t₀)/(n Δt))³.
    Cubic,
}

impl Schedule {
    /// The sparsity after `step` of `steps` pruning steps (t = t₀ + step·Δt, n = steps), between
    /// `from` and `to`; both 0 to 1.
    pub fn sparsity(self, step: u32, steps: u32, from: f64, to: f64) -> f64 {
        match self {
            Self::OneShot => {
                if step == 0 {
                    from
                } else {
                    to
                }
            }
            Self::Cubic => {
                let t = f64::from(step.min(steps)) / f64::from(steps.max(1));
                to + (from - to) * (1.0 - t).powi(3)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cubic_schedule_is_the_papers() {
        let s: Vec<f64> = (0..=4).map(|t| Schedule::Cubic.sparsity(t, 4, 0.0, 0.8)).collect();
        for (s, want) in s.iter().zip([0.0, 0.4625, 0.7, 0.7875, 0.8]) {
            assert!((s - want).abs() < 1e-12, "{s} {want}");
        }
        assert_eq!(Schedule::OneShot.sparsity(1, 4, 0.1, 0.5), 0.5);
        assert_eq!(Schedule::Cubic.sparsity(9, 4, 0.0, 0.5), 0.5);
    }
}
