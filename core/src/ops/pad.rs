//! Pad: a border around a tensor, constant, reflected, from the edge, or wrapped around; a
//! negative border crops. ONNX Pad-25; the constant inputs `pads`, `constant_value` (as `value`)
//! and `axes` are attributes here.

use super::{Call, Constant, Kind, Operator, Slot, Ties, constants, gather};
use crate::model::{Attr, Attrs, Node};
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Pad;

/// How the border is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Reflect,
    Edge,
    Wrap,
}

/// Mode and, per axis of the tensor, the borders before and after.
fn borders(node: &Node, x: &[usize]) -> Result<(Mode, Vec<(i64, i64)>)> {
    let mode = match node.str("mode", "constant") {
        "constant" => Mode::Constant,
        "reflect" => Mode::Reflect,
        "edge" => Mode::Edge,
        "wrap" => Mode::Wrap,
        other => {
            return Err(Error::shape(
                node,
                format!("mode “{other}”: constant, reflect, edge or wrap belongs there"),
            ));
        }
    };
    let pads = node.ints("pads").ok_or_else(|| Error::shape(node, "the attribute pads is missing"))?;
    let axes = node.ints("axes").map_or_else(|| (0..x.len() as i64).collect(), <[i64]>::to_vec);
    if pads.len() != 2 * axes.len() {
        return Err(Error::shape(
            node,
            format!("pads {pads:?} for {} axes of {x:?}: two numbers per axis belong there", axes.len()),
        ));
    }
    let axes = super::axes(node, &axes, x.len())?;
    let mut borders = vec![(0, 0); x.len()];
    for (i, axis) in axes.iter().copied().enumerate() {
        let (before, after) = (pads[i], pads[axes.len() + i]);
        let len = x[axis] as i64;
        let limit = i64::from(i32::MAX);
        if !(-limit..=limit).contains(&before)
            || !(-limit..=limit).contains(&after)
            // A border may crop what is there, not the other border.
            || len + before.min(0) + after.min(0) < 0
        {
            return Err(Error::shape(
                node,
                format!("borders of {before} and {after} on axis {axis} of {x:?} leave no valid length"),
            ));
        }
        if mode != Mode::Constant && len == 0 && before + after > 0 {
            return Err(Error::shape(
                node,
                format!("axis {axis} of {x:?} is empty: there is nothing to repeat"),
            ));
        }
        borders[axis] = (before, after);
    }
    Ok((mode, borders))
}

/// Where each output index along one axis comes from.
fn map(mode: Mode, len: usize, (before, after): (i64, i64)) -> Vec<usize> {
    let n = len as i64;
    let source = |o: i64| {
        let i = o - before;
        match mode {
            _ if (0..n).contains(&i) => i as usize,
            Mode::Constant => gather::OUTSIDE,
            Mode::Edge => i.clamp(0, n - 1) as usize,
            Mode::Wrap => i.rem_euclid(n) as usize,
            Mode::Reflect if n == 1 => 0,
            // The edge itself is not repeated, so the pattern has period 2 (n - 1).
            Mode::Reflect => {
                let phase = i.rem_euclid(2 * (n - 1));
                phase.min(2 * (n - 1) - phase) as usize
            }
        }
    };
    (0..(n + before + after).max(0)).map(source).collect()
}

fn maps(x: &[usize], mode: Mode, borders: &[(i64, i64)]) -> Vec<Vec<usize>> {
    x.iter().zip(borders).map(|(len, border)| map(mode, *len, *border)).collect()
}

