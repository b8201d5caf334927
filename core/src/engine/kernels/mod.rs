//! Kernels, one family per file. Each works on the arena's views, is prepared once (weights
//! packed, offsets computed) and run many times without allocating.
//!
//! Activations of a quantized network are i8 in memory; unsigned 8-bit grids are moved by 128, as
//! ONNX Runtime and TensorFlow Lite do. Inside convolutions and matrix products they are widened to
//! i16 with the zero point taken off, so that padding is 0 and no correction term is needed, and
//! multiplied in pairs (`i32x4.dot_i16x8_s`, `pmaddwd`) into i32 accumulators. Weights of 2 to 8
//! bits are unpacked into i16 panels when the plan is made: these networks' panels fit the cache,
//! and unpacking at every run would cost more than the memory it saves.

pub mod conv_f32;
pub mod conv_i8;
pub mod elementwise;
pub mod fallback;
pub mod fill;
pub mod gemm;
pub mod lanes;
pub mod pool;
pub mod window;

use super::arena::{Element, View};
use crate::model::Grid;
use crate::{Error, Result};

/// A prepared operator.
pub trait Kernel: Send + Sync + std::fmt::Debug {
    /// What runs, for people.
    fn name(&self) -> &'static str;

    /// What it computes in.
    fn dtype(&self) -> Dtype;

    /// Scratch bytes that it needs while it runs.
    fn scratch_bytes(&self) -> usize {
        0
    }

    /// Runs.
    fn run(&self, io: &Io);
}

/// What a tensor or a kernel works in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// Single precision.
    F32,
    /// 8-bit integers with 32-bit sums.
    I8,
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I8 => "int8",
        })
    }
}

/// A kernel's tensors.
#[derive(Debug)]
pub struct Io<'a> {
    base: *mut u8,
    reads: &'a [View],
    writes: &'a [View],
    scratch: View,
}

impl<'a> Io<'a> {
    /// Bundles views of one arena.
    ///
    /// # Safety
    /// `base` is an arena that holds all views; writes and scratch meet no other view, but for a
    /// write that is the very view of a read where the kernel works in place; and nothing else
    /// uses the arena while this lives.
    pub unsafe fn new(base: *mut u8, reads: &'a [View], writes: &'a [View], scratch: View) -> Self {
        Self { base, reads, writes, scratch }
    }

    /// Input `i`. Kernels that may run in place must not hold it beside the output.
    pub fn input<T: Element>(&self, i: usize) -> &'a [T] {
        // SAFETY: by the contract of `new`.
        unsafe { self.reads[i].read(self.base) }
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.reads.len()
    }

    /// Output `i`; to be taken once.
    #[allow(clippy::mut_from_ref)]
    pub fn output<T: Element>(&self, i: usize) -> &'a mut [T] {
        // SAFETY: by the contract of `new`.
        unsafe { self.writes[i].write(self.base) }
    }

    /// Whether output 0 is input `i`'s memory.
    pub fn in_place(&self, i: usize) -> bool {
        self.reads[i].offset == self.writes[0].offset
    }

    /// The scratch memory; to be taken once.
    #[allow(clippy::mut_from_ref)]
    pub fn scratch<T: Element>(&self) -> &'a mut [T] {
        // SAFETY: by the contract of `new`.
        unsafe { self.scratch.write(self.base) }
    }
}

/// An activation's grid as kernels see it: real = scale · (i8 − zero point).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Step.
    pub scale: f32,
    /// The integer of 0.
    pub zero_point: i32,
    /// Smallest integer.
    pub low: i32,
    /// Largest integer.
    pub high: i32,
}

