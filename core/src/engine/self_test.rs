//! The vector kernels against their scalar twins, on random shapes: natively by `cargo test`, and
//! in the browser by calling [`self_test`], because no native test runs Wasm's instructions.

use super::kernels::conv_f32::ConvF32;
use super::kernels::conv_i8::ConvI8;
use super::kernels::gemm::{GemmF32, GemmI8};
use super::kernels::lanes::{Lanes, Scalar, Simd};
use super::kernels::{Clamp, Finish, Kernel, Rescale};
use crate::ops::conv::Geometry;
use crate::rng::Rng;
use crate::{Error, Result};

/// Rounds of every kernel.
const ROUNDS: usize = 60;

/// Runs every kernel with vectors and without and compares: integers exactly, reals to 1e-5 of the
/// largest value.
///
/// # Errors
/// Names the kernel, the shape and the first value that differs. The engine must not be trusted
/// then.
pub fn self_test() -> Result<()> {
    let mut rng = Rng::stream(0, "engine self-test");
    for _ in 0..ROUNDS {
        scaling(&mut rng)?;
        conv(&mut rng)?;
        gemm(&mut rng)?;
    }
    Ok(())
}

/// What the vectors are, for people: `SIMD128`, `SSE2`, or `scalar` where there are none.
pub fn vector_unit() -> &'static str {
    Simd::NAME
}

fn differ(kernel: &str, shape: &str, i: usize, a: f64, b: f64) -> Error {
    Error::Numeric(format!(
        "the engine's self-test failed: {kernel} of {shape}: value {i} is {a} with {} and {b} without",
        Simd::NAME
    ))
}

fn equal<T: Copy + PartialEq + Into<f64>>(kernel: &str, shape: &str, a: &[T], b: &[T]) -> Result<()> {
    match a.iter().zip(b).position(|(a, b)| a != b) {
        Some(i) => Err(differ(kernel, shape, i, a[i].into(), b[i].into())),
        None => Ok(()),
    }
}

fn close(kernel: &str, shape: &str, a: &[f32], b: &[f32]) -> Result<()> {
    let scale = b.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    let apart = |a: f32, b: f32| a.is_nan() || b.is_nan() || (a - b).abs() > 1e-5 * scale;
    match a.iter().zip(b).position(|(a, b)| apart(*a, *b)) {
        Some(i) => Err(differ(kernel, shape, i, a[i].into(), b[i].into())),
        None => Ok(()),
    }
}

fn reals(n: usize, rng: &mut Rng) -> Vec<f32> {
    (0..n).map(|_| rng.normal()).collect()
}

fn bytes(n: usize, rng: &mut Rng) -> Vec<i8> {
    (0..n).map(|_| rng.next_u64() as i8).collect()
}

fn weights(n: usize, rng: &mut Rng) -> Vec<i16> {
    (0..n).map(|_| rng.below(256) as i16 - 128).collect()
}

/// Finishes onto a grid and to reals, for `outputs` channels.
fn finishes(outputs: usize, rng: &mut Rng) -> Result<[Finish; 2]> {
    let rescale: Option<Vec<Rescale>> = (0..outputs)
        .map(|_| {
            let factor = f64::from(rng.uniform(-14.0, 1.0)).exp2();
            Rescale::new(factor, f64::from(rng.uniform(-200.0, 200.0)))
        })
        .collect();
    let rescale =
        rescale.ok_or_else(|| Error::Numeric("a factor of the self-test is out of range".into()))?;
    let low = rng.below(128) as i32 - 128;
    let scale = (0..outputs).map(|_| rng.uniform(1e-4, 1e-2)).collect();
    let clamp = Clamp { low: -1.0, high: 6.0 };
    Ok([Finish::I8 { rescale, low, high: 127 }, Finish::F32 { scale, bias: reals(outputs, rng), clamp }])
}

fn scaling(rng: &mut Rng) -> Result<()> {
    let x: [i32; 4] = std::array::from_fn(|_| rng.next_u64() as i32);
    let (multiplier, shift) = (rng.below(1 << 31) as i32, 1 + rng.below(62) as u32);
    let offset = (rng.next_u64() as i64) >> (3 + rng.below(40));
    // SAFETY: four values.
    let v = unsafe { Simd::i_load(x.as_ptr()) };
    let a = Simd::i_array(Simd::i_scale(v, multiplier, shift, offset));
    let b = Scalar::i_scale(x, multiplier, shift, offset);
    equal("fixed-point scaling", &format!("{x:?} × {multiplier} >> {shift}"), &a, &b)
}

