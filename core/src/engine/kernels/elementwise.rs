//! Value by value: quantize, dequantize, tables, sums, joins, gathers.

use super::{Affine, Clamp, Dtype, Io, Kernel};

/// Reals onto a grid.
#[derive(Debug, Clone)]
pub struct Quantize(pub Affine);

impl Quantize {
    /// Runs; for inputs that come from outside the arena.
    pub fn apply(&self, x: &[f32], out: &mut [i8]) {
        out.iter_mut().zip(x).for_each(|(o, x)| *o = self.0.quantize(*x));
    }
}

impl Kernel for Quantize {
    fn name(&self) -> &'static str {
        "quantize"
    }
    fn dtype(&self) -> Dtype {
        Dtype::I8
    }
    fn run(&self, io: &Io) {
        self.apply(io.input(0), io.output(0));
    }
}

/// Integers to reals.
#[derive(Debug, Clone)]
pub struct Dequantize(pub Affine);

impl Kernel for Dequantize {
    fn name(&self) -> &'static str {
        "dequantize"
    }
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn run(&self, io: &Io) {
        let out: &mut [f32] = io.output(0);
        out.iter_mut().zip(io.input::<i8>(0)).for_each(|(o, q)| *o = self.0.dequantize(*q));
    }
}

/// Any function of one i8 as 256 answers: exact and the same price for every activation. May run
/// in place.
#[derive(Debug, Clone, PartialEq)]
pub struct Table(Box<[i8; 256]>);

impl Table {
    /// From a real function between two grids.
    pub fn new(from: Affine, to: Affine, f: impl Fn(&[f32]) -> Vec<f32>) -> Self {
        let x: Vec<f32> = (0..256).map(|i| from.dequantize(i as u8 as i8)).collect();
        let mut table = Box::new([0; 256]);
        table.iter_mut().zip(f(&x)).for_each(|(t, y)| *t = to.quantize(y));
        Self(table)
    }

    /// From grid to grid.
    pub fn regrid(from: Affine, to: Affine) -> Self {
        Self::new(from, to, <[f32]>::to_vec)
    }

    /// The answer.
    #[inline(always)]
    pub fn get(&self, q: i8) -> i8 {
        self.0[usize::from(q as u8)]
    }

    /// The answers in place of what was asked.
    pub fn map(&self, values: &mut [i8]) {
        let (eights, rest) = values.as_chunks_mut::<8>();
        // No compiler unrolls loops for Wasm.
        eights.iter_mut().for_each(|eight| *eight = eight.map(|q| self.get(q)));
        rest.iter_mut().for_each(|q| *q = self.get(*q));
    }
}

impl Kernel for Table {
    fn name(&self) -> &'static str {
        "table of 256"
    }
    fn dtype(&self) -> Dtype {
        Dtype::I8
    }
    fn run(&self, io: &Io) {
        let out: &mut [i8] = io.output(0);
        if !io.in_place(0) {
            out.copy_from_slice(io.input(0));
        }
        self.map(out);
    }
}

/// A clamp in f32. May run in place.
#[derive(Debug, Clone)]
pub struct ClampF32(pub Clamp);

impl Kernel for ClampF32 {
    fn name(&self) -> &'static str {
        "clamp"
    }
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn run(&self, io: &Io) {
        let out: &mut [f32] = io.output(0);
        if !io.in_place(0) {
            out.copy_from_slice(io.input(0));
        }
        out.iter_mut().for_each(|x| *x = self.0.apply(*x));
    }
}

/// The sum of two tensors of one shape in f32, clamped. May run in place on its first input.
#[derive(Debug, Clone)]
pub struct AddF32(pub Clamp);

impl Kernel for AddF32 {
    fn name(&self) -> &'static str {
        "add"
    }
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn run(&self, io: &Io) {
        let out: &mut [f32] = io.output(0);
        if !io.in_place(0) {
            out.copy_from_slice(io.input(0));
        }
        out.iter_mut().zip(io.input::<f32>(1)).for_each(|(o, b)| *o = self.0.apply(*o + b));
    }
}

/// The sum of two tensors of one shape on integers: both brought to a common fine scale, summed,
/// rounded once, half up. May run in place on its first input.
#[derive(Debug, Clone)]
pub struct AddI8 {
    factors: [i32; 2],
    /// Rounding and zero points, at the fine scale.
    offset: i32,
    shift: u32,
    low: i32,
    high: i32,
}