impl Affine {
    /// From a grid of the model.
    ///
    /// # Errors
    /// Several scales, a scale that is not positive, or bits outside 2 to 8.
    pub fn new(tensor: &str, grid: &Grid) -> Result<Self> {
        let (&[scale], &[zero_point]) = (grid.scale.as_slice(), grid.zero_point.as_slice()) else {
            return Err(Error::Unsupported(format!(
                "the activation “{tensor}” has {} scales; activations have one",
                grid.scale.len()
            )));
        };
        if !((2..=8).contains(&grid.bits) && scale.is_finite() && scale > 0.0) {
            return Err(Error::Unsupported(format!(
                "the activation “{tensor}” has a grid of {} bits with scale {scale}; 2 to 8 bits and a positive scale belong there",
                grid.bits
            )));
        }
        let (low, high) = if grid.signed {
            (-(1 << (grid.bits - 1)), (1 << (grid.bits - 1)) - 1)
        } else {
            (0, (1 << grid.bits) - 1)
        };
        if !(low..=high).contains(&zero_point) {
            return Err(Error::Unsupported(format!(
                "the activation “{tensor}” has its zero point {zero_point} outside {low} to {high}"
            )));
        }
        let shift = if high > 127 { 128 } else { 0 };
        Ok(Self { scale, zero_point: zero_point - shift, low: low - shift, high: high - shift })
    }

    /// Nearest integer, halves to even as in ONNX QuantizeLinear, saturating. NaN becomes 0.
    pub fn quantize(&self, x: f32) -> i8 {
        // Adding 1.5 · 2^23 rounds to whole numbers; `f32::round_ties_even` is a call on x86-64.
        const MAGIC: f32 = 12_582_912.0;
        let rounded = ((x / self.scale).clamp(-1e6, 1e6) + MAGIC) - MAGIC;
        (rounded as i32 + self.zero_point).clamp(self.low, self.high) as i8
    }

    /// The real value.
    pub fn dequantize(&self, q: i8) -> f32 {
        (i32::from(q) - self.zero_point) as f32 * self.scale
    }
}

/// x · factor + offset in fixed point: a multiplier of 17 to 31 bits and a right shift (Jacob et al., 2018,
/// arXiv:1712.05877), rounded once, half up, as TensorFlow Lite with `TFLITE_SINGLE_ROUNDING`.
/// The offset carries the bias and the zero point: added before the shift they cost nothing and,
/// unlike a bias of 32 bits at the sums' own scale, are not rounded to coarse steps when weights
/// have few bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rescale {
    /// The factor times 2^shift, below 2^31.
    pub multiplier: i32,
    /// Right shift, 1 to [`Rescale::MAX_SHIFT`].
    pub shift: u32,
    /// What is added before the shift, a half included.
    pub offset: i64,
}

impl Rescale {
    /// More would leave no room for offsets; a sum of 32 bits is then still within 2^−10 of a step.
    pub const MAX_SHIFT: u32 = 40;

    /// The nearest one to x · `factor` + `offset`; `None` where the factor is not finite, negative,
    /// or 2^30 and above, or the offset is not below 2^20.
    pub fn new(factor: f64, offset: f64) -> Option<Self> {
        let fixed = |x: f64, shift: u32| (x * f64::from(shift).exp2()).round() as i64 + (1 << (shift - 1));
        if !((0.0..f64::from(1 << 30)).contains(&factor) && offset.abs() < f64::from(1 << 20)) {
            return None;
        }
        // A shift of 32 is free where there are vectors, and 16 bits of a multiplier put eight bits of output
        // within 2^−9 of a step of where they belong.
        if (f64::from(1 << 16)..=f64::from(i32::MAX)).contains(&(factor * f64::from(32).exp2()).round()) {
            let multiplier = (factor * f64::from(32).exp2()).round() as i32;
            return Some(Self { multiplier, shift: 32, offset: fixed(offset, 32) });
        }
        // factor = mantissa · 2^exponent, mantissa in [0.5, 1).
        let exponent = if factor > 0.0 { factor.log2().floor() as i32 + 1 } else { 0 };
        let mut shift = (31 - exponent).clamp(1, Self::MAX_SHIFT as i32) as u32;
        let mut multiplier = (factor * f64::from(shift).exp2()).round();
        if multiplier > f64::from(i32::MAX) {
            shift -= 1;
            multiplier = (factor * f64::from(shift).exp2()).round();
        }
        Some(Self { multiplier: multiplier as i32, shift, offset: fixed(offset, shift) })
    }

