//! Reshape: the same values in another shape. ONNX Reshape-25; the constant input `shape` is an
//! attribute here.

use super::{Call, Constant, Kind, Operator, Slot, Ties, constants};
use crate::model::{Attr, Attrs, Node};
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Reshape;

/// Ties of any operator that keeps the row-major order of its values and only draws the borders
/// between axes elsewhere.
///
/// The axes fall into the smallest runs of equal product. One axis to one axis is the identity.
/// One to many, or many to one: the outermost of the many goes with blocks of the one (channel c
/// of C, H, W with the features c·H·W .. (c+1)·H·W), and the inner ones keep every index. Many to
/// many cannot be said index by index, so all of those axes keep every index; so do axes of
/// length 1.
pub fn regroup(call: &Call, ties: &mut Ties) {
    let (a, b) = (call.inputs[0], call.outputs[0]);
    if a.iter().chain(b).any(|len| *len == 0) {
        return ties.lock_all(call);
    }
    for (axis, _) in a.iter().enumerate().filter(|(_, len)| **len == 1) {
        ties.lock(Slot::In(0), axis);
    }
    for (axis, _) in b.iter().enumerate().filter(|(_, len)| **len == 1) {
        ties.lock(Slot::Out(0), axis);
    }
    let long = |shape: &[usize]| -> Vec<usize> { (0..shape.len()).filter(|i| shape[*i] > 1).collect() };
    let (ia, ib) = (long(a), long(b));
    let (mut i, mut j) = (0, 0);
    while i < ia.len() && j < ib.len() {
        let (start_a, start_b) = (i, j);
        let (mut product_a, mut product_b) = (a[ia[i]], b[ib[j]]);
        (i, j) = (i + 1, j + 1);
        while product_a != product_b {
            if product_a < product_b && i < ia.len() {
                product_a *= a[ia[i]];
                i += 1;
            } else if product_b < product_a && j < ib.len() {
                product_b *= b[ib[j]];
                j += 1;
            } else {
                // The shapes do not hold equally many values; `infer` refused them.
                return ties.lock_all(call);
            }
        }
        let (ga, gb) = (&ia[start_a..i], &ib[start_b..j]);
        let (first_a, first_b) = ((Slot::In(0), ga[0]), (Slot::Out(0), gb[0]));
        match (ga.len(), gb.len()) {
            (1, 1) => ties.same(first_a, first_b, product_a),
            (1, _) => {
                let block = product_a / b[gb[0]];
                ties.pairs(first_a, first_b, (0..product_a).map(|x| (x, x / block)));
                gb[1..].iter().for_each(|axis| ties.lock(Slot::Out(0), *axis));
            }
            (_, 1) => {
                let block = product_a / a[ga[0]];
                ties.pairs(first_a, first_b, (0..product_a).map(|x| (x / block, x)));
                ga[1..].iter().for_each(|axis| ties.lock(Slot::In(0), *axis));
            }
            _ => {
                ga.iter().for_each(|axis| ties.lock(Slot::In(0), *axis));
                gb.iter().for_each(|axis| ties.lock(Slot::Out(0), *axis));
            }
        }
    }
}

