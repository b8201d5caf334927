//! Everything without a kernel of its own: the operator's scalar code, in f32.

use super::{Dtype, Io, Kernel};
use crate::model::Node;
use crate::ops::{Call, Operator};

/// Values taken at a time where an elementwise operator runs in place.
const CHUNK: usize = 256;

/// Where an operator's input comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Input number i of the step.
    Step(usize),
    /// A weight.
    Constant(Vec<f32>),
    /// Omitted.
    None,
}

/// An operator with its shapes.
pub struct Fallback {
    /// The operator.
    pub op: &'static dyn Operator,
    /// The node.
    pub node: Node,
    /// Shapes of its inputs.
    pub inputs: Vec<Vec<usize>>,
    /// Shapes of its outputs.
    pub outputs: Vec<Vec<usize>>,
    /// Where its inputs come from.
    pub sources: Vec<Source>,
}

impl std::fmt::Debug for Fallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fallback").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Fallback {
    /// Evaluates on given inputs, in the order of the step's reads.
    pub fn eval(&self, reads: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let in_shapes: Short<&[usize]> = Short::new(self.inputs.iter().map(Vec::as_slice), &[]);
        let out_shapes: Short<&[usize]> = Short::new(self.outputs.iter().map(Vec::as_slice), &[]);
        let values = self.sources.iter().map(|s| match s {
            Source::Step(i) => reads[*i],
            Source::Constant(values) => values,
            Source::None => &[],
        });
        let values: Short<&[f32]> = Short::new(values, &[]);
        let call = Call { node: &self.node, inputs: in_shapes.get(), outputs: out_shapes.get() };
        self.op.eval(&call, values.get(), outputs);
    }
}

/// A short list without allocation; a long one with.
enum Short<T> {
    Here([T; 8], usize),
    There(Vec<T>),
}

impl<T: Copy> Short<T> {
    fn new(items: impl ExactSizeIterator<Item = T>, none: T) -> Self {
        let len = items.len();
        if len > 8 {
            return Self::There(items.collect());
        }
        let mut here = [none; 8];
        here.iter_mut().zip(items).for_each(|(to, from)| *to = from);
        Self::Here(here, len)
    }

    fn get(&self) -> &[T] {
        match self {
            Self::Here(items, len) => &items[..*len],
            Self::There(items) => items,
        }
    }
}

impl Kernel for Fallback {
    fn name(&self) -> &'static str {
        "operator's scalar code"
    }
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn run(&self, io: &Io) {
        let reads: Short<&[f32]> = Short::new((0..io.inputs()).map(|i| io.input(i)), &[]);
        let mut slots: [&mut [f32]; 8] = std::array::from_fn(|_| &mut [][..]);
        let count = self.outputs.len();
        if count <= 8 {
            slots.iter_mut().take(count).enumerate().for_each(|(i, slot)| *slot = io.output(i));
            self.eval(reads.get(), &mut slots[..count]);
        } else {
            let mut slots: Vec<&mut [f32]> = (0..count).map(|i| io.output(i)).collect();
            self.eval(reads.get(), &mut slots);
        }
    }
}

/// An elementwise operator of one input, in f32. May run in place.
pub struct Elementwise {
    /// The operator.
    pub op: &'static dyn Operator,
    /// The node.
    pub node: Node,
}

impl std::fmt::Debug for Elementwise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elementwise").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Elementwise {
    /// Evaluates; `x` and `out` are of one length.
    pub fn eval(&self, x: &[f32], out: &mut [f32]) {
        let shape = [x.len()];
        let call = Call { node: &self.node, inputs: &[&shape], outputs: &[&shape] };
        self.op.eval(&call, &[x], &mut [out]);
    }
}

impl Kernel for Elementwise {
    fn name(&self) -> &'static str {
        "operator's scalar code, in place"
    }
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn run(&self, io: &Io) {
        let out: &mut [f32] = io.output(0);
        if !io.in_place(0) {
            return self.eval(io.input(0), out);
        }
        let mut held = [0.0; CHUNK];
        for chunk in out.chunks_mut(CHUNK) {
            let held = &mut held[..chunk.len()];
            held.copy_from_slice(chunk);
            self.eval(held, chunk);
        }
    }
}