    /// x · factor + offset, rounded.
    pub fn apply(self, x: i32) -> i32 {
        lanes::scale_i32(x, self.multiplier, self.shift, self.offset)
    }
}

/// Where an integer kernel's sums go.
#[derive(Debug, Clone)]
pub enum Finish {
    /// Onto an i8 grid, clamped (ReLU is a clamp).
    I8 {
        /// Sums to integers, bias and zero point included, per output channel.
        rescale: Vec<Rescale>,
        /// Smallest output.
        low: i32,
        /// Largest output.
        high: i32,
    },
    /// Back to reals, clamped.
    F32 {
        /// Sums to reals, per output channel.
        scale: Vec<f32>,
        /// Bias, per output channel.
        bias: Vec<f32>,
        /// Clamp.
        clamp: Clamp,
    },
}

/// Bounds of a fused activation; infinite where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// Lower bound.
    pub low: f32,
    /// Upper bound.
    pub high: f32,
}

impl Clamp {
    /// No bounds.
    pub const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };

    /// Both bounds at once.
    pub fn then(self, other: Self) -> Self {
        let low = self.low.max(other.low).min(other.high);
        Self { low, high: self.high.min(other.high).max(other.low) }
    }

    /// The bounds on a grid.
    pub fn on(self, grid: Affine) -> (i32, i32) {
        // Infinite bounds saturate to the grid's ends.
        (i32::from(grid.quantize(self.low)), i32::from(grid.quantize(self.high)))
    }

    /// Applies it.
    pub fn apply(self, x: f32) -> f32 {
        let x = if x < self.low { self.low } else { x };
        if self.high < x { self.high } else { x }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantizes_as_onnx_does() {
        let grid = Grid { bits: 8, signed: false, axis: None, scale: vec![2.0], zero_point: vec![128] };
        let q = Affine::new("x", &grid).unwrap();
        // QuantizeLinear's own vector: x = [0, 2, 3, 1000, −254, −1000], scale 2, zero point 128.
        let expected = [128, 129, 130, 255, 1, 0];
        for (x, y) in [0.0, 2.0, 3.0, 1000.0, -254.0, -1000.0].into_iter().zip(expected) {
            assert_eq!(i32::from(q.quantize(x)) + 128, y, "{x}");
        }
        assert_eq!(i32::from(q.quantize(1.0)), 0, "a half goes to the even neighbour");
        assert_eq!(q.dequantize(q.quantize(-6.0)), -6.0);
        let wrong = Grid { zero_point: vec![300], ..grid };
        assert!(Affine::new("x", &wrong).unwrap_err().to_string().contains("zero point 300"));
    }

    #[test]
    fn factors_are_exact_to_17_bits() {
        for factor in [1e-9, 1.6e-5, 0.000_3, 0.3, 0.5, 0.999_999_999_9, 1.0, 1.5, 17.25, 1e-20, 0.0] {
            for offset in [0.0, -128.0, 0.25, 77_777.7] {
                let r = Rescale::new(factor, offset).unwrap();
                for x in [0, 1, -1, 3, 1000, -1000, 123_456, -7_654_321] {
                    let exact = f64::from(x) * factor + offset;
                    let error = (f64::from(r.apply(x)) - exact).abs();
                    assert!(
                        error <= 0.5 + 1e-5 + exact.abs() / f64::from(1 << 17),
                        "{x} × {factor} + {offset}"
                    );
                }
            }
        }
        assert_eq!(Rescale::new(f64::NAN, 0.0), None);
        assert_eq!(Rescale::new(-1.0, 0.0), None);
        assert_eq!(Rescale::new(1.0, 1e9), None);
    }
}
