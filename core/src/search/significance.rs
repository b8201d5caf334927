//! Whether a difference between two searches is more than luck.

use crate::rng::Rng;

/// Sign patterns that are all tried; above, as many are drawn.
const PATTERNS: u64 = 1 << 14;

/// Mean and sample standard deviation; a deviation of 0 for fewer than two values.
pub fn mean_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

/// The two-sided p-value of the paired permutation test of Fisher ("The Design of Experiments", 1935): how often a
/// mean difference as large comes about when each pair's sign is a coin's. Exact for up to 14 pairs; for more,
/// from 16,384 drawn patterns, the observed one among them. 1 for no pairs.
pub fn permutation_p(differences: &[f64], rng: &mut Rng) -> f64 {
    let n = differences.len();
    if n == 0 {
        return 1.0;
    }
    let observed = differences.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order may differ in their last digits.
    let as_large = |sum: f64| sum.abs() >= observed - 1e-12 * (1.0 + observed);
    let signed = |flipped: &mut dyn FnMut(usize) -> bool| -> f64 {
        differences.iter().enumerate().map(|(i, d)| if flipped(i) { -d } else { *d }).sum()
    };
    if n < 64 && 1u64 << n <= PATTERNS {
        let all = 1u64 << n;
        let large = (0..all).filter(|pattern| as_large(signed(&mut |i| pattern >> i & 1 == 1))).count();
        return large as f64 / all as f64;
    }
    let drawn = (0..PATTERNS - 1).filter(|_| as_large(signed(&mut |_| rng.chance(0.5)))).count();
    (drawn + 1) as f64 / PATTERNS as f64
}

/// Two searches compared pair by pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Mean difference, first minus second.
    pub difference: f64,
    /// Its standard error.
    pub error: f64,
    /// See [`permutation_p`].
    pub p: f64,
    /// Number of pairs.
    pub pairs: usize,
}

impl Comparison {
    /// Of pairs (first, second) that share their seed.
    pub fn new(pairs: &[(f64, f64)], rng: &mut Rng) -> Self {
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
        let (difference, deviation) = mean_deviation(&differences);
        let error = deviation / (differences.len().max(1) as f64).sqrt();
        Self { difference, error, p: permutation_p(&differences, rng), pairs: differences.len() }
    }

    /// The p-value as it is written.
    pub fn p_value(&self) -> String {
        if self.p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {:.3}", self.p) }
    }

    /// What it means.
    pub fn meaning(&self) -> String {
        let least = 2.0 / 2f64.powi(self.pairs.min(60) as i32);
        if self.p < 0.05 {
            "more than luck".to_owned()
        } else if least >= 0.05 {
            format!("undecided: {} seeds cannot show more than p = {least:.2}", self.pairs)
        } else {
            "no more than luck would give".to_owned()
        }
    }

    /// In a sentence: `first` against `second`, in points.
    pub fn sentence(&self, first: &str, second: &str) -> String {
        let ends = if self.difference.abs() < 0.005 {
            format!("{first} and {second} end level")
        } else {
            let way = if self.difference > 0.0 { "above" } else { "below" };
            format!("{first} ends {:.2} points {way} {second}", self.difference.abs())
        };
        format!(
            "{ends} (± {:.2} standard error, {} in a paired permutation test over {} seeds): {}.",
            self.error,
            self.p_value(),
            self.pairs,
            self.meaning()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_counted_exactly_and_estimated_close() {
        let mut rng = Rng::new(1);
        // Of the eight patterns of three equal differences only two give a sum as large.
        assert_eq!(permutation_p(&[1.0, 1.0, 1.0], &mut rng), 0.25);
        assert_eq!(permutation_p(&[1.0, -1.0], &mut rng), 1.0);
        assert_eq!(permutation_p(&[], &mut rng), 1.0);
        let exact = permutation_p(&[0.5, 1.5, -0.2, 0.8, 0.1, 1.1, -0.4, 0.9], &mut rng);
        // The same differences with ten pairs that say nothing: the patterns are drawn, the p-value stays.
        let mut more = vec![0.5, 1.5, -0.2, 0.8, 0.1, 1.1, -0.4, 0.9];
        more.extend([0.0; 10]);
        assert!((permutation_p(&more, &mut rng) - exact).abs() < 0.02, "{exact}");
    }

    #[test]
    fn chance_is_not_called_significant_more_often_than_promised() {
        let mut rng = Rng::new(5);
        let called = (0..400).filter(|_| {
            let pairs: Vec<f64> = (0..10).map(|_| f64::from(rng.normal())).collect();
            permutation_p(&pairs, &mut rng) < 0.05
        });
        let called = called.count();
        assert!((5..=40).contains(&called), "{called} of 400 at a level of 5 %");
    }

    #[test]
    fn the_sentence_says_what_few_seeds_cannot_show() {
        let mut rng = Rng::new(2);
        let few = Comparison::new(&[(97.0, 95.0), (96.0, 95.5), (97.5, 95.0)], &mut rng).sentence("A", "B");
        assert!(few.contains("A ends 1.67 points above B") && few.contains("cannot show"), "{few}");
        let many: Vec<(f64, f64)> = (0..12).map(|i| (96.0 + 0.1 * f64::from(i), 95.0)).collect();
        assert!(Comparison::new(&many, &mut rng).sentence("A", "B").contains("p < 0.001 in a paired"));
        assert!(Comparison::new(&[(1.0, 1.0); 8], &mut rng).sentence("A", "B").contains("A and B end level"));
    }
}
