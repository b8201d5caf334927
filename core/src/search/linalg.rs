//! A little dense linear algebra in f64, for predictors and proxies: symmetric matrices of at most a few hundred
//! rows, row-major.
//!
//! Golub and Van Loan, "Matrix Computations" (4th edition, 2013): Cholesky (algorithm 4.2.1) and the cyclic Jacobi
//! method (algorithm 8.5.3).

use crate::order::Order;
use crate::{Error, Result};

/// Pivots below this part of the largest diagonal element count as zero.
const SINGULAR: f64 = 1e-12;
/// Sweeps of Jacobi's method; it converges quadratically, in about ten for what it is used for here.
const SWEEPS: usize = 60;

/// The lower triangle L of A = L·Lᵀ.
#[derive(Debug, Clone, PartialEq)]
pub struct Cholesky {
    n: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors a symmetric matrix `[n, n]`, of which only the lower triangle is read. `None` where it is not
    /// positive definite, up to rounding.
    pub fn new(matrix: &[f64], n: usize) -> Option<Self> {
        if matrix.len() != n * n {
            return None;
        }
        let most = (0..n).map(|i| matrix[i * n + i]).fold(0.0, f64::max);
        let mut lower = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let known: f64 =
                    lower[i * n..i * n + j].iter().zip(&lower[j * n..j * n + j]).map(|(a, b)| a * b).sum();
                let rest = matrix[i * n + j] - known;
                lower[i * n + j] = match i == j {
                    true if rest > SINGULAR * most => rest.sqrt(),
                    // Not a number ends here too.
                    true => return None,
                    false => rest / lower[j * n + j],
                };
            }
        }
        Some(Self { n, lower })
    }

    /// The x of A·x = b.
    ///
    /// # Errors
    /// `b` has another length.
    pub fn solve(&self, b: &[f64]) -> Result<Vec<f64>> {
        let n = self.n;
        if b.len() != n {
            return Err(Error::Numeric(format!("{} right-hand sides for {n} unknowns", b.len())));
        }
        let mut x = b.to_vec();
        for i in 0..n {
            let known: f64 = self.lower[i * n..i * n + i].iter().zip(&x).map(|(l, x)| l * x).sum();
            x[i] = (x[i] - known) / self.lower[i * n + i];
        }
        for i in (0..n).rev() {
            let known: f64 = (i + 1..n).map(|k| self.lower[k * n + i] * x[k]).sum();
            x[i] = (x[i] - known) / self.lower[i * n + i];
        }
        Ok(x)
    }

    /// ln det A.
    pub fn log_det(&self) -> f64 {
        2.0 * (0..self.n).map(|i| self.lower[i * self.n + i].ln()).sum::<f64>()
    }
}

/// The eigenvalues of a symmetric matrix `[n, n]`, ascending.
///
/// # Errors
/// The matrix is not square, or holds what is not a number.
pub fn eigenvalues(matrix: &[f64], n: usize) -> Result<Vec<f64>> {
    if matrix.len() != n * n || matrix.iter().any(|v| !v.is_finite()) {
        return Err(Error::Numeric(format!("{} values are no finite matrix of {n} rows", matrix.len())));
    }
    let mut a = matrix.to_vec();
    let size: f64 = a.iter().map(|v| v * v).sum();
    for _ in 0..SWEEPS {
        let off: f64 =
            (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * n + j].powi(2)).sum();
        if off <= 1e-30 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, n, p, q);
            }
        }
    }
    let mut values: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
    values.order_by(f64::total_cmp);
    Ok(values)
}

/// Turns the plane of `p` and `q` so that the element between them vanishes.
fn rotate(a: &mut [f64], n: usize, p: usize, q: usize) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let tau = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let t = if tau >= 0.0 { 1.0 } else { -1.0 } / (tau.abs() + (1.0 + tau * tau).sqrt());
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// B·Bᵀ for a random B: positive definite.
    fn gram(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = Rng::new(seed);
        let b: Vec<f64> = (0..n * n).map(|_| f64::from(rng.normal())).collect();
        let dot = |i: usize, j: usize| (0..n).map(|k| b[i * n + k] * b[j * n + k]).sum();
        (0..n * n).map(|k| dot(k / n, k % n)).collect()
    }

    #[test]
    fn a_system_is_solved_and_its_determinant_is_the_product_of_its_eigenvalues() {
        for n in [1, 2, 7, 30] {
            let a = gram(n, n as u64);
            let x: Vec<f64> = (0..n).map(|i| i as f64 - 1.5).collect();
            let b: Vec<f64> = (0..n).map(|i| (0..n).map(|j| a[i * n + j] * x[j]).sum()).collect();
            let cholesky = Cholesky::new(&a, n).unwrap();
            for (got, want) in cholesky.solve(&b).unwrap().iter().zip(&x) {
                assert!((got - want).abs() < 1e-6, "{n}: {got} and {want}");
            }
            let values = eigenvalues(&a, n).unwrap();
            let trace: f64 = (0..n).map(|i| a[i * n + i]).sum();
            assert!((values.iter().sum::<f64>() - trace).abs() < 1e-9 * trace);
            let log: f64 = values.iter().map(|v| v.ln()).sum();
            assert!((log - cholesky.log_det()).abs() < 1e-7, "{n}: {log} and {}", cholesky.log_det());
            assert!(cholesky.solve(&vec![1.0; n + 1]).is_err());
        }
    }

    #[test]
    fn known_values_and_matrices_that_are_none() {
        // [[2, 1], [1, 2]] has the eigenvalues 1 and 3.
        let values = eigenvalues(&[2.0, 1.0, 1.0, 2.0], 2).unwrap();
        assert!((values[0] - 1.0).abs() < 1e-14 && (values[1] - 3.0).abs() < 1e-14);
        assert!(Cholesky::new(&[1.0, 1.0, 1.0, 1.0], 2).is_none(), "singular");
        assert!(Cholesky::new(&[1.0, 2.0, 2.0, 1.0], 2).is_none(), "indefinite");
        assert!(Cholesky::new(&[f64::NAN], 1).is_none());
        assert!(Cholesky::new(&[1.0, 2.0], 2).is_none());
        assert!(eigenvalues(&[f64::INFINITY], 1).is_err() && eigenvalues(&[1.0], 2).is_err());
    }
}
