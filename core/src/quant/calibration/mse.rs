//! The range whose grid has the least mean squared error: a hundred fractions of the whole range
//! are tried. Banner et al., "Post Training 4-Bit Quantization of Convolutional Networks for
//! Rapid-Deployment", NeurIPS 2019 (arXiv:1810.05723), minimise the same error analytically under
//! a Laplace or normal law; here it is measured on the values themselves.

use crate::Result;
use crate::quant::affine;

/// Values that are looked at; of more, every n-th.
const SAMPLE: usize = 8192;

/// The best of the ranges α·[min, max], α = 0.01, 0.02 ... 1; then, where the two sides need not
/// agree, the best part of each side with the other held.
///
/// # Errors
/// The range is not finite.
pub fn range(values: &[f32], bits: u8, symmetric: bool) -> Result<(f32, f32)> {
    let (low, high) = super::min_max::range(values);
    let every = values.len().div_ceil(SAMPLE).max(1);
    let (bottom, top) = affine::limits(bits, symmetric);
    let error = |low: f32, high: f32| -> Result<f64> {
        let (scale, zero) = affine::fit(low, high, bits, symmetric)?;
        let one = |x: &f32| {
            let q = affine::quantize_one(*x, scale, zero, bottom, top);
            f64::from(x - affine::dequantize_one(q, scale, zero)).powi(2)
        };
        Ok(values.iter().step_by(every).map(one).sum())
    };
    let mut best = (error(low, high)?, (low, high));
    let mut scan = |range: &dyn Fn(f32, (f32, f32)) -> (f32, f32)| -> Result<(f32, f32)> {
        let from = best.1;
        for percent in 1..100 {
            let (low, high) = range(percent as f32 / 100.0, from);
            let error = error(low, high)?;
            if error < best.0 {
                best = (error, (low, high));
            }
        }
        Ok(best.1)
    };
    let mut found = scan(&|part, _| (low * part, high * part))?;
    if !symmetric && low < 0.0 && high > 0.0 {
        scan(&|part, (l, _)| (l, high * part))?;
        found = scan(&|part, (_, h)| (low * part, h))?;
    }
    Ok(found)
}
