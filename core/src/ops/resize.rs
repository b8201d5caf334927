//! Resize: scaling by the nearest neighbour or by linear interpolation. ONNX Resize-19, modes `nearest` and
//! `linear` (without antialiasing); the constant inputs `scales` and `sizes` are attributes here.

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
    if !["nearest", "linear"].contains(&mode) {
        return Err(Error::shape(
            node,
            format!("mode “{mode}” is not built here; “nearest” and “linear” are"),
        ));
    }
    if node.int("antialias", 0) != 0 {
        return Err(Error::shape(node, "antialiasing is not built here"));
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

/// Of an output place along an axis the two input places that it lies between, and how far it is toward the second,
/// 0 to 1.
type Between = (usize, usize, f32);

/// For every axis that is interpolated: the axis, and what each output index lies between.
fn between(node: &Node, x: &[usize]) -> Result<Vec<(usize, Vec<Between>)>> {
    let place = |o: usize, len: usize, out: usize, scale: f64| -> Result<Between> {
        let last = (len - 1) as f64;
        let at = place(node, o, len, out, scale)?.clamp(0.0, last);
        Ok((at.floor() as usize, (at.floor() + 1.0).min(last) as usize, at.fract() as f32))
    };
    let axis = |(axis, len, scale): (usize, usize, f64)| {
        Ok((axis, (0..len).map(|o| place(o, x[axis], len, scale)).collect::<Result<_>>()?))
    };
    scaled(node, x)?.into_iter().map(axis).collect()
}

fn linear(node: &Node) -> bool {
    node.str("mode", "nearest") == "linear"
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

/// Where output index `o` lies in the input.
fn place(node: &Node, o: usize, len: usize, out: usize, scale: f64) -> Result<f64> {
    let x = o as f64;
    let half_pixel = (x + 0.5) / scale - 0.5;
    Ok(match node.str("coordinate_transformation_mode", "half_pixel") {
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
    })
}

/// The input index of output index `o`.
fn source(node: &Node, o: usize, len: usize, out: usize, scale: f64) -> Result<usize> {
    let at = place(node, o, len, out, scale)?;
    let nearest = match node.str("nearest_mode", "round_prefer_floor") {
        "round_prefer_floor" => (at - 0.5).ceil(),
        "round_prefer_ceil" => (at + 0.5).floor(),
        "floor" => at.floor(),
        "ceil" => at.ceil(),
        other => return Err(Error::shape(node, format!("nearest_mode “{other}” is not known"))),
    };
    Ok(nearest.clamp(0.0, (len - 1) as f64) as usize)
}

/// Interpolates one axis after the other.
fn interpolate(x: &[f32], shape: &[usize], axes: &[(usize, Vec<Between>)], out: &mut [f32]) {
    let (mut values, mut shape) = (x.to_vec(), shape.to_vec());
    for (axis, places) in axes {
        let inner: usize = shape[axis + 1..].iter().product();
        let block = shape[*axis] * inner;
        let mut next = Vec::with_capacity(values.len() / shape[*axis].max(1) * places.len());
        for whole in values.chunks_exact(block.max(1)) {
            for (low, high, part) in places {
                let (low, high) = (&whole[low * inner..][..inner], &whole[high * inner..][..inner]);
                next.extend(low.iter().zip(high).map(|(a, b)| a + (b - a) * part));
            }
        }
        shape[*axis] = places.len();
        values = next;
    }
    out.copy_from_slice(&values);
}

/// The same on a Burn tensor.
#[cfg(feature = "compute")]
fn interpolated(mut x: super::Value, axes: &[(usize, Vec<Between>)]) -> Result<super::Value> {
    use burn::tensor::{Tensor, TensorData};
    for (axis, places) in axes {
        let pick = |of: fn(&Between) -> usize| -> super::Value {
            let mut maps: Vec<Vec<usize>> = x.dims().iter().map(|len| gather::identity(*len)).collect();
            maps[*axis] = places.iter().map(of).collect();
            gather::forward(x.clone(), &maps)
        };
        let (low, high) = (pick(|p| p.0), pick(|p| p.1));
        let parts = |of: &dyn Fn(f32) -> f32, value: super::Value| {
            let parts: Vec<f32> = places.iter().map(|p| of(p.2)).collect();
            crate::map_value!(value, t => {
                let mut shape = t.dims();
                shape.fill(1);
                shape[*axis] = parts.len();
                let data = TensorData::new(parts.clone(), [parts.len()]);
                let parts = Tensor::<1>::from_data(data, &t.device()).reshape(shape);
                t * parts
            })
        };
        let (low, high) = (parts(&|p| 1.0 - p, low), parts(&|p| p, high));
        x = crate::zip_values!(low, high, a, b => a + b);
    }
    Ok(x)
}

impl Operator for Resize {
    fn name(&self) -> &'static str {
        "Resize"
    }
    fn summary(&self) -> &'static str {
        "Makes an image larger or smaller by repeating, dropping or interpolating pixels."
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
    /// Two products for each value that interpolation along an axis makes.
    fn macs(&self, node: &Node, inputs: &[&[usize]], _outputs: &[&[usize]]) -> u64 {
        let (Some(x), true) = (inputs.first(), linear(node)) else { return 0 };
        let (mut shape, mut macs) = (x.to_vec(), 0);
        for (axis, len, _) in scaled(node, x).unwrap_or_default() {
            shape[axis] = len;
            macs += 2 * shape.iter().product::<usize>() as u64;
        }
        macs
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        if linear(call.node) {
            let Ok(axes) = between(call.node, call.inputs[0]) else { return };
            return interpolate(inputs[0], call.inputs[0], &axes, outputs[0]);
        }
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
        let x = super::required(call.node, inputs, 0)?;
        if linear(call.node) {
            return Ok(vec![interpolated(x, &between(call.node, call.inputs[0])?)?]);
        }
        Ok(vec![gather::forward(x, &maps(call.node, call.inputs[0])?)])
    }
    /// Axes that are not scaled go together; the others keep every index. Where one scale is
    /// shared by several axes, all of those keep every index, because it depends on their lengths.
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let x = call.inputs[0];
        let (Ok(maps), Ok(between)) = (maps(call.node, x), between(call.node, x)) else {
            return ties.lock_all(call);
        };
        // What lies between two input places depends on both.
        let mixes = |axis: usize| {
            linear(call.node)
                && between.iter().any(|(a, places)| *a == axis && places.iter().any(|p| p.2 > 0.0))
        };
        let shared = call.node.str("keep_aspect_ratio_policy", "stretch") != "stretch";
        let named = |axis: usize| {
            let axis = axis as i64;
            call.node.ints("axes").is_none_or(|a| a.contains(&axis) || a.contains(&(axis - x.len() as i64)))
        };
        for (axis, len) in x.iter().enumerate() {
            if gather::is_identity(&maps[axis], *len) && !mixes(axis) && !(shared && named(axis)) {
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
        node.attrs.insert("mode".into(), "linear".into());
        let (mut out, shapes) = ([0.0; 4], [&[1, 2][..], &[1, 4]]);
        let call = Call { node: &node, inputs: &shapes[..1], outputs: &shapes[1..] };
        Resize.eval(&call, &[&[1.0, 5.0]], &mut [&mut out]);
        assert_eq!(out, [1.0, 2.0, 4.0, 5.0]);
        assert_eq!(Resize.macs(&node, &shapes[..1], &shapes[1..]), 2 * 2 + 2 * 4);
        node.attrs.insert("antialias".into(), 1i64.into());
        assert!(Resize.infer(&node, &[&[1, 2]]).unwrap_err().to_string().contains("antialias"));
        node.attrs.insert("antialias".into(), 0i64.into());
        node.attrs.insert("mode".into(), "nearest".into());
        node.attrs.insert("sizes".into(), vec![1i64, i64::MAX].into());
        assert!(Resize.infer(&node, &[&[1, 2]]).is_err());
    }
}
