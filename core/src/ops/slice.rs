//! Slice: a window of a tensor, with steps. ONNX Slice-13; the constant inputs `starts`, `ends`,
//! `axes` and `steps` are attributes here.

use super::{Call, Constant, Kind, Operator, Slot, Ties, constants, gather};
use crate::model::{Attr, Attrs, Node};
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Slice;

/// What is taken of one axis: `count` indices from `start` in steps of `step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    axis: usize,
    start: usize,
    count: usize,
    step: i64,
}

impl Window {
    /// Clamps as ONNX does: negative bounds count from the end; then a bound outside the axis
    /// moves to its border, which is one before the first index for the end of a backward step.
    fn new(axis: usize, len: usize, start: i64, end: i64, step: i64) -> Self {
        let n = len as i64;
        let wrap = |bound: i64| if bound < 0 { bound.saturating_add(n) } else { bound };
        let (start, end) = if step > 0 {
            (wrap(start).clamp(0, n), wrap(end).clamp(0, n))
        } else {
            (wrap(start).clamp(0, (n - 1).max(0)), wrap(end).clamp(-1, n - 1))
        };
        let span = if step > 0 { end - start } else { start - end };
        let count = if span > 0 { (span as u64).div_ceil(step.unsigned_abs()) as usize } else { 0 };
        Self { axis, start: start as usize, count, step }
    }

    fn map(&self) -> Vec<usize> {
        (0..self.count as i64).map(|i| (self.start as i64 + i * self.step) as usize).collect()
    }
}

/// The windows of the axes that the node names.
fn windows(node: &Node, x: &[usize]) -> Result<Vec<Window>> {
    let (Some(starts), Some(ends)) = (node.ints("starts"), node.ints("ends")) else {
        return Err(Error::shape(node, "the attributes starts and ends are missing"));
    };
    let axes = node.ints("axes").map_or_else(|| (0..starts.len() as i64).collect(), <[i64]>::to_vec);
    let steps = node.ints("steps").map_or_else(|| vec![1; starts.len()], <[i64]>::to_vec);
    if [ends.len(), axes.len(), steps.len()].iter().any(|n| *n != starts.len()) {
        return Err(Error::shape(
            node,
            format!(
                "starts {starts:?}, ends {ends:?}, axes {axes:?} and steps {steps:?} must be equally many"
            ),
        ));
    }
    let mut windows: Vec<Window> = Vec::with_capacity(axes.len());
    for (i, axis) in super::axes(node, &axes, x.len())?.into_iter().enumerate() {
        if steps[i] == 0 {
            return Err(Error::shape(node, format!("a step of 0 along axis {axis}")));
        }
        windows.push(Window::new(axis, x[axis], starts[i], ends[i], steps[i]));
    }
    Ok(windows)
}

fn maps(x: &[usize], windows: &[Window]) -> Vec<Vec<usize>> {
    let mut maps: Vec<Vec<usize>> = x.iter().map(|len| gather::identity(*len)).collect();
    windows.iter().for_each(|w| maps[w.axis] = w.map());
    maps
}