impl AddI8 {
    /// `low..=high` bounds the output (ReLU is a bound). `None` where the scales are too far
    /// apart for 32 bits.
    pub fn new(a: Affine, b: Affine, out: Affine, low: i32, high: i32) -> Option<Self> {
        let ratios = [a, b].map(|x| f64::from(x.scale) / f64::from(out.scale));
        // |q − zero point| <= 255: each product stays below 2^28, the output's zero point below
        // 2^29, so that everything fits 32 bits and the loop can use four lanes.
        let room = (f64::from(1 << 28) / 256.0 / ratios[0].max(ratios[1])).log2().floor();
        let shift = room.min(22.0) as i32;
        // Below 12 bits the factors' own rounding would show.
        if !(12..=22).contains(&shift) {
            return None;
        }
        let factors = ratios.map(|r| (r * f64::from(shift).exp2()).round() as i32);
        let zeros = a.zero_point * factors[0] + b.zero_point * factors[1];
        let offset = (out.zero_point << shift) - zeros + (1 << (shift - 1));
        Some(Self { factors, offset, shift: shift as u32, low, high })
    }

    /// One sum.
    pub fn get(&self, a: i8, b: i8) -> i8 {
        let sum = i32::from(a) * self.factors[0] + i32::from(b) * self.factors[1] + self.offset;
        (sum >> self.shift).clamp(self.low, self.high) as i8
    }
}

impl Kernel for AddI8 {
    fn name(&self) -> &'static str {
        "add"
    }
    fn dtype(&self) -> Dtype {
        Dtype::I8
    }
    fn run(&self, io: &Io) {
        let out: &mut [i8] = io.output(0);
        if !io.in_place(0) {
            out.copy_from_slice(io.input(0));
        }
        out.iter_mut().zip(io.input::<i8>(1)).for_each(|(o, b)| *o = self.get(*o, *b));
    }
}

/// Joins tensors along an axis; integers go through a table where grids differ.
#[derive(Debug, Clone)]
pub struct Concat {
    /// Length of each input's piece per outer index.
    pub pieces: Vec<usize>,
    /// For integers: a table per input, `None` where its grid is the output's.
    pub tables: Vec<Option<Table>>,
    /// What it joins.
    pub dtype: Dtype,
}

impl Kernel for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn run(&self, io: &Io) {
        let row: usize = self.pieces.iter().sum();
        let mut start = 0;
        for (i, piece) in self.pieces.iter().copied().enumerate().filter(|(_, p)| *p > 0) {
            match self.dtype {
                Dtype::F32 => {
                    let rows = io.output::<f32>(0).chunks_exact_mut(row);
                    rows.zip(io.input::<f32>(i).chunks_exact(piece))
                        .for_each(|(to, from)| to[start..start + piece].copy_from_slice(from));
                }
                Dtype::I8 => {
                    let rows = io.output::<i8>(0).chunks_exact_mut(row);
                    for (to, from) in rows.zip(io.input::<i8>(i).chunks_exact(piece)) {
                        let to = &mut to[start..start + piece];
                        match &self.tables[i] {
                            None => to.copy_from_slice(from),
                            Some(t) => to.iter_mut().zip(from).for_each(|(o, q)| *o = t.get(*q)),
                        }
                    }
                }
            }
            start += piece;
        }
    }
}

/// Moves integers without computing: transposes, slices, repeats. The places were found by running
/// the operator on its own indices.
#[derive(Debug, Clone)]
pub struct GatherI8 {
    /// The source of every output.
    pub places: Vec<u32>,
    /// Where grids differ.
    pub table: Option<Table>,
}

impl Kernel for GatherI8 {
    fn name(&self) -> &'static str {
        "gather"
    }
    fn dtype(&self) -> Dtype {
        Dtype::I8
    }
    fn run(&self, io: &Io) {
        let x = io.input::<i8>(0);
        let out = io.output::<i8>(0).iter_mut().zip(&self.places);
        match &self.table {
            None => out.for_each(|(o, at)| *o = x[*at as usize]),
            Some(table) => out.for_each(|(o, at)| *o = table.get(x[*at as usize])),
        }
    }
}
