//! Expected improvement.
//!
//! Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box Functions" (Journal of Global
//! Optimization 13, 1998), equation 15: E[max(best − Y, 0)] for Y ~ N(μ, σ²), where lower is better.

use super::ensemble::Guess;
use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// How far below `best` the guess is expected to come, in its units; never negative.
pub fn expected_improvement(guess: Guess, best: f64) -> f64 {
    let gain = best - guess.mean;
    if guess.deviation <= 0.0 {
        return gain.max(0.0);
    }
    let z = gain / guess.deviation;
    // The tail by erfc: 1 + erf would lose it to rounding.
    let below = 0.5 * libm::erfc(-z * FRAC_1_SQRT_2);
    let density = (-0.5 * z * z).exp() / TAU.sqrt();
    (gain * below + guess.deviation * density).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, by Simpson's rule over ten deviations.
    fn integrated(guess: Guess, best: f64) -> f64 {
        const STEPS: usize = 200_000;
        let (low, high) = (guess.mean - 10.0 * guess.deviation, guess.mean + 10.0 * guess.deviation);
        // No kink inside: the integrand is zero above `best`.
        let high = high.min(best);
        if high <= low {
            return 0.0;
        }
        let h = (high - low) / STEPS as f64;
        let f = |y: f64| {
            let z = (y - guess.mean) / guess.deviation;
            (best - y) * (-0.5 * z * z).exp() / (guess.deviation * TAU.sqrt())
        };
        let inner: f64 = (1..STEPS).map(|i| f(low + i as f64 * h) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        (f(low) + inner + f(high)) * h / 3.0
    }

    #[test]
    fn the_formula_is_the_integral() {
        for mean in [-2.0, 0.0, 0.5, 3.0] {
            for deviation in [0.1, 1.0, 4.0] {
                let guess = Guess { mean, deviation };
                for best in [-1.0, 0.0, 0.7] {
                    let (got, want) = (expected_improvement(guess, best), integrated(guess, best));
                    assert!((got - want).abs() < 1e-9, "{guess:?}, {best}: {got} and {want}");
                }
            }
        }
    }

    #[test]
    fn certainty_leaves_the_gain_and_doubt_helps() {
        let ei = |mean, deviation| expected_improvement(Guess { mean, deviation }, 1.0);
        assert_eq!(ei(0.25, 0.0), 0.75);
        assert_eq!(ei(2.0, 0.0), 0.0);
        assert!((ei(1.0, 1.0) - 1.0 / TAU.sqrt()).abs() < 1e-15, "at the mean it is the density");
        assert!(ei(2.0, 1.0) > ei(2.0, 0.5) && ei(2.0, 0.5) > 0.0);
        let far = ei(30.0, 1.0);
        assert!((0.0..1e-100).contains(&far), "{far}");
    }
}
