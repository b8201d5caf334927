//! Gemm: the fully connected layer, Y = alpha · A′ · B′ + beta · C. ONNX Gemm-13.

use super::{Call, Kind, Operator, Slot, Ties};
use crate::model::Node;
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Gemm;

/// Rows, inner length, columns of the product.
fn dims(node: &Node, a: &[usize], b: &[usize]) -> Result<(usize, usize, usize)> {
    let ([a0, a1], [b0, b1]) = (a, b) else {
        return Err(Error::shape(node, format!("A {a:?} and B {b:?}: two matrices belong there")));
    };
    let (m, k) = if node.int("transA", 0) != 0 { (*a1, *a0) } else { (*a0, *a1) };
    let (l, n) = if node.int("transB", 0) != 0 { (*b1, *b0) } else { (*b0, *b1) };
    if k != l {
        return Err(Error::shape(
            node,
            format!(
                "A {a:?} (transA {}) and B {b:?} (transB {}): the inner lengths {k} and {l} must be equal",
                node.int("transA", 0),
                node.int("transB", 0)
            ),
        ));
    }
    Ok((m, k, n))
}

impl Operator for Gemm {
    fn name(&self) -> &'static str {
        "Gemm"
    }
    fn summary(&self) -> &'static str {
        "Fully connected layer: every output is a weighted sum of all inputs, plus a bias."
    }
    fn kind(&self) -> Kind {
        Kind::Linear
    }
    fn arity(&self) -> RangeInclusive<usize> {
        2..=3
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let (m, _, n) = dims(node, inputs[0], inputs[1])?;
        // C broadcasts to the product, never the other way round.
        if let Some(c) = inputs.get(2) {
            let fits =
                c.len() <= 2 && c.iter().rev().zip([n, m]).all(|(have, want)| *have == want || *have == 1);
            if !fits {
                return Err(Error::shape(node, format!("C {c:?} does not broadcast to [{m}, {n}]")));
            }
        }
        Ok(vec![vec![m, n]])
    }
    fn macs(&self, node: &Node, inputs: &[&[usize]], _outputs: &[&[usize]]) -> u64 {
        dims(node, inputs[0], inputs[1]).map_or(0, |(m, k, n)| (m as u64 * k as u64).saturating_mul(n as u64))
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let Ok((m, k, n)) = dims(call.node, call.inputs[0], call.inputs[1]) else { return };
        let (alpha, beta) = (call.node.float("alpha", 1.0), call.node.float("beta", 1.0));
        // Steps along (row, inner) of A′ and (inner, column) of B′.
        let (a_row, a_inner) = if call.node.int("transA", 0) != 0 { (1, m) } else { (k, 1) };
        let (b_inner, b_col) = if call.node.int("transB", 0) != 0 { (1, k) } else { (n, 1) };
        let (c, c_shape) = match inputs.get(2) {
            Some(c) if !c.is_empty() => (*c, call.inputs[2]),
            _ => (&[0.0f32][..], &[1usize][..]),
        };
        let c_cols = c_shape.last().copied().unwrap_or(1);
        let c_rows = if c_shape.len() == 2 { c_shape[0] } else { 1 };
        for i in 0..m {
            for j in 0..n {
                let mut sum = 0.0;
                for l in 0..k {
                    sum += inputs[0][i * a_row + l * a_inner] * inputs[1][l * b_inner + j * b_col];
                }
                let row = if c_rows == 1 { 0 } else { i };
                let column = if c_cols == 1 { 0 } else { j };
                outputs[0][i * n + j] = alpha * sum + beta * c[row * c_cols + column];
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
        let node = call.node;
        let matrix = |i: usize| {
            super::required(node, inputs, i)?
                .r2()
                .ok_or_else(|| Error::shape(node, format!("input {i} must be a matrix")))
        };
        let (mut a, mut b) = (matrix(0)?, matrix(1)?);
        if node.int("transA", 0) != 0 {
            a = a.transpose();
        }
        if node.int("transB", 0) != 0 {
            b = b.transpose();
        }
        let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
        let mut y = a.matmul(b);
        if alpha != 1.0 {
            y = y.mul_scalar(alpha);
        }
        if let Some(c) = inputs.get(2).cloned().flatten()
            && let Some(c) = c.pad_rank(2)?.r2()
        {
            y = y + if beta == 1.0 { c } else { c.mul_scalar(beta) };
        }
        Ok(vec![super::Value::R2(y)])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let Ok((m, k, n)) = dims(call.node, call.inputs[0], call.inputs[1]) else {
            return ties.lock_all(call);
        };
        let (a_row, a_inner) = if call.node.int("transA", 0) != 0 { (1, 0) } else { (0, 1) };
        let (b_inner, b_col) = if call.node.int("transB", 0) != 0 { (1, 0) } else { (0, 1) };
        ties.same((Slot::In(0), a_inner), (Slot::In(1), b_inner), k);
        ties.same((Slot::In(0), a_row), (Slot::Out(0), 0), m);
        ties.same((Slot::In(1), b_col), (Slot::Out(0), 1), n);
        if let Some(c) = call.inputs.get(2) {
            for (axis, len) in c.iter().enumerate() {
                let out_axis = axis + 2 - c.len();
                if *len == call.outputs[0][out_axis] && *len > 1 {
                    ties.same((Slot::In(2), axis), (Slot::Out(0), out_axis), *len);
                } else if *len == 1 && call.outputs[0][out_axis] == 1 {
                    // A bias of length 1 for one unit: the unit cannot go anyway.
                    ties.lock(Slot::In(2), axis);
                }
            }
        }
    }
}
