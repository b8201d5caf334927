//! Convolution on integers: i8 activations, weights of up to 8 bits, i32 sums, per-channel
//! fixed-point requantization, bias and clamp fused. Jacob et al., "Quantization and Training of
//! Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018 (arXiv:1712.05877).
//!
//! As [`super::conv_f32`], but two taps at once: i16 pairs are multiplied and summed by one
//! instruction. Pairs are of channels, or of taps one above the other where that leaves fewer
//! holes (a first layer of one channel, depthwise).

use super::fill::Fill;
use super::lanes::{Lanes, Simd};
use super::window::{Group, Pairing, Window};
use super::{Dtype, Finish, Io, Kernel};
use crate::ops::conv::Geometry;

/// Output channels in a register tile.
const ROWS: usize = 4;

/// See the module.
#[derive(Debug, Clone)]
pub struct ConvI8 {
    window: Window,
    geometry: Geometry,
    pairing: Pairing,
    /// How planes of the copy are filled, and the last one of a group where its pair has one channel only;
    /// `None` where rows are long enough to be copied as such.
    fills: Option<[Fill; 2]>,
    zero_point: i32,
    image: usize,
    out_area: usize,
    channels: usize,
    per_group: usize,
    /// Planes of pairs in one group.
    planes: usize,
    /// Per group of channels, block of four outputs: taps × 4 pairs, a pair as one i32.
    weights: Vec<i32>,
    /// Where taps lie, in i16 from the first plane of a group.
    taps: Vec<usize>,
    groups: Vec<Group>,
    finish: Finish,
}

/// Two i16 as one i32, the first in the low half.
pub fn pair(low: i16, high: i16) -> i32 {
    i32::from(low) & 0xffff | i32::from(high) << 16
}

impl ConvI8 {
    /// Prepares a convolution of `x` (N, C, H, W) with zero point `zero_point` by integer
    /// `weights` (their zero point taken off) of shape `w` (O, C / groups, kH, kW). `finish` speaks of O channels. `geometry` must be that of these shapes.
    pub fn new(
        x: &[usize],
        zero_point: i32,
        w: &[usize],
        weights: &[i16],
        geometry: Geometry,
        finish: Finish,
    ) -> Self {
        let (per_group, out_per_group) = (w[1], w[0] / geometry.groups);
        let (kh, kw) = (geometry.kernel[0], geometry.kernel[1]);
        let by_rows = per_group * kh.div_ceil(2) * kw < per_group.div_ceil(2) * kh * kw;
        let pairing = if by_rows { Pairing::Rows } else { Pairing::Channels };
        let planes = if by_rows { per_group } else { per_group.div_ceil(2) };
        let window = Window::new(geometry, planes * geometry.groups, x[2], x[3]);
        // (channel, ky, kx) of both halves of every pair; `None` where there is a hole.
        type Tap = (usize, usize, usize);
        let mut halves: Vec<(Tap, Option<Tap>)> = Vec::new();
        let mut taps = Vec::new();
        for p in 0..planes {
            for ky in (0..kh).step_by(if by_rows { 2 } else { 1 }) {
                for kx in 0..kw {
                    halves.push(if by_rows {
                        ((p, ky, kx), (ky + 1 < kh).then_some((p, ky + 1, kx)))
                    } else {
                        ((2 * p, ky, kx), (2 * p + 1 < per_group).then_some((2 * p + 1, ky, kx)))
                    });
                    taps.push(2 * (p * window.plane_len() + window.offset(ky, kx)));
                }
            }
        }
        let blocks = out_per_group.div_ceil(ROWS);
        let mut packed = Vec::with_capacity(geometry.groups * blocks * taps.len() * ROWS);
        for group in 0..geometry.groups {
            for block in 0..blocks {
                let valid = |m: usize| block * ROWS + m < out_per_group;
                let o = |m: usize| group * out_per_group + block * ROWS + m;
                let at = |m: usize, (c, ky, kx): Tap| weights[((o(m) * per_group + c) * kh + ky) * kw + kx];
                for (a, b) in &halves {
                    packed.extend(
                        (0..ROWS).map(
                            |m| {
                                if valid(m) { pair(at(m, *a), b.map_or(0, |b| at(m, b))) } else { 0 }
                            },
                        ),
                    );
                }
            }
        }
        let area = x[2] * x[3];
        let lone = pairing == Pairing::Rows || per_group == 1;
        let fill = |pair: bool| {
            let source = if pair { 2 * area } else { area };
            Fill::new(&window.sources(pairing, pair), source, zero_point as i16)
        };
        // Where images are large there are few edges, and copying rows is as good.
        let small = area <= 256 && !window.is_plain();
        let fills = if small { fill(!lone).zip(fill(false)).map(|(a, b)| [a, b]) } else { None };
        Self {
            fills,
            groups: window.groups(),
            image: x[1] * x[2] * x[3],
            out_area: geometry.out[0] * geometry.out[1],
            channels: w[0],
            per_group,
            planes,
            weights: packed,
            taps,
            window,
            geometry,
            pairing,
            zero_point,
            finish,
        }
    }

