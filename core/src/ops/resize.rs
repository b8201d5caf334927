//! Resize: nearest-neighbour scaling. ONNX Resize-19, mode `nearest`; the constant inputs
//! `scales` and `sizes` are attributes here.

use super::{Call, Constant, Kind, Operator, Slot, Ties, constants, gather};
use crate::model::{Attr, Attrs, Node};
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Resize;

/// For every axis that is scaled: the axis, its output length and its scale. Everything the node
/// says is checked here, at a cost that does not depend on the lengths.
fn scaled(node: &Node, x: &[usize]) -> Result<Vec<(usize, usize, f64)>> {
    let mode = node.str("mode", "nearest");
    if mode != "nearest" {
        return Err(Error::shape(node, format!("mode “{mode}” is not built here; “nearest” is")));
    }
    let axes = match node.ints("axes") {
        None => (0..x.len()).collect(),
        Some(axes) => super::axes(node, axes, x.len())?,
    };
    let targets = targets(node, x, &axes)?;
    let scaled: Vec<_> =
        axes.into_iter().zip(targets).map(|(axis, (len, scale))| (axis, len, scale)).collect();
    for (axis, len, scale) in &scaled {
        source(node, 0, x[*axis], *len, *scale)?;
    }
    Ok(scaled)
}

/// For every axis, where each output index comes from.
fn maps(node: &Node, x: &[usize]) -> Result<Vec<Vec<usize>>> {
    let mut maps: Vec<Vec<usize>> = x.iter().map(|len| gather::identity(*len)).collect();
    for (axis, len, scale) in scaled(node, x)? {
        maps[axis] = (0..len).map(|o| source(node, o, x[axis], len, scale)).collect::<Result<_>>()?;
    }
    Ok(maps)
}

/// Output length and scale of every axis in `axes`.
fn targets(node: &Node, x: &[usize], axes: &[usize]) -> Result<Vec<(usize, f64)>> {
    let check = |n: usize, what: &str| {
        if n == axes.len() {
            return Ok(());
        }
        Err(Error::shape(node, format!("{n} {what} for {} axes of {x:?}", axes.len())))
    };
    if axes.iter().any(|axis| x[*axis] == 0) {
        return Err(Error::shape(node, format!("{x:?} is empty: there is nothing to scale")));
    }
    // Far above any tensor that fits a browser's memory.
    let limit = f64::from(1u32 << 24);
    let fits = |len: f64| {
        if (1.0..=limit).contains(&len) {
            return Ok(len as usize);
        }
        Err(Error::shape(node, format!("{x:?} would be scaled to a length of {len}")))
    };
    match (node.floats("scales"), node.ints("sizes")) {
        (Some(scales), None) => {
            check(scales.len(), "scales")?;
            let target = |(axis, scale): (&usize, &f32)| {
                // In f32, as ONNX's shape inference has it.
                Ok((fits(f64::from((x[*axis] as f32 * scale).floor()))?, f64::from(*scale)))
            };
            axes.iter().zip(scales).map(target).collect()
        }
        (None, Some(sizes)) => {
            check(sizes.len(), "sizes")?;
            let scales = axes.iter().zip(sizes).map(|(axis, size)| *size as f64 / x[*axis] as f64);
            let policy = node.str("keep_aspect_ratio_policy", "stretch");
            let shared = match policy {
                "stretch" => None,
                "not_larger" => scales.clone().reduce(f64::min),
                "not_smaller" => scales.clone().reduce(f64::max),
                other => {
                    return Err(Error::shape(
                        node,
                        format!("keep_aspect_ratio_policy “{other}”: stretch, not_larger or not_smaller"),
                    ));
                }
            };
            let target = |((axis, size), scale): ((&usize, &i64), f64)| match shared {
                None => Ok((fits(*size as f64)?, scale)),
                Some(shared) => Ok((fits((shared * x[*axis] as f64 + 0.5).floor())?, shared)),
            };
            axes.iter().zip(sizes).zip(scales).map(target).collect()
        }
        _ => Err(Error::shape(node, "either scales or sizes must be given")),
    }
}

/// The input index of output index `o`.
fn source(node: &Node, o: usize, len: usize, out: usize, scale: f64) -> Result<usize> {
    let x = o as f64;
    let half_pixel = (x + 0.5) / scale - 0.5;
    let at = match node.str("coordinate_transformation_mode", "half_pixel") {
        "half_pixel" => half_pixel,
        "half_pixel_symmetric" => {
            let exact = scale * len as f64;
            len as f64 / 2.0 * (1.0 - out as f64 / exact) + half_pixel
        }
        "pytorch_half_pixel" if out > 1 => half_pixel,
        "align_corners" if out > 1 => x * (len - 1) as f64 / (out - 1) as f64,
        "pytorch_half_pixel" | "align_corners" => 0.0,
        "asymmetric" => x / scale,
        other => {
            return Err(Error::shape(
                node,
                format!("coordinate_transformation_mode “{other}” is not built here"),
            ));
        }
    };
    let nearest = match node.str("nearest_mode", "round_prefer_floor") {
        "round_prefer_floor" => (at - 0.5).ceil(),
        "round_prefer_ceil" => (at + 0.5).floor(),
        "floor" => at.floor(),
        "ceil" => at.ceil(),
        other => return Err(Error::shape(node, format!("nearest_mode “{other}” is not known"))),
    };
    Ok(nearest.clamp(0.0, (len - 1) as f64) as usize)
}

