//! The given percentile on both sides: what lies beyond is clipped. Wu et al., "Integer
//! Quantization for Deep Learning Inference: Principles and Empirical Evaluation", 2020
//! (arXiv:2004.09602), section 5.1, find 99.9 to 99.9999 % good for activations.

use crate::order::Order;
use crate::{Error, Result};

/// The values at (100 − p) % and p % of the sorted values (nearest rank).
///
/// # Errors
/// `p` is not within 50 ..= 100.
pub fn range(values: &[f32], p: f32) -> Result<(f32, f32)> {
    if !(50.0..=100.0).contains(&p) {
        return Err(Error::config("percentile", format!("{p} is not between 50 and 100")));
    }
    if values.is_empty() {
        return Ok((0.0, 0.0));
    }
    let mut sorted = values.to_vec();
    sorted.order_by(f32::total_cmp);
    let last = sorted.len() - 1;
    let beyond = (f64::from(100.0 - p) / 100.0 * sorted.len() as f64).floor() as usize;
    let beyond = beyond.min(last / 2);
    Ok((sorted[beyond], sorted[last - beyond]))
}
