//! Split: parts of a tensor along an axis. ONNX Split-18; the constant input `split` is an
//! attribute here.

use super::{Call, Constant, Kind, Operator, Slot, Ties, constants, gather};
use crate::model::{Attr, Attrs, Node};
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Split;

/// The axis and the length of every part.
fn parts(node: &Node, x: &[usize]) -> Result<(usize, Vec<usize>)> {
    let axis = super::axis(node, node.int("axis", 0), x.len())?;
    let len = x[axis];
    if let Some(sizes) = node.ints("split") {
        let lens: Option<Vec<usize>> = sizes.iter().map(|s| usize::try_from(*s).ok()).collect();
        let sum = |lens: &[usize]| lens.iter().try_fold(0usize, |a, b| a.checked_add(*b));
        return match lens {
            Some(lens) if sum(&lens) == Some(len) => Ok((axis, lens)),
            _ => Err(Error::shape(
                node,
                format!("parts of {sizes:?} along axis {axis} of {x:?}: they must add up to {len}"),
            )),
        };
    }
    let wanted = node.int("num_outputs", node.outputs.len().max(1) as i64);
    let n = usize::try_from(wanted).ok().filter(|n| (1..=len.max(1)).contains(n)).ok_or_else(|| {
        Error::shape(node, format!("axis {axis} of {x:?} cannot be parted into {wanted} parts"))
    })?;
    // Equal parts, the last one smaller where they do not come out even.
    let chunk = len.div_ceil(n);
    let last = len.checked_sub(chunk * (n - 1)).ok_or_else(|| {
        Error::shape(node, format!("axis {axis} of {x:?} cannot be parted into {n} parts of {chunk}"))
    })?;
    let mut lens = vec![chunk; n];
    lens[n - 1] = last;
    Ok((axis, lens))
}

/// Per part: a map for every axis.
fn maps(x: &[usize], axis: usize, lens: &[usize]) -> Vec<Vec<Vec<usize>>> {
    let mut start = 0;
    let part = |len: &usize| {
        let mut maps: Vec<Vec<usize>> = x.iter().map(|len| gather::identity(*len)).collect();
        maps[axis] = (start..start + len).collect();
        start += len;
        maps
    };
    lens.iter().map(part).collect()
}

impl Operator for Split {
    fn name(&self) -> &'static str {
        "Split"
    }
    fn summary(&self) -> &'static str {
        "Cuts a tensor into parts along one axis; each goes its own way."
    }
    fn kind(&self) -> Kind {
        Kind::Merge
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let (axis, lens) = parts(node, inputs[0])?;
        if lens.len() < node.outputs.len() {
            return Err(Error::shape(
                node,
                format!("{} parts for {} outputs", lens.len(), node.outputs.len()),
            ));
        }
        let shape = |len: usize| {
            let mut shape = inputs[0].to_vec();
            shape[axis] = len;
            shape
        };
        Ok(lens.into_iter().map(shape).collect())
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let Ok((axis, lens)) = parts(call.node, call.inputs[0]) else { return };
        for (out, maps) in outputs.iter_mut().zip(maps(call.inputs[0], axis, &lens)) {
            gather::eval(inputs[0], call.inputs[0], &maps, 0.0, out);
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
        let (axis, lens) = parts(call.node, call.inputs[0])?;
        let maps = maps(call.inputs[0], axis, &lens);
        Ok(maps.iter().map(|maps| gather::forward(x.clone(), maps)).collect())
    }
    /// Along the axis a part's indices are a window of the input's; along every other axis all
    /// tensors go together.
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let x = call.inputs[0];
        let Ok((axis, lens)) = parts(call.node, x) else { return ties.lock_all(call) };
        let mut start = 0;
        for (part, len) in lens.iter().enumerate().take(call.outputs.len()) {
            for (other, n) in x.iter().enumerate() {
                if other == axis {
                    let from = start;
                    ties.pairs(
                        (Slot::In(0), axis),
                        (Slot::Out(part), axis),
                        (0..*len).map(|i| (from + i, i)),
                    );
                } else {
                    ties.same((Slot::In(0), other), (Slot::Out(part), other), *n);
                }
            }
            start += len;
        }
    }
    fn shrink(&self, old: &Call, kept: &dyn Fn(Slot, usize) -> Vec<usize>, attrs: &mut Attrs) {
        let Ok((axis, lens)) = parts(old.node, old.inputs[0]) else { return };
        let kept = kept(Slot::In(0), axis);
        let mut start = 0;
        let sizes = lens.iter().map(|len| {
            let window = start..start + len;
            start += len;
            kept.iter().filter(|i| window.contains(i)).count() as i64
        });
        attrs.insert("split".into(), Attr::Ints(sizes.collect()));
        // ONNX takes one or the other.
        attrs.remove("num_outputs");
    }
    fn import(&self, node: &mut Node, given: &[Option<Constant>], _opset: i64) -> Result<usize> {
        if let Some(sizes) = constants::ints(node, given, 1)? {
            node.attrs.insert("split".into(), Attr::Ints(sizes));
        }
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uneven_parts_and_errors() {
        let mut node = Node {
            name: "s".into(),
            op: "Split".into(),
            inputs: vec!["x".into()],
            outputs: vec!["a".into(), "b".into(), "c".into()],
            attrs: [("axis".to_owned(), 1i64.into())].into(),
        };
        assert_eq!(Split.infer(&node, &[&[2, 7]]).unwrap(), [[2, 3], [2, 3], [2, 1]]);
        node.attrs.insert("split".into(), vec![1i64, 2, 5].into());
        let message = Split.infer(&node, &[&[2, 7]]).unwrap_err().to_string();
        assert!(message.contains("“s”") && message.contains("[1, 2, 5]") && message.contains("[2, 7]"));
    }

    #[test]
    fn shrinks_to_what_each_part_keeps() {
        let node = Node {
            name: "s".into(),
            op: "Split".into(),
            inputs: vec!["x".into()],
            outputs: vec!["a".into(), "b".into()],
            attrs: [("num_outputs".to_owned(), 2i64.into())].into(),
        };
        let old = Call { node: &node, inputs: &[&[6]], outputs: &[&[3], &[3]] };
        let mut attrs = node.attrs.clone();
        Split.shrink(&old, &|_, _| vec![0, 3, 5], &mut attrs);
        assert_eq!(attrs, [("split".to_owned(), Attr::Ints(vec![1, 2]))].into());
    }
}