impl Operator for Slice {
    fn name(&self) -> &'static str {
        "Slice"
    }
    fn summary(&self) -> &'static str {
        "Takes a window out of a tensor."
    }
    fn kind(&self) -> Kind {
        Kind::Shape
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let mut out = inputs[0].to_vec();
        windows(node, inputs[0])?.iter().for_each(|w| out[w.axis] = w.count);
        Ok(vec![out])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let x = call.inputs[0];
        let Ok(windows) = windows(call.node, x) else { return };
        gather::eval(inputs[0], x, &maps(x, &windows), 0.0, outputs[0]);
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let windows = windows(call.node, call.inputs[0])?;
        let x = super::required(call.node, inputs, 0)?;
        Ok(vec![gather::forward(x, &maps(call.inputs[0], &windows))])
    }
    /// A run of neighbours (step 1 or -1) stays one whatever is removed, so its indices go with
    /// the output's, and those outside the window are free. With wider steps the axis keeps every
    /// index: what is left would no longer be evenly spaced.
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let x = call.inputs[0];
        let Ok(windows) = windows(call.node, x) else { return ties.lock_all(call) };
        for (axis, len) in x.iter().enumerate() {
            let (from, to) = ((Slot::In(0), axis), (Slot::Out(0), axis));
            match windows.iter().find(|w| w.axis == axis) {
                None => ties.same(from, to, *len),
                Some(w) if w.step.unsigned_abs() == 1 && w.count > 0 => {
                    ties.pairs(from, to, w.map().into_iter().enumerate().map(|(o, i)| (i, o)));
                }
                Some(_) => {
                    ties.lock(from.0, axis);
                    ties.lock(to.0, axis);
                }
            }
        }
    }
    fn shrink(&self, old: &Call, kept: &dyn Fn(Slot, usize) -> Vec<usize>, attrs: &mut Attrs) {
        let Ok(windows) = windows(old.node, old.inputs[0]) else { return };
        let (Some(starts), Some(ends)) = (old.node.ints("starts"), old.node.ints("ends")) else { return };
        let (mut starts, mut ends) = (starts.to_vec(), ends.to_vec());
        for (i, w) in windows.iter().enumerate().filter(|(_, w)| w.step.unsigned_abs() == 1 && w.count > 0) {
            let map = w.map();
            let (low, high) = (map[0].min(map[w.count - 1]), map[0].max(map[w.count - 1]));
            let kept = kept(Slot::In(0), w.axis);
            let before = kept.iter().filter(|k| **k < low).count() as i64;
            let inside = kept.iter().filter(|k| (low..=high).contains(k)).count() as i64;
            if w.step > 0 {
                (starts[i], ends[i]) = (before, before + inside);
            } else {
                // One before the first index cannot be written as -1, which means the last.
                let end = if before == 0 { i64::from(i32::MIN) } else { before - 1 };
                (starts[i], ends[i]) = (before + inside - 1, end);
            }
        }
        attrs.insert("starts".into(), Attr::Ints(starts));
        attrs.insert("ends".into(), Attr::Ints(ends));
    }
    fn import(&self, node: &mut Node, given: &[Option<Constant>], _opset: i64) -> Result<usize> {
        for (i, key) in ["starts", "ends", "axes", "steps"].into_iter().enumerate() {
            if let Some(values) = constants::ints(node, given, i + 1)? {
                node.attrs.insert(key.into(), Attr::Ints(values));
            }
        }
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clamps_as_onnx_does() {
        let taken = |start, end, step| Window::new(0, 5, start, end, step).map();
        assert_eq!(taken(1, 1000, 1), [1, 2, 3, 4]);
        assert_eq!(taken(-3, -1, 1), [2, 3]);
        assert_eq!(taken(1000, i64::MIN, -1), [4, 3, 2, 1, 0]);
        assert_eq!(taken(-1, -6, -2), [4, 2, 0]);
        assert_eq!(taken(3, -1, -1), [0usize; 0]);
        assert_eq!(taken(0, i64::MAX, i64::MAX), [0]);
        assert_eq!(taken(7, 9, 1), [0usize; 0]);
    }

    fn shrunk(start: i64, end: i64, step: i64, kept: &[usize]) -> Vec<usize> {
        let attrs: Attrs = [("starts", start), ("ends", end), ("steps", step)]
            .map(|(key, value)| (key.to_owned(), Attr::Ints(vec![value])))
            .into();
        let node =
            Node { name: "s".into(), op: "Slice".into(), inputs: vec!["x".into()], outputs: vec![], attrs };
        let out = Slice.infer(&node, &[&[6]]).unwrap();
        let old = Call { node: &node, inputs: &[&[6]], outputs: &[&out[0]] };
        let mut smaller = node.clone();
        Slice.shrink(&old, &|_, _| kept.to_vec(), &mut smaller.attrs);
        windows(&smaller, &[kept.len()]).unwrap()[0].map().into_iter().map(|i| kept[i]).collect()
    }

    #[test]
    fn a_shrunk_window_takes_the_same_channels() {
        assert_eq!(shrunk(1, 5, 1, &[0, 2, 4, 5]), [2, 4]);
        assert_eq!(shrunk(-1, -7, -1, &[0, 2, 5]), [5, 2, 0]);
        assert_eq!(shrunk(4, 1, -1, &[0, 1, 3, 4, 5]), [4, 3]);
    }
}
