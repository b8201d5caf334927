//! Independent Thompson sampling: every candidate is judged by one draw from its own prediction.
//!
//! White, Neiswanger and Savani, "BANANAS" (AAAI 2021, arXiv:1910.11858): f̃(a) ~ N(f̂(a), σ̂(a)²),
//! independently for each a. Thompson's own sampling (Biometrika 25, 1933) would draw one function for all
//! candidates; the paper found independent draws to work best of what it compared.

use super::ensemble::Guess;
use crate::rng::Rng;

/// One draw, in the guess's units.
pub fn sample(guess: Guess, rng: &mut Rng) -> f64 {
    guess.mean + guess.deviation * f64::from(rng.normal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_mean_and_deviation_of_the_guess() {
        let mut rng = Rng::new(2);
        let guess = Guess { mean: 3.0, deviation: 0.5 };
        let n = 20_000;
        let draws: Vec<f64> = (0..n).map(|_| sample(guess, &mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let deviation = (draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / f64::from(n)).sqrt();
        assert!((mean - 3.0).abs() < 0.02 && (deviation - 0.5).abs() < 0.02, "{mean} ± {deviation}");
        assert_eq!(sample(Guess { mean: 1.0, deviation: 0.0 }, &mut rng), 1.0);
    }
}
