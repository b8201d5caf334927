//! What an operator says about its channels: which indices of which axes live and die together.

use super::Call;

/// One of a node's tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Input number i, weights included.
    In(usize),
    /// Output number i.
    Out(usize),
}

/// A tie between two sets of indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tie {
    /// First tensor and its axis.
    pub a: (Slot, usize),
    /// Second tensor and its axis.
    pub b: (Slot, usize),
    /// Pairs (index along a, index along b) that live and die together.
    pub pairs: Vec<(usize, usize)>,
}

/// Collects ties and locks of one node.
#[derive(Debug, Default)]
pub struct Ties {
    /// The ties.
    pub ties: Vec<Tie>,
    /// Axes that must keep every index.
    pub locked: Vec<(Slot, usize)>,
}

impl Ties {
    /// Index i of one axis goes with index i of the other; both have length `len`.
    pub fn same(&mut self, a: (Slot, usize), b: (Slot, usize), len: usize) {
        self.pairs(a, b, (0..len).map(|i| (i, i)));
    }

    /// Any relation between two axes. An axis may be tied to itself.
    pub fn pairs(
        &mut self,
        a: (Slot, usize),
        b: (Slot, usize),
        pairs: impl IntoIterator<Item = (usize, usize)>,
    ) {
        self.ties.push(Tie { a, b, pairs: pairs.into_iter().collect() });
    }

    /// The axis keeps every index.
    pub fn lock(&mut self, slot: Slot, axis: usize) {
        self.locked.push((slot, axis));
    }

    /// Every axis of every input and output keeps every index.
    pub fn lock_all(&mut self, call: &Call) {
        for (i, shape) in call.inputs.iter().enumerate() {
            (0..shape.len()).for_each(|axis| self.lock(Slot::In(i), axis));
        }
        for (i, shape) in call.outputs.iter().enumerate() {
            (0..shape.len()).for_each(|axis| self.lock(Slot::Out(i), axis));
        }
    }

    /// For elementwise operators with NumPy broadcasting: axes of equal length go together;
    /// broadcast axes of length 1 are left alone.
    pub fn elementwise(&mut self, call: &Call) {
        for (o, out) in call.outputs.iter().enumerate() {
            for (i, shape) in call.inputs.iter().enumerate() {
                for (axis, len) in shape.iter().enumerate() {
                    let out_axis = out.len() - shape.len() + axis;
                    if *len == out[out_axis] && *len > 1 {
                        self.same((Slot::In(i), axis), (Slot::Out(o), out_axis), *len);
                    }
                }
            }
        }
    }
}