    /// Runs onto an i8 grid with a vector unit of choice; nothing where it finishes in f32.
    /// `copy` is scratch of [`Kernel::scratch_bytes`].
    #[inline(never)]
    pub fn run_i8<L: Lanes>(&self, x: &[i8], out: &mut [i8], copy: &mut [i16]) {
        let Finish::I8 { rescale, low, high } = &self.finish else { return };
        let [low, high] = [*low, *high].map(|bound| L::h_splat(pair(bound as i16, bound as i16)));
        self.images::<L, i8>(x, out, copy, |channel, sums, pair, out| {
            let r = rescale[channel];
            let [a, b] = if r.shift == 32 {
                sums.map(|s| L::i_scale_high(s, r.multiplier, r.offset))
            } else {
                sums.map(|s| L::i_scale(s, r.multiplier, r.shift, r.offset))
            };
            let eight = L::i_narrow(a, b, low, high);
            if pair[0].eight {
                out[pair[0].out..pair[0].out + 8].copy_from_slice(&eight);
            } else {
                for (g, four) in pair.iter().zip(eight.chunks_exact(4)) {
                    out[g.out..g.out + g.len].copy_from_slice(&four[..g.len]);
                }
            }
        });
    }

    /// Runs to reals with a vector unit of choice; nothing where it finishes on integers.
    #[inline(never)]
    pub fn run_f32<L: Lanes>(&self, x: &[i8], out: &mut [f32], copy: &mut [i16]) {
        let Finish::F32 { scale, bias, clamp } = &self.finish else { return };
        self.images::<L, f32>(x, out, copy, |channel, sums, pair, out| {
            for (g, sum) in pair.iter().zip(sums) {
                for (o, s) in out[g.out..g.out + g.len].iter_mut().zip(L::i_array(sum)) {
                    *o = clamp.apply(s as f32 * scale[channel] + bias[channel]);
                }
            }
        });
    }

    /// Copies an image into its window.
    #[inline(always)]
    fn fill<L: Lanes>(&self, image: &[i8], copy: &mut [i16]) {
        let Some([pairs, lone]) = self.fills.as_ref().filter(|_| L::CHOOSES) else {
            return self.window.fill_pairs::<L>(image, self.per_group, self.pairing, self.zero_point, copy);
        };
        let area = self.image / (self.per_group * self.geometry.groups);
        let step = 2 * self.window.plane_len();
        for group in 0..self.geometry.groups {
            for p in 0..self.planes {
                let (within, fill) = match self.pairing {
                    Pairing::Rows => (p, pairs),
                    Pairing::Channels if 2 * p + 1 < self.per_group => (2 * p, pairs),
                    Pairing::Channels => (2 * p, lone),
                };
                // Whole vectors are written: what is too much is the next plane's, or slack behind the last.
                let copy = &mut copy[(group * self.planes + p) * step..];
                fill.run::<L>(&image[(group * self.per_group + within) * area..], copy);
            }
        }
    }

