//! From values that were seen to the range that a grid covers: one method per file.

mod min_max;
mod mse;
mod percentile;

use super::Calibration;
use crate::{Error, Result};

/// The range to be covered for these values, by the chosen method. `bits` and `symmetric` are those
/// of the grid to be fitted; only some methods look at them. Without values it is 0 to 0.
///
/// # Errors
/// A value is not finite.
pub fn range(values: &[f32], how: Calibration, bits: u8, symmetric: bool) -> Result<(f32, f32)> {
    if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
        return Err(Error::Numeric(format!(
            "a value of {bad} turned up in calibration; the network overflows on these inputs"
        )));
    }
    match how {
        Calibration::MinMax => Ok(min_max::range(values)),
        Calibration::Percentile(p) => percentile::range(values, p),
        Calibration::Mse => mse::range(values, bits, symmetric),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::affine;
    use crate::rng::Rng;

    fn outliers() -> Vec<f32> {
        let mut rng = Rng::new(4);
        let mut values: Vec<f32> = (0..4000).map(|_| rng.normal()).collect();
        values[17] = 40.0;
        values
    }

    fn error(values: &[f32], (low, high): (f32, f32), bits: u8, symmetric: bool) -> f64 {
        let grid = affine::per_tensor(low, high, bits, symmetric).unwrap();
        let back = affine::fake(values, &[values.len()], &grid);
        values.iter().zip(back).map(|(x, y)| f64::from(x - y).powi(2)).sum()
    }

    #[test]
    fn percentile_cuts_outliers_and_mse_errs_least() {
        let values = outliers();
        let (low, high) = range(&values, Calibration::MinMax, 8, true).unwrap();
        assert!(high == 40.0 && low < -2.5);
        let (low, high) = range(&values, Calibration::Percentile(99.0), 8, true).unwrap();
        assert!((2.0..3.0).contains(&high) && (-3.0..-2.0).contains(&low), "{low} {high}");
        for bits in [2, 3, 4, 8] {
            for symmetric in [false, true] {
                let at = |how| error(&values, range(&values, how, bits, symmetric).unwrap(), bits, symmetric);
                let mse = at(Calibration::Mse);
                assert!(mse <= at(Calibration::MinMax) * 1.0001, "{bits} bits");
                if bits <= 4 {
                    assert!(
                        mse < 0.7 * at(Calibration::MinMax),
                        "{bits} bits: an outlier of 40 costs the rest"
                    );
                }
            }
        }
    }

    #[test]
    fn odd_inputs_are_answered() {
        for how in [Calibration::MinMax, Calibration::Percentile(99.9), Calibration::Mse] {
            assert_eq!(range(&[], how, 8, false).unwrap(), (0.0, 0.0));
            let (low, high) = range(&[2.0; 9], how, 8, false).unwrap();
            assert!(low <= 2.0 && (high - 2.0).abs() < 1e-6, "{how:?} {low} {high}");
            assert!(range(&[1.0, f32::NAN], how, 8, false).is_err());
        }
        assert!(range(&[1.0], Calibration::Percentile(40.0), 8, false).is_err());
    }
}
