//! Matrix products with constant weights: rows (samples) by outputs, bias and clamp fused; f32 and
//! integers. Outputs lie in lanes, so weights are packed in panels of eight outputs.

use super::conv_i8::pair;
use super::lanes::{Lanes, Simd};
use super::{Clamp, Dtype, Finish, Io, Kernel};

/// Outputs in a panel.
const PANEL: usize = 8;
/// Rows in a register tile.
const ROWS: usize = 4;

/// x · Wᵀ + b in f32.
#[derive(Debug, Clone)]
pub struct GemmF32 {
    features: usize,
    outputs: usize,
    /// Per panel: features × 8.
    weights: Vec<f32>,
    bias: Vec<f32>,
    clamp: Clamp,
}

impl GemmF32 {
    /// `weights` of shape (outputs, features), `bias` of `outputs` values.
    pub fn new(outputs: usize, features: usize, weights: &[f32], bias: &[f32], clamp: Clamp) -> Self {
        let panels = outputs.div_ceil(PANEL);
        let mut packed = Vec::with_capacity(panels * features * PANEL);
        for panel in 0..panels {
            for k in 0..features {
                packed.extend((0..PANEL).map(|j| {
                    let o = panel * PANEL + j;
                    if o < outputs { weights[o * features + k] } else { 0.0 }
                }));
            }
        }
        let mut bias = bias.to_vec();
        bias.resize(panels * PANEL, 0.0);
        Self { features, outputs, weights: packed, bias, clamp }
    }

    /// Runs with a vector unit of choice on (rows, features).
    #[inline(never)]
    pub fn run_with<L: Lanes>(&self, x: &[f32], out: &mut [f32]) {
        let rows = x.len() / self.features.max(1);
        let whole = rows / ROWS * ROWS;
        for row in (0..whole).step_by(ROWS) {
            self.rows::<L, ROWS>(&x[row * self.features..], &mut out[row * self.outputs..]);
        }
        for row in whole..rows {
            self.rows::<L, 1>(&x[row * self.features..], &mut out[row * self.outputs..]);
        }
    }

    #[inline(always)]
    fn rows<L: Lanes, const M: usize>(&self, x: &[f32], out: &mut [f32]) {
        let k = self.features;
        let x: [&[f32]; M] = std::array::from_fn(|m| &x[m * k..(m + 1) * k]);
        let (low, high) = (L::f_splat(self.clamp.low), L::f_splat(self.clamp.high));
        let panels = self.weights.chunks_exact((k * PANEL).max(1)).zip(self.bias.chunks_exact(PANEL));
        for (panel, (weights, bias)) in panels.enumerate() {
            // SAFETY: a panel's bias and every step of its weights have eight elements.
            let start = unsafe { [L::f_load(bias.as_ptr()), L::f_load(bias.as_ptr().add(4))] };
            let mut sums = [start; M];
            for (i, w) in weights.chunks_exact(PANEL).enumerate() {
                // SAFETY: as above.
                let w = unsafe { [L::f_load(w.as_ptr()), L::f_load(w.as_ptr().add(4))] };
                for (sum, x) in sums.iter_mut().zip(&x) {
                    let x = L::f_splat(x[i]);
                    sum[0] = L::f_add(sum[0], L::f_mul(x, w[0]));
                    sum[1] = L::f_add(sum[1], L::f_mul(x, w[1]));
                }
            }
            let len = PANEL.min(self.outputs - panel * PANEL);
            for (m, sum) in sums.iter().enumerate() {
                let mut eight = [0.0; PANEL];
                // SAFETY: eight elements.
                unsafe {
                    L::f_store(eight.as_mut_ptr(), L::f_min(L::f_max(sum[0], low), high));
                    L::f_store(eight.as_mut_ptr().add(4), L::f_min(L::f_max(sum[1], low), high));
                }
                out[m * self.outputs + panel * PANEL..][..len].copy_from_slice(&eight[..len]);
            }
        }
    }
}

impl Kernel for GemmF32 {
    fn name(&self) -> &'static str {
        "gemm"
    }
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn run(&self, io: &Io) {
        self.run_with::<Simd>(io.input(0), io.output(0));
    }
}

/// x · Wᵀ + b on integers; see [`super::conv_i8`] for the arithmetic.
#[derive(Debug, Clone)]
pub struct GemmI8 {
    rows: usize,
    features: usize,
    outputs: usize,
    zero_point: i32,
    /// Per panel: pairs of features × 8 outputs × 2.
    weights: Vec<i16>,
    finish: Finish,
}