impl Operator for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }
    fn summary(&self) -> &'static str {
        "Keeps all values in their order and gives them another shape."
    }
    fn kind(&self) -> Kind {
        Kind::Shape
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let x = inputs[0];
        let target =
            node.ints("shape").ok_or_else(|| Error::shape(node, "the attribute shape is missing"))?;
        let wrong = |why: &str| Error::shape(node, format!("{x:?} cannot take the shape {target:?}: {why}"));
        let copy_zeros = node.int("allowzero", 0) == 0;
        let mut out = Vec::with_capacity(target.len());
        let mut free = None;
        for (i, len) in target.iter().enumerate() {
            out.push(match len {
                0 if copy_zeros => *x.get(i).ok_or_else(|| wrong("a 0 copies a length that is not there"))?,
                -1 if free.is_none() => {
                    free = Some(i);
                    1
                }
                -1 => return Err(wrong("only one length can be -1")),
                len => usize::try_from(*len).map_err(|_| wrong("a length is negative"))?,
            });
        }
        let product = |shape: &[usize]| shape.iter().try_fold(1usize, |p, len| p.checked_mul(*len));
        let have = product(x).ok_or_else(|| wrong("it has too many values"))?;
        let want = product(&out).ok_or_else(|| wrong("it has too many values"))?;
        match free {
            Some(i) if want > 0 && have % want == 0 => out[i] = have / want,
            Some(_) => return Err(wrong("the lengths do not divide the number of values")),
            None if have == want => {}
            None => return Err(wrong(&format!("{have} values for {want} places"))),
        }
        Ok(vec![out])
    }
    fn eval(&self, _call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        outputs[0].copy_from_slice(inputs[0]);
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        Ok(vec![super::required(call.node, inputs, 0)?.reshape(call.outputs[0])?])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        regroup(call, ties);
    }
    /// Lengths that were written out follow the output; 0 and -1 follow by themselves.
    fn shrink(&self, old: &Call, kept: &dyn Fn(Slot, usize) -> Vec<usize>, attrs: &mut Attrs) {
        let Some(target) = old.node.ints("shape") else { return };
        let target = target.iter().enumerate().map(|(axis, len)| match len {
            0 | -1 => *len,
            _ => kept(Slot::Out(0), axis).len() as i64,
        });
        attrs.insert("shape".into(), Attr::Ints(target.collect()));
    }
    fn import(&self, node: &mut Node, given: &[Option<Constant>], _opset: i64) -> Result<usize> {
        if let Some(shape) = constants::ints(node, given, 1)? {
            node.attrs.insert("shape".into(), Attr::Ints(shape));
        }
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(shape: &[i64]) -> Node {
        let attrs = [("shape".to_owned(), shape.to_vec().into())].into();
        Node { name: "r".into(), op: "Reshape".into(), inputs: vec!["x".into()], outputs: vec![], attrs }
    }

    fn ties(a: &[usize], b: &[usize]) -> Ties {
        let mut ties = Ties::default();
        regroup(&Call { node: &node(&[]), inputs: &[a], outputs: &[b] }, &mut ties);
        ties
    }

    #[test]
    fn infers_zeros_and_the_free_length() {
        assert_eq!(Reshape.infer(&node(&[0, -1]), &[&[2, 3, 4]]).unwrap(), [[2, 12]]);
        let message = Reshape.infer(&node(&[5, -1]), &[&[2, 3, 4]]).unwrap_err().to_string();
        assert!(message.contains("“r”") && message.contains("[2, 3, 4]") && message.contains("[5, -1]"));
        assert!(Reshape.infer(&node(&[-1, -1]), &[&[2, 3]]).is_err());
        assert!(Reshape.infer(&node(&[0, 0, 0]), &[&[2, 3]]).is_err());
        assert!(Reshape.infer(&node(&[i64::MAX, i64::MAX]), &[&[2, 3]]).is_err());
    }

    #[test]
    fn channels_go_with_their_features() {
        let t = ties(&[2, 3, 2, 2], &[2, 12]);
        assert_eq!(t.ties[1].a, (Slot::In(0), 1));
        assert_eq!(t.ties[1].b, (Slot::Out(0), 1));
        assert_eq!(t.ties[1].pairs, (0..12).map(|f| (f / 4, f)).collect::<Vec<_>>());
        assert_eq!(t.locked, [(Slot::In(0), 2), (Slot::In(0), 3)]);
    }

    #[test]
    fn heads_part_and_mixed_axes_stay() {
        let t = ties(&[2, 6], &[2, 3, 2]);
        assert_eq!(t.ties[1].pairs, (0..6).map(|d| (d, d / 2)).collect::<Vec<_>>());
        assert_eq!(t.locked, [(Slot::Out(0), 2)]);
        let t = ties(&[4, 6], &[3, 8]);
        assert!(t.ties.is_empty() && t.locked.len() == 4);
        let t = ties(&[5, 1, 7], &[5, 7, 1]);
        assert_eq!(t.ties.len(), 2);
    }

    #[test]
    fn shrinks_what_is_written_out() {
        let node = node(&[0, 12]);
        let old = Call { node: &node, inputs: &[&[2, 3, 2, 2]], outputs: &[&[2, 12]] };
        let mut attrs = node.attrs.clone();
        let kept = |slot: Slot, axis: usize| match (slot, axis) {
            (Slot::Out(0), 1) => vec![0, 1, 2, 3, 8, 9, 10, 11],
            _ => vec![0, 1],
        };
        Reshape.shrink(&old, &kept, &mut attrs);
        assert_eq!(attrs["shape"], Attr::Ints(vec![0, 8]));
    }
}
