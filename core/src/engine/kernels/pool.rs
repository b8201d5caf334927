//! Max and average pools, global ones included, in f32 and on integers: which inputs each output
//! looks at is listed once per plane, when the plan is made.

use super::elementwise::Table;
use super::{Affine, Dtype, Io, Kernel, Rescale};

/// Where each output of a plane looks.
#[derive(Debug, Clone)]
pub struct Places {
    /// Elements of an input plane.
    pub plane: usize,
    /// Output i looks at `places[starts[i]..starts[i + 1]]`.
    pub starts: Vec<usize>,
    /// Indices into the plane.
    pub places: Vec<u32>,
    /// What output i's mean divides by.
    pub divisors: Vec<u32>,
}

/// What is done with them.
#[derive(Debug, Clone)]
pub enum Pooling {
    /// Largest value, f32.
    MaxF32,
    /// Mean, f32.
    MeanF32,
    /// Largest value on integers, through a table where the grids differ.
    MaxI8(Option<Table>),
    /// Mean on integers.
    MeanI8 {
        /// From sums to integers, per output of a plane.
        rescale: Vec<Rescale>,
        /// The input's zero point.
        from: i32,
        /// The output's grid.
        to: Affine,
    },
}

/// A pool over planes.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Where it looks.
    pub places: Places,
    /// What it does.
    pub pooling: Pooling,
}

impl Pooling {
    /// The mean between two grids; `None` where a factor is out of range.
    pub fn mean_i8(places: &Places, from: Affine, to: Affine) -> Option<Self> {
        let ratio = f64::from(from.scale) / f64::from(to.scale);
        let zero = f64::from(to.zero_point);
        let rescale: Option<Vec<_>> =
            places.divisors.iter().map(|d| Rescale::new(ratio / f64::from(*d), zero)).collect();
        // Sums must come to 32 bits after scaling.
        let largest = 255.0 * ratio * places.plane as f64;
        (largest < 1e9).then_some(Self::MeanI8 { rescale: rescale?, from: from.zero_point, to })
    }
}

impl Pool {
    /// Whether the only output of a plane looks at all of it, in order.
    fn global(&self) -> bool {
        let p = &self.places;
        p.divisors.len() == 1 && p.places.iter().copied().eq(0..p.plane as u32)
    }

    fn each<T, U>(&self, x: &[T], out: &mut [U], f: impl Fn(usize, &[T], &[u32]) -> U) {
        let p = &self.places;
        let outputs = p.divisors.len().max(1);
        for (plane, out) in x.chunks_exact(p.plane.max(1)).zip(out.chunks_exact_mut(outputs)) {
            for (i, (o, bounds)) in out.iter_mut().zip(p.starts.windows(2)).enumerate() {
                *o = f(i, plane, &p.places[bounds[0]..bounds[1]]);
            }
        }
    }
}

impl Kernel for Pool {
    fn name(&self) -> &'static str {
        match self.pooling {
            Pooling::MaxF32 | Pooling::MaxI8(_) => "max pool",
            Pooling::MeanF32 | Pooling::MeanI8 { .. } => "mean pool",
        }
    }
    fn dtype(&self) -> Dtype {
        match self.pooling {
            Pooling::MaxF32 | Pooling::MeanF32 => Dtype::F32,
            Pooling::MaxI8(_) | Pooling::MeanI8 { .. } => Dtype::I8,
        }
    }
    fn run(&self, io: &Io) {
        match &self.pooling {
            Pooling::MaxF32 => self.each(io.input::<f32>(0), io.output(0), |_, plane, places| {
                // NaN stays visible, as in the operator's own code.
                let larger = |m: f32, x: f32| if x > m || x.is_nan() { x } else { m };
                places.iter().fold(f32::MIN, |m, i| larger(m, plane[*i as usize]))
            }),
            Pooling::MeanF32 => self.each(io.input::<f32>(0), io.output(0), |i, plane, places| {
                let sum: f32 = places.iter().map(|i| plane[*i as usize]).sum();
                sum / self.places.divisors[i] as f32
            }),
            Pooling::MaxI8(table) => self.each(io.input::<i8>(0), io.output(0), |_, plane, places| {
                let max = places.iter().fold(i8::MIN, |m, i| m.max(plane[*i as usize]));
                table.as_ref().map_or(max, |t| t.get(max))
            }),
            Pooling::MeanI8 { rescale, from, to } if self.global() => {
                // Without the list of places, loops over neighbours become vectors.
                let planes = io.input::<i8>(0).chunks_exact(self.places.plane);
                for (o, plane) in io.output(0).iter_mut().zip(planes) {
                    let sum: i32 = plane.iter().map(|q| i32::from(*q)).sum();
                    let sum = sum - *from * plane.len() as i32;
                    *o = rescale[0].apply(sum).clamp(to.low, to.high) as i8;
                }
            }
            Pooling::MeanI8 { rescale, from, to } => {
                self.each(io.input::<i8>(0), io.output(0), |i, plane, places| {
                    let sum: i32 = places.iter().map(|i| i32::from(plane[*i as usize])).sum();
                    let sum = sum - *from * places.len() as i32;
                    rescale[i].apply(sum).clamp(to.low, to.high) as i8
                })
            }
        }
    }
}
