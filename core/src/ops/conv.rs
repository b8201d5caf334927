//! Conv: 2-D convolution with groups and dilation. ONNX Conv-22.

use super::{Call, Kind, Operator, Slot, Ties};
use crate::model::{Attr, Attrs, Node};
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Conv;

/// Geometry of a 2-D convolution, all axes as (height, width).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Groups.
    pub groups: usize,
    /// Kernel size.
    pub kernel: [usize; 2],
    /// Strides.
    pub strides: [usize; 2],
    /// Dilations.
    pub dilations: [usize; 2],
    /// Padding: top, left, bottom, right.
    pub pads: [usize; 4],
    /// Output size.
    pub out: [usize; 2],
}

/// No kernel, stride, dilation or padding is longer: sums and products of them stay far from
/// overflow, and a few bytes of a file cannot ask for a border of gigabytes.
const LONGEST: i64 = 1 << 12;

/// The padding of a window operator, from `pads` or `auto_pad`: top, left, bottom, right.
///
/// # Errors
/// Attributes of a wrong length or sign, or an unknown `auto_pad`.
pub fn padding(
    node: &Node,
    input: [usize; 2],
    window: [usize; 2],
    strides: [usize; 2],
) -> Result<[usize; 4]> {
    match node.str("auto_pad", "NOTSET") {
        "NOTSET" | "" => match node.ints("pads") {
            None => Ok([0; 4]),
            Some(p) if p.len() == 4 && p.iter().all(|x| (0..=LONGEST).contains(x)) => {
                Ok([p[0], p[1], p[2], p[3]].map(|x| x as usize))
            }
            Some(p) => {
                Err(Error::shape(node, format!("pads {p:?}: four lengths from 0 to {LONGEST} belong there")))
            }
        },
        "VALID" => Ok([0; 4]),
        same @ ("SAME_UPPER" | "SAME_LOWER") => {
            let total = |i: usize| {
                let out = input[i].div_ceil(strides[i]);
                ((out.saturating_sub(1)) * strides[i]).saturating_add(window[i]).saturating_sub(input[i])
            };
            let (h, w) = (total(0), total(1));
            if h.max(w) > LONGEST as usize {
                return Err(Error::shape(
                    node,
                    format!(
                        "auto_pad {same} on {input:?} with a window of {window:?} is a border of {h} × {w}"
                    ),
                ));
            }
            Ok(if same == "SAME_UPPER" {
                [h / 2, w / 2, h - h / 2, w - w / 2]
            } else {
                [h - h / 2, w - w / 2, h / 2, w / 2]
            })
        }
        other => Err(Error::shape(node, format!("auto_pad “{other}” is not known"))),
    }
}

/// A pair attribute of positive whole numbers.
///
/// # Errors
/// The attribute has another length or a value below 1.
pub fn pair(node: &Node, key: &str, default: [usize; 2]) -> Result<[usize; 2]> {
    match node.ints(key) {
        None => Ok(default),
        Some([a, b]) if (1..=LONGEST).contains(a) && (1..=LONGEST).contains(b) => {
            Ok([*a as usize, *b as usize])
        }
        Some(v) => {
            Err(Error::shape(node, format!("{key} {v:?}: two numbers from 1 to {LONGEST} belong there")))
        }
    }
}

/// The geometry of a convolution node.
///
/// # Errors
/// Names what does not fit, with the shapes.
pub fn geometry(node: &Node, x: &[usize], w: &[usize]) -> Result<Geometry> {
    let ([_, c, h, wd], [o, cg, kh, kw]) = (x, w) else {
        return Err(Error::shape(
            node,
            format!("input {x:?} and weight {w:?}: 2-D convolution takes N, C, H, W and O, C/groups, kH, kW"),
        ));
    };
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    if *o == 0 || *cg == 0 || groups == 0 || cg.checked_mul(groups) != Some(*c) || o % groups != 0 {
        return Err(Error::shape(
            node,
            format!(
                "{c} input channels, weight {w:?} and {groups} groups do not fit: C must be groups × {cg}, and O a multiple of groups"
            ),
        ));
    }
    let kernel = [*kh, *kw];
    if let Some(k) = node.ints("kernel_shape")
        && k.iter().map(|x| *x as usize).ne(kernel)
    {
        return Err(Error::shape(node, format!("kernel_shape {k:?} but a weight of {w:?}")));
    }
    let strides = pair(node, "strides", [1, 1])?;
    let dilations = pair(node, "dilations", [1, 1])?;
    let span = |k: usize, dilation: usize| k.saturating_sub(1).saturating_mul(dilation).saturating_add(1);
    let window = [span(*kh, dilations[0]), span(*kw, dilations[1])];
    let pads = padding(node, [*h, *wd], window, strides)?;
    let (ph, pw) = (h + pads[0] + pads[2], wd + pads[1] + pads[3]);
    if *kh == 0 || *kw == 0 || ph < window[0] || pw < window[1] {
        return Err(Error::shape(
            node,
            format!("a window of {window:?} does not fit into {ph} × {pw} (padding included)"),
        ));
    }
    let out = [(ph - window[0]) / strides[0] + 1, (pw - window[1]) / strides[1] + 1];
    Ok(Geometry { groups, kernel, strides, dilations, pads, out })
}