    /// `store(channel, sums, groups, plane of the output)` for every pair of groups.
    #[inline(always)]
    fn images<L: Lanes, T>(
        &self,
        x: &[i8],
        out: &mut [T],
        copy: &mut [i16],
        store: impl Fn(usize, [L::I; 2], &[Group], &mut [T]),
    ) {
        // Every pointer below stays within this length; see `Window`.
        assert!(copy.len() >= 2 * self.window.len());
        let out_per_group = self.channels / self.geometry.groups;
        for (image, out) in
            x.chunks_exact(self.image).zip(out.chunks_exact_mut(self.channels * self.out_area))
        {
            self.fill::<L>(image, copy);
            for group in 0..self.geometry.groups {
                let from = &copy[2 * group * self.planes * self.window.plane_len()..];
                let out = &mut out[group * out_per_group * self.out_area..];
                if out_per_group == 1 {
                    // The usual depthwise kernels, 3 × 3 and 5 × 5 in pairs, with their taps in registers.
                    match self.taps.len() {
                        6 => self.single::<L, T, 6>(from, out, group, &store),
                        15 => self.single::<L, T, 15>(from, out, group, &store),
                        _ => self.block::<L, T, 1>(from, out, group, 0, &store),
                    }
                } else {
                    for block in 0..out_per_group.div_ceil(ROWS) {
                        self.block::<L, T, ROWS>(from, out, group, block, &store);
                    }
                }
            }
        }
    }

    /// The only output channel of a group, by `N` pairs of taps, everywhere.
    #[inline(always)]
    fn single<L: Lanes, T, const N: usize>(
        &self,
        from: &[i16],
        out: &mut [T],
        group: usize,
        store: &impl Fn(usize, [L::I; 2], &[Group], &mut [T]),
    ) {
        let weights = &self.weights[group * N * ROWS..][..N * ROWS];
        let weights: [L::H; N] = std::array::from_fn(|t| L::h_splat(weights[t * ROWS]));
        let taps: [usize; N] = std::array::from_fn(|t| self.taps[t]);
        let out = &mut out[..self.out_area];
        for pair in self.groups.chunks_exact(2) {
            // SAFETY: as in `block`.
            let sums = [0, 1].map(|i| unsafe {
                let base = from.as_ptr().add(2 * pair[i].base);
                let mut sum = L::h_dot(L::h_load(base.add(taps[0])), weights[0]);
                for t in 1..N {
                    sum = L::i_add(sum, L::h_dot(L::h_load(base.add(taps[t])), weights[t]));
                }
                sum
            });
            store(group, sums, pair, out);
        }
    }

    /// `M` output channels of one image, everywhere.
    #[inline(always)]
    fn block<L: Lanes, T, const M: usize>(
        &self,
        from: &[i16],
        out: &mut [T],
        group: usize,
        block: usize,
        store: &impl Fn(usize, [L::I; 2], &[Group], &mut [T]),
    ) {
        let out_per_group = self.channels / self.geometry.groups;
        let index = group * out_per_group.div_ceil(ROWS) + block;
        let weights = &self.weights[index * self.taps.len() * ROWS..][..self.taps.len() * ROWS];
        let rows = M.min(out_per_group - block * ROWS);
        for pair in self.groups.chunks_exact(2) {
            let mut sums: [[L::I; 2]; M] = [[L::i_splat(0); 2]; M];
            let (a, b) = (2 * pair[0].base, 2 * pair[1].base);
            for (t, w) in self.taps.iter().zip(weights.chunks_exact(ROWS)) {
                // SAFETY: taps and bases are made by `Window` for a copy of the length asserted in
                // `images`, four pairs of slack included.
                let (xa, xb) =
                    unsafe { (L::h_load(from.as_ptr().add(t + a)), L::h_load(from.as_ptr().add(t + b))) };
                for (sum, w) in sums.iter_mut().zip(w) {
                    let w = L::h_splat(*w);
                    sum[0] = L::i_add(sum[0], L::h_dot(xa, w));
                    sum[1] = L::i_add(sum[1], L::h_dot(xb, w));
                }
            }
            for (m, sum) in sums.iter().enumerate().take(rows) {
                let within = block * ROWS + m;
                let plane = &mut out[within * self.out_area..][..self.out_area];
                store(group * out_per_group + within, *sum, pair, plane);
            }
        }
    }
}

impl Kernel for ConvI8 {
    fn name(&self) -> &'static str {
        if self.per_group == 1 && self.geometry.groups > 1 { "conv depthwise" } else { "conv" }
    }
    fn dtype(&self) -> Dtype {
        Dtype::I8
    }
    fn scratch_bytes(&self) -> usize {
        2 * 2 * self.window.len()
    }
    fn run(&self, io: &Io) {
        match self.finish {
            Finish::I8 { .. } => self.run_i8::<Simd>(io.input(0), io.output(0), io.scratch()),
            Finish::F32 { .. } => self.run_f32::<Simd>(io.input(0), io.output(0), io.scratch()),
        }
    }
}