impl GemmI8 {
    /// For `rows` rows with zero point `zero_point`; integer `weights` (their zero point taken
    /// off) of shape (outputs, features); `finish` speaks of `outputs` channels.
    pub fn new(
        [rows, outputs, features]: [usize; 3],
        zero_point: i32,
        weights: &[i16],
        finish: Finish,
    ) -> Self {
        let panels = outputs.div_ceil(PANEL);
        let at = |o: usize, k: usize| {
            if o < outputs && k < features { weights[o * features + k] } else { 0 }
        };
        let mut packed = Vec::with_capacity(panels * features.div_ceil(2) * 2 * PANEL);
        for panel in 0..panels {
            for k in (0..features).step_by(2) {
                for o in panel * PANEL..(panel + 1) * PANEL {
                    packed.extend([at(o, k), at(o, k + 1)]);
                }
            }
        }
        Self { rows, features, outputs, zero_point, weights: packed, finish }
    }

    /// Runs onto an i8 grid with a vector unit of choice; nothing where it finishes in f32.
    #[inline(never)]
    pub fn run_i8<L: Lanes>(&self, x: &[i8], out: &mut [i8], wide: &mut [i16]) {
        let Finish::I8 { rescale, low, high } = &self.finish else { return };
        self.all::<L>(x, wide, |at, o, sum| {
            out[at] = rescale[o].apply(sum).clamp(*low, *high) as i8;
        });
    }

    /// Runs to reals with a vector unit of choice; nothing where it finishes on integers.
    #[inline(never)]
    pub fn run_f32<L: Lanes>(&self, x: &[i8], out: &mut [f32], wide: &mut [i16]) {
        let Finish::F32 { scale, bias, clamp } = &self.finish else { return };
        self.all::<L>(x, wide, |at, o, sum| out[at] = clamp.apply(sum as f32 * scale[o] + bias[o]));
    }

    /// `store(index of the output, output channel, sum)` for every output.
    #[inline(always)]
    fn all<L: Lanes>(&self, x: &[i8], wide: &mut [i16], mut store: impl FnMut(usize, usize, i32)) {
        let stride = self.features.div_ceil(2) * 2;
        let zero = self.zero_point as i16;
        for (to, from) in wide.chunks_exact_mut(stride.max(1)).zip(x.chunks_exact(self.features.max(1))) {
            to[stride - 1] = 0;
            to.iter_mut().zip(from).for_each(|(t, f)| *t = i16::from(*f) - zero);
        }
        let whole = self.rows / ROWS * ROWS;
        for row in (0..whole).step_by(ROWS) {
            self.block::<L, ROWS>(&wide[row * stride..], row, &mut store);
        }
        for row in whole..self.rows {
            self.block::<L, 1>(&wide[row * stride..], row, &mut store);
        }
    }

    #[inline(always)]
    fn block<L: Lanes, const M: usize>(
        &self,
        x: &[i16],
        row: usize,
        store: &mut impl FnMut(usize, usize, i32),
    ) {
        let stride = self.features.div_ceil(2) * 2;
        let x: [&[i16]; M] = std::array::from_fn(|m| &x[m * stride..(m + 1) * stride]);
        for (panel, weights) in self.weights.chunks_exact((stride * PANEL).max(1)).enumerate() {
            let mut sums = [[L::i_splat(0); 2]; M];
            for (i, w) in weights.chunks_exact(2 * PANEL).enumerate() {
                // SAFETY: every step of a panel's weights has sixteen elements.
                let w = unsafe { [L::h_load(w.as_ptr()), L::h_load(w.as_ptr().add(8))] };
                for (sum, x) in sums.iter_mut().zip(&x) {
                    let x = L::h_splat(pair(x[2 * i], x[2 * i + 1]));
                    sum[0] = L::i_add(sum[0], L::h_dot(x, w[0]));
                    sum[1] = L::i_add(sum[1], L::h_dot(x, w[1]));
                }
            }
            for (m, sum) in sums.iter().enumerate() {
                let lanes = L::i_array(sum[0]).into_iter().chain(L::i_array(sum[1]));
                for (o, sum) in (panel * PANEL..self.outputs).zip(lanes) {
                    store((row + m) * self.outputs + o, o, sum);
                }
            }
        }
    }
}

impl Kernel for GemmI8 {
    fn name(&self) -> &'static str {
        "gemm"
    }
    fn dtype(&self) -> Dtype {
        Dtype::I8
    }
    fn scratch_bytes(&self) -> usize {
        2 * self.rows * self.features.div_ceil(2) * 2
    }
    fn run(&self, io: &Io) {
        match self.finish {
            Finish::I8 { .. } => self.run_i8::<Simd>(io.input(0), io.output(0), io.scratch()),
            Finish::F32 { .. } => self.run_f32::<Simd>(io.input(0), io.output(0), io.scratch()),
        }
    }
}