impl Operator for Conv {
    fn name(&self) -> &'static str {
        "Conv"
    }
    fn summary(&self) -> &'static str {
        "Slides small filters over an image; each output channel is one filter's answer everywhere."
    }
    fn kind(&self) -> Kind {
        Kind::Conv
    }
    fn arity(&self) -> RangeInclusive<usize> {
        2..=3
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let g = geometry(node, inputs[0], inputs[1])?;
        // A scalar has the empty shape too, so it is the name that says whether there is a bias.
        let given = node.inputs.get(2).is_some_and(|name| !name.is_empty());
        if let Some(bias) = inputs.get(2).filter(|_| given)
            && **bias != [inputs[1][0]]
        {
            return Err(Error::shape(
                node,
                format!("a bias of {bias:?} for {} output channels", inputs[1][0]),
            ));
        }
        Ok(vec![vec![inputs[0][0], inputs[1][0], g.out[0], g.out[1]]])
    }
    fn macs(&self, _node: &Node, inputs: &[&[usize]], outputs: &[&[usize]]) -> u64 {
        let per_output: usize = inputs[1][1..].iter().product();
        outputs[0].iter().product::<usize>() as u64 * per_output as u64
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let (xs, ws) = (call.inputs[0], call.inputs[1]);
        let Ok(g) = geometry(call.node, xs, ws) else { return };
        let (c, h, w) = (xs[1], xs[2], xs[3]);
        let (o, cg) = (ws[0], ws[1]);
        let og = o / g.groups;
        let bias = inputs.get(2).copied().unwrap_or(&[]);
        let mut out = outputs[0].iter_mut();
        for n in 0..xs[0] {
            for oc in 0..o {
                for oy in 0..g.out[0] {
                    for ox in 0..g.out[1] {
                        let mut sum = bias.get(oc).copied().unwrap_or(0.0);
                        for ic in 0..cg {
                            let channel = (n * c + oc / og * cg + ic) * h * w;
                            for ky in 0..g.kernel[0] {
                                let y = (oy * g.strides[0] + ky * g.dilations[0]).wrapping_sub(g.pads[0]);
                                if y >= h {
                                    continue;
                                }
                                for kx in 0..g.kernel[1] {
                                    let x = (ox * g.strides[1] + kx * g.dilations[1]).wrapping_sub(g.pads[1]);
                                    if x < w {
                                        let weight = ((oc * cg + ic) * g.kernel[0] + ky) * g.kernel[1] + kx;
                                        sum += inputs[0][channel + y * w + x] * inputs[1][weight];
                                    }
                                }
                            }
                        }
                        if let Some(slot) = out.next() {
                            *slot = sum;
                        }
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
        use burn::tensor::{
            module::conv2d,
            ops::{ConvOptions, PadMode},
        };
        let g = geometry(call.node, call.inputs[0], call.inputs[1])?;
        let rank = || Error::shape(call.node, "2-D convolution takes tensors of rank 4");
        let mut x = super::required(call.node, inputs, 0)?.r4().ok_or_else(rank)?;
        let w = super::required(call.node, inputs, 1)?.r4().ok_or_else(rank)?;
        let bias = inputs.get(2).cloned().flatten().and_then(|b| b.r1());
        let [top, left, bottom, right] = g.pads;
        // Burn pads both sides alike; what is left over is padded by hand.
        let padding = [top.min(bottom), left.min(right)];
        if top != bottom || left != right {
            let extra = (left - padding[1], right - padding[1], top - padding[0], bottom - padding[0]);
            x = x.pad(extra, PadMode::Constant(0.0));
        }
        let options = ConvOptions::new(g.strides, padding, g.dilations, g.groups);
        Ok(vec![super::Value::R4(conv2d(x, w, bias, options))])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let (x, w, out) = (call.inputs[0], call.inputs[1], call.outputs[0]);
        let groups = x[1] / w[1].max(1);
        ties.same((Slot::In(1), 0), (Slot::Out(0), 1), out[1]);
        if call.inputs.get(2).is_some_and(|b| !b.is_empty()) {
            ties.same((Slot::In(2), 0), (Slot::Out(0), 1), out[1]);
        }
        if groups == 1 {
            ties.same((Slot::In(1), 1), (Slot::In(0), 1), x[1]);
        } else if w[1] == 1 {
            // Depthwise: a channel and its filters are one; the number of groups shrinks.
            let multiplier = w[0] / groups;
            ties.pairs((Slot::In(0), 1), (Slot::Out(0), 1), (0..w[0]).map(|o| (o / multiplier, o)));
            ties.lock(Slot::In(1), 1);
        } else {
            // Grouped: the same position goes from every group, so that groups stay equal.
            let (cg, og) = (w[1], w[0] / groups);
            ties.pairs((Slot::In(0), 1), (Slot::In(1), 1), (0..x[1]).map(|c| (c, c % cg)));
            ties.pairs((Slot::Out(0), 1), (Slot::Out(0), 1), (0..w[0]).map(|o| (o, o % og)));
        }
        ties.lock(Slot::In(1), 2);
        ties.lock(Slot::In(1), 3);
        for axis in [0, 2, 3] {
            ties.lock(Slot::In(0), axis);
            ties.lock(Slot::Out(0), axis);
        }
    }
    fn shrink(&self, old: &Call, kept: &dyn Fn(Slot, usize) -> Vec<usize>, attrs: &mut Attrs) {
        if old.inputs[1][1] == 1 && old.inputs[0][1] > 1 {
            attrs.insert("group".into(), Attr::Int(kept(Slot::In(0), 1).len() as i64));
        }
    }
}
