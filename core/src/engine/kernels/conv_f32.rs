//! Convolution in f32: dense, grouped and depthwise, with bias and a clamp fused.
//!
//! Four output channels by eight neighbouring outputs at a time, summed over all taps from the
//! padded copy of [`super::window`] (implicit im2col: no matrix of patches is ever written). A
//! 1 × 1 convolution without stride reads its input directly.

use super::lanes::{Lanes, Simd};
use super::window::{Group, Window};
use super::{Clamp, Dtype, Io, Kernel};
use crate::ops::conv::Geometry;

/// Output channels in a register tile.
const ROWS: usize = 4;

/// See the module.
#[derive(Debug, Clone)]
pub struct ConvF32 {
    window: Window,
    geometry: Geometry,
    /// Elements of one image, in and out of it.
    image: usize,
    area: usize,
    out_area: usize,
    channels: usize,
    per_group: usize,
    /// Whether the input can be read without a copy.
    direct: bool,
    /// Per group of channels, block of four outputs: taps × 4 weights.
    weights: Vec<f32>,
    /// Per output channel, padded to whole blocks within each group.
    bias: Vec<f32>,
    /// Where taps lie, from the first plane of a group.
    taps: Vec<usize>,
    groups: Vec<Group>,
    clamp: Clamp,
}

impl ConvF32 {
    /// Prepares a convolution of `x` (N, C, H, W) by `weights` of shape `w` (O, C / groups, kH,
    /// kW). `bias` has O values. `geometry` must be that of these shapes.
    pub fn new(
        x: &[usize],
        w: &[usize],
        weights: &[f32],
        bias: &[f32],
        geometry: Geometry,
        clamp: Clamp,
    ) -> Self {
        let (per_group, out_per_group) = (w[1], w[0] / geometry.groups);
        let (kh, kw) = (geometry.kernel[0], geometry.kernel[1]);
        let window = Window::new(geometry, x[1], x[2], x[3]);
        let area = x[2] * x[3];
        let direct = geometry.kernel == [1, 1]
            && geometry.strides == [1, 1]
            && geometry.pads == [0; 4]
            && area.is_multiple_of(4);
        let mut taps = Vec::with_capacity(per_group * kh * kw);
        for c in 0..per_group {
            for ky in 0..kh {
                taps.extend((0..kw).map(|kx| c * window.plane_len() + window.offset(ky, kx)));
            }
        }
        let blocks = out_per_group.div_ceil(ROWS);
        let mut packed = Vec::with_capacity(geometry.groups * blocks * taps.len() * ROWS);
        let mut padded_bias = Vec::with_capacity(geometry.groups * blocks * ROWS);
        for group in 0..geometry.groups {
            for block in 0..blocks {
                let row = |m: usize| block * ROWS + m;
                let valid = |m: usize| row(m) < out_per_group;
                let o = |m: usize| group * out_per_group + row(m);
                for t in 0..taps.len() {
                    packed.extend(
                        (0..ROWS).map(|m| if valid(m) { weights[o(m) * taps.len() + t] } else { 0.0 }),
                    );
                }
                padded_bias.extend((0..ROWS).map(|m| if valid(m) { bias[o(m)] } else { 0.0 }));
            }
        }
        Self {
            groups: window.groups(),
            image: x[1] * area,
            area,
            out_area: geometry.out[0] * geometry.out[1],
            channels: w[0],
            per_group,
            direct,
            weights: packed,
            bias: padded_bias,
            taps,
            clamp,
            window,
            geometry,
        }
    }

    /// Runs with a vector unit of choice. `copy` is scratch of [`Kernel::scratch_bytes`].
    #[inline(never)]
    pub fn run_with<L: Lanes>(&self, x: &[f32], out: &mut [f32], copy: &mut [f32]) {
        let plane = if self.direct { self.area } else { self.window.plane_len() };
        // Every pointer below stays within these lengths; see `Window`.
        assert!(self.direct || copy.len() >= self.window.len());
        for (image, out) in
            x.chunks_exact(self.image).zip(out.chunks_exact_mut(self.channels * self.out_area))
        {
            let source = if self.direct {
                image
            } else {
                self.window.fill_f32(image, copy);
                &*copy
            };
            let out_per_group = self.channels / self.geometry.groups;
            for group in 0..self.geometry.groups {
                let from = &source[group * self.per_group * plane..];
                let out = &mut out[group * out_per_group * self.out_area..][..out_per_group * self.out_area];
                if out_per_group == 1 {
                    self.block::<L, 1>(from, out, group, 0);
                } else {
                    for block in 0..out_per_group.div_ceil(ROWS) {
                        self.block::<L, ROWS>(from, out, group, block);
                    }
                }
            }
        }
    }

    /// `M` output channels of one image, everywhere.
    #[inline(always)]
    fn block<L: Lanes, const M: usize>(&self, from: &[f32], out: &mut [f32], group: usize, block: usize) {
        let out_per_group = self.channels / self.geometry.groups;
        let index = group * out_per_group.div_ceil(ROWS) + block;
        let weights = &self.weights[index * self.taps.len() * ROWS..][..self.taps.len() * ROWS];
        let bias = &self.bias[index * ROWS..][..ROWS];
        let rows = M.min(out_per_group - block * ROWS);
        let (low, high) = (L::f_splat(self.clamp.low), L::f_splat(self.clamp.high));
        for pair in self.groups.chunks_exact(2) {
            let mut sums: [[L::F; 2]; M] = std::array::from_fn(|m| [L::f_splat(bias[m]); 2]);
            let (a, b) = (pair[0].base, pair[1].base);
            for (t, w) in self.taps.iter().zip(weights.chunks_exact(ROWS)) {
                // SAFETY: taps and bases are made by `Window` for a copy of the length asserted in
                // `run_with`, four elements of slack included; a direct input has no partial group.
                let (xa, xb) =
                    unsafe { (L::f_load(from.as_ptr().add(t + a)), L::f_load(from.as_ptr().add(t + b))) };
                for (sum, w) in sums.iter_mut().zip(w) {
                    let w = L::f_splat(*w);
                    sum[0] = L::f_add(sum[0], L::f_mul(xa, w));
                    sum[1] = L::f_add(sum[1], L::f_mul(xb, w));
                }
            }
            for (m, sum) in sums.iter().enumerate().take(rows) {
                for (g, sum) in pair.iter().zip(sum) {
                    let sum = L::f_min(L::f_max(*sum, low), high);
                    let to = &mut out[(block * ROWS + m) * self.out_area + g.out..][..g.len];
                    if to.len() == 4 {
                        // SAFETY: four elements, just checked.
                        unsafe { L::f_store(to.as_mut_ptr(), sum) };
                    } else {
                        let mut four = [0.0; 4];
                        // SAFETY: four elements.
                        unsafe { L::f_store(four.as_mut_ptr(), sum) };
                        to.copy_from_slice(&four[..to.len()]);
                    }
                }
            }
        }
    }
}

impl Kernel for ConvF32 {
    fn name(&self) -> &'static str {
        if self.direct {
            "conv 1×1"
        } else if self.per_group == 1 && self.geometry.groups > 1 {
            "conv depthwise"
        } else {
            "conv"
        }
    }
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn scratch_bytes(&self) -> usize {
        if self.direct { 0 } else { 4 * self.window.len() }
    }
    fn run(&self, io: &Io) {
        self.run_with::<Simd>(io.input(0), io.output(0), io.scratch());
    }
}