impl Operator for Resize {
    fn name(&self) -> &'static str {
        "Resize"
    }
    fn summary(&self) -> &'static str {
        "Makes an image larger or smaller by repeating or dropping pixels."
    }
    fn kind(&self) -> Kind {
        Kind::Shape
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let mut out = inputs[0].to_vec();
        scaled(node, inputs[0])?.into_iter().for_each(|(axis, len, _)| out[axis] = len);
        Ok(vec![out])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let Ok(maps) = maps(call.node, call.inputs[0]) else { return };
        gather::eval(inputs[0], call.inputs[0], &maps, 0.0, outputs[0]);
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let maps = maps(call.node, call.inputs[0])?;
        Ok(vec![gather::forward(super::required(call.node, inputs, 0)?, &maps)])
    }
    /// Axes that are not scaled go together; the others keep every index. Where one scale is
    /// shared by several axes, all of those keep every index, because it depends on their lengths.
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let x = call.inputs[0];
        let Ok(maps) = maps(call.node, x) else { return ties.lock_all(call) };
        let shared = call.node.str("keep_aspect_ratio_policy", "stretch") != "stretch";
        let named = |axis: usize| {
            let axis = axis as i64;
            call.node.ints("axes").is_none_or(|a| a.contains(&axis) || a.contains(&(axis - x.len() as i64)))
        };
        for (axis, len) in x.iter().enumerate() {
            if gather::is_identity(&maps[axis], *len) && !(shared && named(axis)) {
                ties.same((Slot::In(0), axis), (Slot::Out(0), axis), *len);
            } else {
                ties.lock(Slot::In(0), axis);
                ties.lock(Slot::Out(0), axis);
            }
        }
    }
    /// Sizes follow the output; scales follow by themselves.
    fn shrink(&self, old: &Call, kept: &dyn Fn(Slot, usize) -> Vec<usize>, attrs: &mut Attrs) {
        let (Some(sizes), "stretch") =
            (old.node.ints("sizes"), old.node.str("keep_aspect_ratio_policy", "stretch"))
        else {
            return;
        };
        let rank = old.inputs[0].len();
        let axes = old.node.ints("axes").map_or_else(|| (0..rank as i64).collect(), <[i64]>::to_vec);
        let sizes = axes.iter().zip(sizes).map(|(axis, size)| {
            super::axis(old.node, *axis, rank).map_or(*size, |axis| kept(Slot::Out(0), axis).len() as i64)
        });
        attrs.insert("sizes".into(), Attr::Ints(sizes.collect()));
    }
    fn import(&self, node: &mut Node, given: &[Option<Constant>], opset: i64) -> Result<usize> {
        // Resize-10 had (X, scales) and one way to round.
        let scales_at = if opset < 11 {
            node.attrs.insert("coordinate_transformation_mode".into(), "asymmetric".into());
            node.attrs.insert("nearest_mode".into(), "floor".into());
            1
        } else {
            2
        };
        if let Some(scales) = constants::floats(node, given, scales_at)?.filter(|s| !s.is_empty()) {
            node.attrs.insert("scales".into(), Attr::Floats(scales));
        }
        if let Some(sizes) = constants::ints(node, given, 3)?.filter(|s| !s.is_empty()) {
            node.attrs.insert("sizes".into(), Attr::Ints(sizes));
        }
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_and_says_what_it_cannot() {
        let attrs = [("sizes".to_owned(), vec![1i64, 4].into())].into();
        let mut node =
            Node { name: "z".into(), op: "Resize".into(), inputs: vec!["x".into()], outputs: vec![], attrs };
        assert_eq!(maps(&node, &[1, 2]).unwrap()[1], [0, 0, 1, 1]);
        node.attrs.insert("mode".into(), "cubic".into());
        assert!(Resize.infer(&node, &[&[1, 2]]).unwrap_err().to_string().contains("cubic"));
        node.attrs.insert("mode".into(), "nearest".into());
        node.attrs.insert("sizes".into(), vec![1i64, i64::MAX].into());
        assert!(Resize.infer(&node, &[&[1, 2]]).is_err());
    }
}
