//! How far two rankings of the same things agree.

use crate::order::Order;
use std::cmp::Ordering;

/// Kendall's τ-b of two lists of values (Kendall, "The Treatment of Ties in Ranking Problems",
/// Biometrika 33(3), 1945): (concordant − discordant) pairs, divided by the geometric mean of the pairs
/// that are not tied in each list. −1 to 1. `None` where all values of a list are equal, values are
/// fewer than two, or one is not a number.
pub fn kendall(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len().min(b.len());
    let (mut score, mut untied_a, mut untied_b) = (0i64, 0u64, 0u64);
    for i in 0..n {
        for j in 0..i {
            let (x, y) = (a[i].partial_cmp(&a[j])?, b[i].partial_cmp(&b[j])?);
            untied_a += u64::from(x != Ordering::Equal);
            untied_b += u64::from(y != Ordering::Equal);
            score += x as i64 * y as i64;
        }
    }
    let pairs = (untied_a as f64 * untied_b as f64).sqrt();
    (pairs > 0.0).then(|| score as f64 / pairs)
}

/// Spearman's ρ of two lists of values (Spearman, "The Proof and Measurement of Association between
/// Two Things", American Journal of Psychology 15(1), 1904): the Pearson correlation of their ranks,
/// equal values sharing their mean rank. −1 to 1. `None` as for [`kendall`].
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len().min(b.len());
    if a[..n].iter().chain(&b[..n]).any(|v| v.is_nan()) {
        return None;
    }
    pearson(&ranks(&a[..n]), &ranks(&b[..n]))
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.order_by(|i, j| values[*i].total_cmp(&values[*j]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for group in order.chunk_by(|i, j| values[*i] == values[*j]) {
        let mean = start as f64 + (group.len() + 1) as f64 / 2.0;
        group.iter().for_each(|i| ranks[*i] = mean);
        start += group.len();
    }
    ranks
}

/// The product-moment correlation (Pearson, 1896) of two lists of equal length; `None` where one does not vary.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len().max(1) as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let sum =
        |f: fn(f64, f64) -> f64| -> f64 { a.iter().zip(b).map(|(x, y)| f(x - mean_a, y - mean_b)).sum() };
    let scale = (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt();
    (scale > 0.0).then(|| sum(|x, y| x * y) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(have: Option<f64>, want: f64) {
        assert!((have.unwrap() - want).abs() < 1e-12, "{have:?} {want}");
    }

    #[test]
    fn without_ties_they_follow_the_textbook() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0];
        near(kendall(&a, &a), 1.0);
        near(spearman(&a, &[5.0, 4.0, 3.0, 2.0, 1.0]), -1.0);
        // Two of ten pairs disagree: (8 − 2) / 10. Rank differences 1, 1, 0, 1, 1: 1 − 6·4 / (5·24).
        let b = [2.0, 1.0, 3.0, 5.0, 4.0];
        near(kendall(&a, &b), 0.6);
        near(spearman(&a, &b), 0.8);
        // Only the order counts.
        near(spearman(&a, &b.map(f64::exp)), 0.8);
    }

    #[test]
    fn products_of_moments_by_hand() {
        near(pearson(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), 1.0);
        near(pearson(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]), 0.5);
        assert_eq!((pearson(&[1.0, 2.0], &[5.0, 5.0]), pearson(&[], &[])), (None, None));
    }

    #[test]
    fn ties_share_their_rank() {
        // Pairs: (1,2) tied in a; (2,3) tied in b; the other four agree: 4 / √(5·5).
        let (a, b) = ([1.0, 1.0, 2.0, 3.0], [1.0, 2.0, 2.0, 3.0]);
        near(kendall(&a, &b), 0.8);
        // Ranks 1.5, 1.5, 3, 4 and 1, 2.5, 2.5, 4: covariance 3.75, both variances 4.5.
        near(spearman(&a, &b), 3.75 / 4.5);
        assert_eq!(kendall(&a, &[1.0; 4]), None);
        assert_eq!(spearman(&[1.0; 4], &b), None);
        assert_eq!((kendall(&[], &[]), spearman(&[1.0], &[1.0])), (None, None));
        assert_eq!((kendall(&[1.0, f64::NAN], &b), spearman(&[1.0, f64::NAN], &b)), (None, None));
    }
}