impl Operator for Pad {
    fn name(&self) -> &'static str {
        "Pad"
    }
    fn summary(&self) -> &'static str {
        "Puts a border around a tensor."
    }
    fn kind(&self) -> Kind {
        Kind::Shape
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let (_, borders) = borders(node, inputs[0])?;
        let padded = |(len, (before, after)): (&usize, &(i64, i64))| (*len as i64 + before + after) as usize;
        Ok(vec![inputs[0].iter().zip(&borders).map(padded).collect()])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let x = call.inputs[0];
        let Ok((mode, borders)) = borders(call.node, x) else { return };
        gather::eval(inputs[0], x, &maps(x, mode, &borders), call.node.float("value", 0.0), outputs[0]);
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        use burn::tensor::ops::PadMode;
        let x = super::required(call.node, inputs, 0)?;
        let (mode, borders) = borders(call.node, call.inputs[0])?;
        let mut maps = maps(call.inputs[0], mode, &borders);
        // Crop and repeat first, then add the constant border.
        maps.iter_mut().for_each(|map| map.retain(|i| *i != gather::OUTSIDE));
        let x = gather::forward(x, &maps);
        let grow: Vec<(usize, usize)> =
            borders.iter().map(|(b, a)| ((*b).max(0) as usize, (*a).max(0) as usize)).collect();
        if mode != Mode::Constant || grow.iter().all(|g| *g == (0, 0)) {
            return Ok(vec![x]);
        }
        let value = PadMode::Constant(call.node.float("value", 0.0));
        Ok(vec![crate::map_value!(x, t => t.pad(grow, value))])
    }
    /// Axes without a border go together. A constant border moves the indices and its own can go
    /// one by one; a border made of values, or a crop, keeps every index of its axis.
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let x = call.inputs[0];
        let Ok((mode, borders)) = borders(call.node, x) else { return ties.lock_all(call) };
        for (axis, (len, (before, after))) in x.iter().zip(borders).enumerate() {
            let (from, to) = ((Slot::In(0), axis), (Slot::Out(0), axis));
            if (before, after) == (0, 0) {
                ties.same(from, to, *len);
            } else if mode == Mode::Constant && before >= 0 && after >= 0 {
                ties.pairs(from, to, (0..*len).map(|i| (i, i + before as usize)));
            } else {
                ties.lock(from.0, axis);
                ties.lock(to.0, axis);
            }
        }
    }
    fn shrink(&self, old: &Call, kept: &dyn Fn(Slot, usize) -> Vec<usize>, attrs: &mut Attrs) {
        let x = old.inputs[0];
        let Ok((Mode::Constant, borders)) = borders(old.node, x) else { return };
        let mut pads = vec![0; 2 * x.len()];
        for (axis, (before, after)) in borders.into_iter().enumerate() {
            (pads[axis], pads[x.len() + axis]) = (before, after);
            if before >= 0 && after >= 0 {
                let (start, end) = (before as usize, before as usize + x[axis]);
                let kept = kept(Slot::Out(0), axis);
                pads[axis] = kept.iter().filter(|k| **k < start).count() as i64;
                pads[x.len() + axis] = kept.iter().filter(|k| **k >= end).count() as i64;
            }
        }
        attrs.insert("pads".into(), Attr::Ints(pads));
        attrs.remove("axes");
    }
    fn import(&self, node: &mut Node, given: &[Option<Constant>], _opset: i64) -> Result<usize> {
        if let Some(pads) = constants::ints(node, given, 1)? {
            node.attrs.insert("pads".into(), Attr::Ints(pads));
        }
        if let Some(value) = constants::float(node, given, 2)? {
            node.attrs.insert("value".into(), Attr::Float(value));
        }
        if let Some(axes) = constants::ints(node, given, 3)? {
            node.attrs.insert("axes".into(), Attr::Ints(axes));
        }
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_of_every_mode() {
        const O: usize = gather::OUTSIDE;
        assert_eq!(map(Mode::Constant, 3, (1, 2)), [O, 0, 1, 2, O, O]);
        assert_eq!(map(Mode::Constant, 3, (-1, 1)), [1, 2, O]);
        assert_eq!(map(Mode::Reflect, 3, (4, 2)), [0, 1, 2, 1, 0, 1, 2, 1, 0]);
        assert_eq!(map(Mode::Edge, 3, (2, 1)), [0, 0, 0, 1, 2, 2]);
        assert_eq!(map(Mode::Wrap, 3, (2, 1)), [1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_shrunk_border_keeps_its_place() {
        let attrs = [("pads".to_owned(), vec![0i64, 2, 0, 1].into())].into();
        let node =
            Node { name: "p".into(), op: "Pad".into(), inputs: vec!["x".into()], outputs: vec![], attrs };
        let old = Call { node: &node, inputs: &[&[1, 3]], outputs: &[&[1, 6]] };
        let mut attrs = node.attrs.clone();
        let kept = |_: Slot, axis: usize| if axis == 0 { vec![0] } else { vec![1, 2, 4] };
        Pad.shrink(&old, &kept, &mut attrs);
        assert_eq!(attrs["pads"], Attr::Ints(vec![0, 1, 0, 0]));
    }
}
