//! Affine arithmetic: real = scale · (integer − zero point).
//!
//! Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
//! Inference", CVPR 2018 (arXiv:1712.05877), with the rounding of ONNX QuantizeLinear: half to even,
//! then saturation. One scale for a tensor, or one per index of an axis; 2 to 8 bits.

use crate::model::{Grid, Packed};
use crate::{Error, Result};

/// Smallest and largest integer of so many bits.
pub fn limits(bits: u8, signed: bool) -> (i32, i32) {
    let bits = u32::from(bits.clamp(1, 16));
    if signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

/// The grid of one scale that covers `low..=high`, as (scale, zero point). Zero is always on it
/// exactly, so that padding and pruned weights stay zero.
///
/// * symmetric: signed integers, zero point 0, the larger side of the range on ±(2^(b−1)−1);
/// * asymmetric: unsigned integers, the range (stretched to include 0) on 0 ..= 2^b−1.
///
/// # Errors
/// The range is not finite.
pub fn fit(low: f32, high: f32, bits: u8, symmetric: bool) -> Result<(f32, i32)> {
    if !low.is_finite() || !high.is_finite() {
        return Err(Error::Numeric(format!(
            "values from {low} to {high} cannot be quantized: they must be finite"
        )));
    }
    let (low, high) = (low.min(0.0), high.max(0.0));
    // A tensor of zeros, or one whose scale would vanish in f32, keeps a harmless grid.
    let usable = |scale: f32| if scale.is_normal() { scale } else { 1.0 };
    if symmetric {
        let (_, top) = limits(bits, true);
        return Ok((usable(high.max(-low) / top as f32), 0));
    }
    let (_, top) = limits(bits, false);
    // In f32, as ONNX DynamicQuantizeLinear; the width of the widest ranges exceeds it.
    let width = high - low;
    let scale = if width.is_finite() { width / top as f32 } else { high / top as f32 - low / top as f32 };
    let scale = usable(scale);
    let zero_point = (-low / scale).round_ties_even() as i32;
    Ok((scale, zero_point.clamp(0, top)))
}

/// A grid with one scale for the whole tensor, over a range; see [`fit`].
///
/// # Errors
/// The range is not finite.
pub fn per_tensor(low: f32, high: f32, bits: u8, symmetric: bool) -> Result<Grid> {
    let (scale, zero_point) = fit(low, high, bits, symmetric)?;
    Ok(Grid { bits, signed: symmetric, axis: None, scale: vec![scale], zero_point: vec![zero_point] })
}

/// A grid with a scale for each index of `axis`, over as many ranges; see [`fit`].
///
/// # Errors
/// A range is not finite.
pub fn per_channel(ranges: &[(f32, f32)], axis: usize, bits: u8, symmetric: bool) -> Result<Grid> {
    let fitted: Result<Vec<_>> = ranges.iter().map(|(l, h)| fit(*l, *h, bits, symmetric)).collect();
    let (scale, zero_point) = fitted?.into_iter().unzip();
    Ok(Grid { bits, signed: symmetric, axis: Some(axis), scale, zero_point })
}

/// Checks that a grid can be used with a tensor of this shape.
///
/// # Errors
/// Bits outside 2 to 8, a wrong number of scales or zero points, a scale that is not positive, a
/// zero point outside the integers, an axis outside the rank.
pub fn check(grid: &Grid, shape: &[usize]) -> Result<()> {
    let wrong = |message: String| Err(Error::Numeric(format!("a quantization grid {message}")));
    if !(2..=8).contains(&grid.bits) {
        return wrong(format!("has {} bits where 2 to 8 belong", grid.bits));
    }
    let count = match grid.axis {
        None => 1,
        Some(axis) => match shape.get(axis) {
            Some(len) => *len,
            None => return wrong(format!("has scales along axis {axis} of a tensor of shape {shape:?}")),
        },
    };
    if grid.scale.len() != count || grid.zero_point.len() != count {
        return wrong(format!(
            "has {} scales and {} zero points where {count} belong",
            grid.scale.len(),
            grid.zero_point.len()
        ));
    }
    if let Some(scale) = grid.scale.iter().find(|s| !s.is_finite() || **s <= 0.0) {
        return wrong(format!("has the scale {scale}; scales are above 0"));
    }
    let (low, high) = limits(grid.bits, grid.signed);
    match grid.zero_point.iter().find(|z| !(low..=high).contains(*z)) {
        Some(z) => wrong(format!("has the zero point {z} outside {low} to {high}")),
        None => Ok(()),
    }
}

/// One integer: saturate(round half to even(x / scale) + zero point). NaN becomes the zero point.
#[inline]
pub fn quantize_one(x: f32, scale: f32, zero_point: i32, low: i32, high: i32) -> i32 {
    // The cast saturates; so does the sum. Clamping comes last, as in the standard.
    ((x / scale).round_ties_even() as i32).saturating_add(zero_point).clamp(low, high)
}

/// One real value.
#[inline]
pub fn dequantize_one(q: i32, scale: f32, zero_point: i32) -> f32 {
    scale * (q - zero_point) as f32
}

/// Calls `f(i, scale, zero point)` for every element of a row-major tensor.
fn for_each(grid: &Grid, shape: &[usize], mut f: impl FnMut(usize, f32, i32)) {
    let n: usize = shape.iter().product();
    let at = |c: usize| (grid.scale.get(c).copied(), grid.zero_point.get(c).copied());
    let (inner, len) = match grid.axis {
        Some(axis) if axis < shape.len() => (shape[axis + 1..].iter().product::<usize>(), shape[axis]),
        _ => (n.max(1), 1),
    };
    let mut i = 0;
    while i < n {
        let (scale, zero_point) = at(i / inner % len);
        let (scale, zero_point) = (scale.unwrap_or(1.0), zero_point.unwrap_or(0));
        for j in i..i + inner {
            f(j, scale, zero_point);
        }
        i += inner;
    }
}

/// The integers of a row-major tensor.
pub fn quantize(values: &[f32], shape: &[usize], grid: &Grid) -> Vec<i32> {
    let (low, high) = limits(grid.bits, grid.signed);
    let mut out = Vec::with_capacity(values.len());
    for_each(grid, shape, |i, scale, zp| {
        out.push(quantize_one(values.get(i).copied().unwrap_or(0.0), scale, zp, low, high));
    });
    out
}

/// The real values of unpacked integers.
pub fn dequantize_ints(ints: &[i32], shape: &[usize], grid: &Grid) -> Vec<f32> {
    let mut out = Vec::with_capacity(ints.len());
    for_each(grid, shape, |i, scale, zp| {
        out.push(dequantize_one(ints.get(i).copied().unwrap_or(zp), scale, zp));
    });
    out
}

/// The real values of packed integers.
pub fn dequantize(packed: &Packed, shape: &[usize]) -> Vec<f32> {
    dequantize_ints(&unpack(packed, shape.iter().product()), shape, &packed.grid)
}

/// Every value moved to the nearest point of the grid: what a quantized tensor is worth in f32.
pub fn fake(values: &[f32], shape: &[usize], grid: &Grid) -> Vec<f32> {
    dequantize_ints(&quantize(values, shape, grid), shape, grid)
}

/// Packs integers of `grid.bits` bits: two's complement, little-endian within and across bytes,
/// without gaps, so that 3-bit integers take 3 bits.
pub fn pack(ints: &[i32], grid: Grid) -> Packed {
    let bits = usize::from(grid.bits);
    let mut bytes = vec![0u8; (ints.len() * bits).div_ceil(8)];
    let keep = (1u32 << bits) - 1;
    for (i, q) in ints.iter().enumerate() {
        let at = i * bits;
        let field = (*q as u32 & keep) << (at % 8);
        bytes[at / 8] |= field as u8;
        if let Some(next) = bytes.get_mut(at / 8 + 1) {
            *next |= (field >> 8) as u8;
        }
    }
    Packed { grid, bytes }
}

/// The integers of packed bytes; bytes that are missing read as 0.
pub fn unpack(packed: &Packed, len: usize) -> Vec<i32> {
    let bits = usize::from(packed.grid.bits.clamp(1, 8));
    let byte = |i: usize| u32::from(packed.bytes.get(i).copied().unwrap_or(0));
    (0..len)
        .map(|i| {
            let at = i * bits;
            let field = (byte(at / 8) | byte(at / 8 + 1) << 8) >> (at % 8) & ((1 << bits) - 1);
            // Shifting to the top and back extends the sign.
            if packed.grid.signed { (field << (32 - bits)) as i32 >> (32 - bits) } else { field as i32 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn packing_is_a_bijection() {
        let mut rng = Rng::new(1);
        for bits in 2..=8 {
            for signed in [false, true] {
                let (low, high) = limits(bits, signed);
                for len in [0, 1, 7, 8, 33] {
                    let mut ints: Vec<i32> =
                        (0..len).map(|_| low + rng.below((high - low + 1) as usize) as i32).collect();
                    if len > 1 {
                        (ints[0], ints[1]) = (low, high);
                    }
                    let grid = Grid { bits, signed, axis: None, scale: vec![1.0], zero_point: vec![0] };
                    let packed = pack(&ints, grid);
                    assert_eq!(packed.bytes.len(), (len * usize::from(bits)).div_ceil(8));
                    assert_eq!(unpack(&packed, len), ints, "{bits} bits, signed {signed}");
                    // And back: the bytes are a function of the integers alone.
                    assert_eq!(pack(&unpack(&packed, len), packed.grid.clone()), packed);
                }
            }
        }
    }

    #[test]
    fn errors_stay_within_half_a_step_and_zero_is_exact() {
        let mut rng = Rng::new(2);
        for bits in 2..=8 {
            for symmetric in [false, true] {
                for _ in 0..50 {
                    let (a, b) = (rng.normal() * 3.0, rng.normal() * 3.0);
                    let (low, high) = (a.min(b), a.max(b));
                    let grid = per_tensor(low, high, bits, symmetric).unwrap();
                    check(&grid, &[1]).unwrap();
                    assert_eq!(fake(&[0.0], &[1], &grid), [0.0], "{grid:?}");
                    let values: Vec<f32> = (0..64).map(|_| rng.uniform(low, high)).collect();
                    // The zero point is rounded, so an asymmetric grid may miss one end of its
                    // range by up to half a step: those values err by up to a step.
                    let edge = grid.scale[0] * 0.5;
                    for (x, y) in values.iter().zip(fake(&values, &[64], &grid)) {
                        let inside = symmetric || (*x > low.min(0.0) + edge && *x < high.max(0.0) - edge);
                        let bound = grid.scale[0] * if inside { 0.5 } else { 1.0 };
                        assert!((x - y).abs() <= bound * 1.0001, "{x} {y} {grid:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn each_channel_has_its_scale() {
        let grid = per_channel(&[(-1.0, 1.0), (-127.0, 10.0)], 1, 8, true).unwrap();
        let q = quantize(&[1.0, 127.0, -1.0, -3.5], &[2, 2], &grid);
        assert_eq!(q, [127, 127, -127, -4]); // −3.5 goes to the even neighbour
        let packed = pack(&q, grid);
        let back = dequantize(&packed, &[2, 2]);
        assert!((back[0] - 1.0).abs() < 1e-6 && back[1] == 127.0 && back[3] == -4.0, "{back:?}");
    }

    #[test]
    fn saturates_rounds_half_to_even_and_refuses_what_is_not_finite() {
        assert_eq!(quantize_one(0.5, 1.0, 0, -128, 127), 0);
        assert_eq!(quantize_one(1.5, 1.0, 0, -128, 127), 2);
        assert_eq!(quantize_one(-2.5, 1.0, 0, -128, 127), -2);
        assert_eq!(quantize_one(f32::INFINITY, 1.0, 7, 0, 255), 255);
        assert_eq!(quantize_one(f32::MIN, 1.0, 7, 0, 255), 0);
        assert_eq!(quantize_one(f32::NAN, 1.0, 7, 0, 255), 7);
        assert!(fit(f32::NAN, 1.0, 8, true).is_err() && fit(0.0, f32::INFINITY, 8, false).is_err());
        assert_eq!(fit(0.0, 0.0, 8, false).unwrap(), (1.0, 0));
        let (scale, _) = fit(f32::MIN, f32::MAX, 8, false).unwrap();
        assert!(scale.is_finite());
        let mut grid = per_tensor(-1.0, 1.0, 8, true).unwrap();
        grid.scale[0] = 0.0;
        assert!(check(&grid, &[2]).unwrap_err().to_string().contains("scale 0"));
    }
}
