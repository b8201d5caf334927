//! Transpose: axes in another order. ONNX Transpose-25.

use super::{Call, Kind, Operator, Slot, Ties};
use crate::model::Node;
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Transpose;

/// For every output axis, the input axis it comes from. Without `perm` the order is reversed.
fn order(node: &Node, rank: usize) -> Result<Vec<usize>> {
    let Some(perm) = node.ints("perm") else { return Ok((0..rank).rev().collect()) };
    let mut seen = vec![false; rank];
    let order: Option<Vec<usize>> = perm
        .iter()
        .map(|p| {
            let axis = usize::try_from(*p).ok().filter(|a| *a < rank && !seen[*a])?;
            seen[axis] = true;
            Some(axis)
        })
        .collect();
    order.filter(|o| o.len() == rank).ok_or_else(|| {
        Error::shape(node, format!("perm {perm:?} does not name each of {rank} axes once, from 0"))
    })
}

impl Operator for Transpose {
    fn name(&self) -> &'static str {
        "Transpose"
    }
    fn summary(&self) -> &'static str {
        "Puts the axes in another order."
    }
    fn kind(&self) -> Kind {
        Kind::Shape
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        Ok(vec![order(node, inputs[0].len())?.into_iter().map(|axis| inputs[0][axis]).collect()])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let (x, out) = (call.inputs[0], call.outputs[0]);
        let Ok(order) = order(call.node, x.len()) else { return };
        let mut strides = vec![1; x.len()];
        for axis in (0..x.len().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1] * x[axis + 1];
        }
        let steps: Vec<usize> = order.iter().map(|axis| strides[*axis]).collect();
        let mut index = vec![0; x.len()];
        let mut from = 0;
        for o in outputs[0].iter_mut() {
            *o = inputs[0][from];
            for axis in (0..out.len()).rev() {
                index[axis] += 1;
                from += steps[axis];
                if index[axis] < out[axis] {
                    break;
                }
                from -= steps[axis] * index[axis];
                index[axis] = 0;
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
        let x = super::required(call.node, inputs, 0)?;
        let order = order(call.node, call.inputs[0].len())?;
        if order.is_empty() {
            return Ok(vec![x]);
        }
        Ok(vec![crate::map_value!(x, t => t.permute(std::array::from_fn(|i| order[i])))])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let Ok(order) = order(call.node, call.inputs[0].len()) else { return ties.lock_all(call) };
        for (to, from) in order.into_iter().enumerate() {
            ties.same((Slot::In(0), from), (Slot::Out(0), to), call.inputs[0][from]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::run;

    #[test]
    fn moves_every_value() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let y = run(&Transpose, &[], &[(&[2, 3], &x)]);
        assert_eq!(y, [(vec![3, 2], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0])]);
        // A, B, C to C, A, B: out[c][a][b] = x[a][b][c].
        let perm = ("perm", vec![2i64, 0, 1].into());
        let y = run(&Transpose, &[perm], &[(&[1, 2, 3], &x)]);
        assert_eq!(y, [(vec![3, 1, 2], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0])]);
        let perm = ("perm", vec![1i64, 0, 2].into());
        let y = run(&Transpose, &[perm], &[(&[2, 2, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])]);
        assert_eq!(y, [(vec![2, 2, 2], vec![0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0])]);
    }

    #[test]
    fn refuses_what_is_no_permutation() {
        for perm in [vec![0i64, 0], vec![0], vec![0, 2], vec![-1, 0]] {
            let attrs = [("perm".to_owned(), perm.into())].into();
            let node =
                Node { name: "t".into(), op: "Transpose".into(), inputs: vec![], outputs: vec![], attrs };
            assert!(Transpose.infer(&node, &[&[2, 3]]).unwrap_err().to_string().contains("“t”"));
        }
    }
}