fn conv(rng: &mut Rng) -> Result<()> {
    let groups = [1, 1, 2, 5][rng.below(4)];
    let (per_group, out_per_group) = if groups == 5 { (1, 1) } else { (1 + rng.below(5), 1 + rng.below(6)) };
    let (c, o) = (groups * per_group, groups * out_per_group);
    let mut two = |low: usize, n: usize| [low + rng.below(n), low + rng.below(n)];
    let (kernel, strides, dilations) = (two(1, 3), two(1, 2), two(1, 2));
    let (size, [top, left], [bottom, right]) = (two(5, 6), two(0, 2), two(0, 2));
    let pads = [top, left, bottom, right];
    let out = [0, 1]
        .map(|i| (size[i] + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilations[i] - 1) / strides[i] + 1);
    let g = Geometry { groups, kernel, strides, dilations, pads, out };
    let (x, w) = ([2, c, size[0], size[1]], [o, per_group, kernel[0], kernel[1]]);
    let (n, m) = (x.iter().product(), w.iter().product());
    let len = 2 * o * out[0] * out[1];
    let shape = format!("{x:?} by {w:?}, {g:?}");

    let float = ConvF32::new(&x, &w, &reals(m, rng), &reals(o, rng), g, Clamp { low: 0.0, high: 6.0 });
    let input = reals(n, rng);
    let mut scratch = vec![0.0; float.scratch_bytes() / 4];
    let (mut a, mut b) = (vec![f32::NAN; len], vec![f32::NAN; len]);
    float.run_with::<Simd>(&input, &mut a, &mut scratch);
    float.run_with::<Scalar>(&input, &mut b, &mut scratch);
    close("convolution", &shape, &a, &b)?;

    let (input, ints, zero) = (bytes(n, rng), weights(m, rng), rng.below(256) as i32 - 128);
    let [on_grid, to_reals] = finishes(o, rng)?;
    let kernel = ConvI8::new(&x, zero, &w, &ints, g, on_grid);
    let mut scratch = vec![0; kernel.scratch_bytes() / 2];
    let (mut p, mut q) = (vec![0; len], vec![1; len]);
    kernel.run_i8::<Simd>(&input, &mut p, &mut scratch);
    kernel.run_i8::<Scalar>(&input, &mut q, &mut scratch);
    equal("integer convolution", &shape, &p, &q)?;
    let kernel = ConvI8::new(&x, zero, &w, &ints, g, to_reals);
    kernel.run_f32::<Simd>(&input, &mut a, &mut scratch);
    kernel.run_f32::<Scalar>(&input, &mut b, &mut scratch);
    close("integer convolution to reals", &shape, &a, &b)
}

fn gemm(rng: &mut Rng) -> Result<()> {
    let [rows, outputs, features] = [1 + rng.below(9), 1 + rng.below(20), 1 + rng.below(70)];
    let shape = format!("{rows} × {features} by {outputs}");
    let (n, m, len) = (rows * features, outputs * features, rows * outputs);
    let float = GemmF32::new(outputs, features, &reals(m, rng), &reals(outputs, rng), Clamp::NONE);
    let input = reals(n, rng);
    let (mut a, mut b) = (vec![f32::NAN; len], vec![f32::NAN; len]);
    float.run_with::<Simd>(&input, &mut a);
    float.run_with::<Scalar>(&input, &mut b);
    close("matrix product", &shape, &a, &b)?;

    let (input, ints, zero) = (bytes(n, rng), weights(m, rng), rng.below(256) as i32 - 128);
    let [on_grid, to_reals] = finishes(outputs, rng)?;
    let kernel = GemmI8::new([rows, outputs, features], zero, &ints, on_grid);
    let mut scratch = vec![0; kernel.scratch_bytes() / 2];
    let (mut p, mut q) = (vec![0; len], vec![1; len]);
    kernel.run_i8::<Simd>(&input, &mut p, &mut scratch);
    kernel.run_i8::<Scalar>(&input, &mut q, &mut scratch);
    equal("integer matrix product", &shape, &p, &q)?;
    let kernel = GemmI8::new([rows, outputs, features], zero, &ints, to_reals);
    kernel.run_f32::<Simd>(&input, &mut a, &mut scratch);
    kernel.run_f32::<Scalar>(&input, &mut b, &mut scratch);
    close("integer matrix product to reals", &shape, &a, &b)
}

#[cfg(test)]
mod tests {
    #[test]
    fn vectors_and_scalars_agree() {
        super::self_test().unwrap();
    }
}
