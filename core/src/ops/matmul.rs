//! MatMul: matrix product of the last two axes; the axes before them broadcast. ONNX MatMul-13
//! (NumPy's `matmul`, vectors included).

use super::{Call, Kind, Operator, Slot, Ties, broadcast};
use crate::model::Node;
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct MatMul;

/// A product's shapes with vectors made matrices.
struct Product {
    /// Rows, inner length, columns.
    m: usize,
    k: usize,
    n: usize,
    /// Axes before the last two: of A, of B, of the result.
    batch: [Vec<usize>; 3],
}

fn product(node: &Node, a: &[usize], b: &[usize]) -> Result<Product> {
    let wrong = |message: &str| Err(Error::shape(node, format!("A {a:?} and B {b:?}: {message}")));
    let (batch_a, m, k) = match a {
        [] => return wrong("a number has no axis to multiply along"),
        [k] => (&a[..0], 1, *k),
        [batch @ .., m, k] => (batch, *m, *k),
    };
    let (batch_b, l, n) = match b {
        [] => return wrong("a number has no axis to multiply along"),
        [l] => (&b[..0], *l, 1),
        [batch @ .., l, n] => (batch, *l, *n),
    };
    if k != l {
        return wrong(&format!("the inner lengths {k} and {l} must be equal"));
    }
    let out = broadcast::shape(node, batch_a, batch_b)?;
    Ok(Product { m, k, n, batch: [batch_a.to_vec(), batch_b.to_vec(), out] })
}

impl Operator for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }
    fn summary(&self) -> &'static str {
        "Multiplies matrices: every row of one with every column of the other."
    }
    fn kind(&self) -> Kind {
        Kind::Linear
    }
    fn arity(&self) -> RangeInclusive<usize> {
        2..=2
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let p = product(node, inputs[0], inputs[1])?;
        let [_, _, mut out] = p.batch;
        if inputs[0].len() > 1 {
            out.push(p.m);
        }
        if inputs[1].len() > 1 {
            out.push(p.n);
        }
        Ok(vec![out])
    }
    fn macs(&self, node: &Node, inputs: &[&[usize]], _outputs: &[&[usize]]) -> u64 {
        product(node, inputs[0], inputs[1]).map_or(0, |p| {
            [p.m, p.k, p.n].iter().chain(&p.batch[2]).fold(1, |a: u64, b| a.saturating_mul(*b as u64))
        })
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let Ok(Product { m, k, n, batch: [ba, bb, bo] }) = product(call.node, call.inputs[0], call.inputs[1])
        else {
            return;
        };
        // Number of A's (or B's) matrix for a matrix of the result.
        let matrix = |shape: &[usize], mut o: usize| {
            let (mut index, mut step) = (0, 1);
            for (axis, len) in bo.iter().enumerate().rev() {
                let (at, skip) = (o % len, bo.len() - shape.len());
                o /= len;
                if axis >= skip {
                    index += if shape[axis - skip] == 1 { 0 } else { at * step };
                    step *= shape[axis - skip];
                }
            }
            index
        };
        for (o, out) in outputs[0].chunks_exact_mut((m * n).max(1)).enumerate() {
            let a = &inputs[0][matrix(&ba, o) * m * k..][..m * k];
            let b = &inputs[1][matrix(&bb, o) * k * n..][..k * n];
            for i in 0..m {
                let row = &mut out[i * n..][..n];
                row.fill(0.0);
                for l in 0..k {
                    let left = a[i * k + l];
                    for (sum, right) in row.iter_mut().zip(&b[l * n..][..n]) {
                        *sum += left * right;
                    }
                }
            }
        }
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let p = product(call.node, call.inputs[0], call.inputs[1])?;
        let (a, b) = (super::required(call.node, inputs, 0)?, super::required(call.node, inputs, 1)?);
        let rows: usize = p.batch[0].iter().product::<usize>() * p.m;
        let y = if p.batch[1].iter().product::<usize>() == 1 && p.batch[0].len() >= p.batch[1].len() {
            // One right-hand matrix for all: a single product over all rows.
            let (a, b) = (a.reshape(&[rows, p.k])?, b.reshape(&[p.k, p.n])?);
            crate::zip_values!(a, b, x, w => x.matmul(w))
        } else {
            let shape = |batch: &[usize], last: [usize; 2]| [batch, &last].concat();
            let a = a.reshape(&shape(&p.batch[0], [p.m, p.k]))?;
            let b = b.reshape(&shape(&p.batch[1], [p.k, p.n]))?;
            crate::zip_values!(a, b, x, w => x.matmul(w))
        };
        Ok(vec![y.reshape(call.outputs[0])?])
    }
    /// The inner axes go together: without index l of A, index l of B multiplies nothing. So do
    /// the rows of A and the columns of B with those of the result, and equal batch axes. It holds
    /// for a weight and for two activations (attention's Q · Kᵀ and shares · V) alike.
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let (a, b, out) = (call.inputs[0], call.inputs[1], call.outputs[0]);
        let Ok(p) = product(call.node, a, b) else { return ties.lock_all(call) };
        let inner_b = b.len().saturating_sub(2);
        ties.same((Slot::In(0), a.len() - 1), (Slot::In(1), inner_b), p.k);
        if a.len() > 1 {
            let row = p.batch[2].len();
            ties.same((Slot::In(0), a.len() - 2), (Slot::Out(0), row), p.m);
        }
        if b.len() > 1 {
            ties.same((Slot::In(1), b.len() - 1), (Slot::Out(0), out.len() - 1), p.n);
        }
        for (i, batch) in p.batch[..2].iter().enumerate() {
            for (axis, len) in batch.iter().enumerate() {
                let out_axis = axis + p.batch[2].len() - batch.len();
                if *len == p.batch[2][out_axis] && *len > 1 {
                    ties.same((Slot::In(i), axis), (Slot::Out(0), out_axis), *len);
                }
            }
        }
    }
}
