//! Plans against the reference interpreter, for every operator, in f32 and on integers.

use super::kernels::Affine;
use super::{Plan, Seen, reference};
use crate::model::{Attr, Attrs, ConvOptions, GraphBuilder, Grid, Init, Model, Storage, Weight};
use crate::ops;
use crate::quant::affine;
use crate::rng::Rng;
use std::collections::BTreeMap;

/// Random weights everywhere, variances positive.
fn randomize(model: &mut Model, rng: &mut Rng) {
    for (name, weight) in &mut model.weights {
        let positive = name.ends_with(".var");
        let values = (0..weight.len()).map(|_| if positive { 0.2 + rng.f32() } else { 0.5 * rng.normal() });
        *weight = Weight::dense(weight.shape.clone(), values.collect());
    }
}

fn normals(n: usize, rng: &mut Rng) -> Vec<f32> {
    (0..n).map(|_| rng.normal()).collect()
}

fn attrs(list: &[(&str, Attr)]) -> Attrs {
    list.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
}

fn ints(v: &[i64]) -> Attr {
    Attr::Ints(v.to_vec())
}

/// A small graph around one operator, on N, 3, 8, 6; all of them are covered.
fn example(op: &str) -> Model {
    let mut b = GraphBuilder::new(op, &[3, 8, 6]);
    let x = b.input();
    let other = |b: &mut GraphBuilder| b.unary("Sigmoid", "x").unwrap();
    let one = |b: &mut GraphBuilder, inputs: &[&str], a: Attrs| b.node(op, inputs, a, 1).unwrap().remove(0);
    let y = match op {
        "Add" | "Mul" | "Sub" => {
            let s = other(&mut b);
            one(&mut b, &[&x, &s], Attrs::new())
        }
        "Div" => {
            // Away from zero, on a grid too.
            let s = other(&mut b);
            let one_more = b.param("one.var".into(), vec![1], Init::Constant(1.0), false);
            let s = b.add(&s, &one_more).unwrap();
            one(&mut b, &[&x, &s], Attrs::new())
        }
        "Concat" => {
            let s = other(&mut b);
            one(&mut b, &[&x, &s], attrs(&[("axis", Attr::Int(1))]))
        }
        "AveragePool" | "MaxPool" => b.pool(op, &x, 3, 2).unwrap(),
        "BatchNormalization" => b.batch_norm(&x).unwrap(),
        "Clip" => one(&mut b, &[&x], attrs(&[("min", Attr::Float(-0.5)), ("max", Attr::Float(0.75))])),
        "Conv" => {
            let options = ConvOptions { bias: true, ..ConvOptions::default() };
            b.conv(&x, 5, 3, options).unwrap()
        }
        "Gemm" => {
            let f = b.unary("Flatten", &x).unwrap();
            b.linear(&f, 10).unwrap()
        }
        "LayerNormalization" => {
            let scale = b.param("scale".into(), vec![6], Init::Constant(1.0), true);
            let bias = b.param("bias".into(), vec![6], Init::Constant(0.0), true);
            one(&mut b, &[&x, &scale, &bias], attrs(&[("axis", Attr::Int(-1))]))
        }
        "MatMul" => {
            let w = b.param("w".into(), vec![6, 5], Init::Constant(0.0), true);
            one(&mut b, &[&x, &w], Attrs::new())
        }
        "Pad" => one(&mut b, &[&x], attrs(&[("pads", ints(&[0, 0, 1, 2, 0, 0, 0, 1]))])),
        "ReduceMean" | "ReduceSum" => one(&mut b, &[&x], attrs(&[("axes", ints(&[2, 3]))])),
        "Reshape" => one(&mut b, &[&x], attrs(&[("shape", ints(&[0, -1]))])),
        "Resize" => one(
            &mut b,
            &[&x],
            attrs(&[
                ("axes", ints(&[2, 3])),
                ("sizes", ints(&[16, 9])),
                ("mode", "nearest".into()),
                ("coordinate_transformation_mode", "asymmetric".into()),
                ("nearest_mode", "floor".into()),
            ]),
        ),
        "Slice" => one(
            &mut b,
            &[&x],
            attrs(&[
                ("starts", ints(&[1, 0])),
                ("ends", ints(&[3, 7])),
                ("axes", ints(&[1, 2])),
                ("steps", ints(&[1, 2])),
            ]),
        ),
        "Softmax" => one(&mut b, &[&x], attrs(&[("axis", Attr::Int(-1))])),
        "Split" => {
            let a = attrs(&[("axis", Attr::Int(1)), ("split", ints(&[2, 1]))]);
            b.node(op, &[&x], a, 2).unwrap().remove(1)
        }
        "Transpose" => one(&mut b, &[&x], attrs(&[("perm", ints(&[0, 2, 3, 1]))])),
        _ => one(&mut b, &[&x], Attrs::new()),
    };
    let mut model = Model::init(b.finish(&y).unwrap(), 0);
    randomize(&mut model, &mut Rng::stream(9, op));
    model
}

fn close(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    let scale = b.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-5 * scale, "{what}: value {i} is {a} where {b} belongs");
    }
}

/// A grid over what was seen.
fn grid(values: &[f32], bits: u8, symmetric: bool) -> Grid {
    let low = values.iter().copied().fold(f32::MAX, f32::min);
    let high = values.iter().copied().fold(f32::MIN, f32::max);
    affine::per_tensor(low, high, bits, symmetric).unwrap()
}

/// Puts weights of rank 2 and above on symmetric integers, activations on grids over `x`.
fn quantize(model: &Model, x: &[f32], bits: u8, per_channel: bool, symmetric: bool) -> Model {
    let mut quantized = model.clone();
    for weight in quantized.weights.values_mut().filter(|w| w.shape.len() >= 2) {
        let values = weight.to_f32();
        let range = |v: &[f32]| v.iter().fold((0.0f32, 0.0f32), |(l, h), x| (l.min(*x), h.max(*x)));
        let grid = if per_channel {
            let ranges: Vec<_> = values.chunks(values.len() / weight.shape[0]).map(range).collect();
            affine::per_channel(&ranges, 0, bits, true).unwrap()
        } else {
            let (low, high) = range(&values);
            affine::per_tensor(low, high, bits, true).unwrap()
        };
        let ints = affine::quantize(&values, &weight.shape, &grid);
        weight.storage = Storage::Int(affine::pack(&ints, grid));
    }
    let seen = reference::Reference::new(model).unwrap().trace(&[x], &|_| true).unwrap();
    quantized.activations =
        seen.iter().map(|(name, values)| (name.clone(), grid(values, 8, symmetric))).collect();
    quantized
}

#[test]
fn every_operator_runs_in_a_plan_as_in_the_reference() {
    for op in ops::ALL {
        let model = example(op.name());
        for batch in [1, 3] {
            let x = normals(batch * 3 * 8 * 6, &mut Rng::stream(1, op.name()));
            let mut plan = Plan::new(&model, batch).unwrap();
            let mut y = Vec::new();
            plan.run(&x, &mut y).unwrap();
            close(&y, &reference::run(&model, &x).unwrap(), op.name());
            // Again, with what the first run left in the arena.
            let mut again = Vec::new();
            plan.run(&x, &mut again).unwrap();
            assert_eq!(y, again, "{}", op.name());
        }
    }
}

#[test]
fn every_operator_keeps_a_quantized_networks_grids() {
    for op in ops::ALL {
        let model = example(op.name());
        let x = normals(2 * 3 * 8 * 6, &mut Rng::stream(2, op.name()));
        for symmetric in [false, true] {
            let quantized = quantize(&model, &x, 8, op.name() != "MatMul", symmetric);
            let mut plan = Plan::new(&quantized, 2).unwrap();
            let mut y = Vec::new();
            let mut seen: BTreeMap<String, Vec<f32>> = BTreeMap::new();
            plan.run_observed(&x, &mut y, &mut |name, _, values| {
                if let Seen::I8(values, grid) = values {
                    let real = values.iter().map(|q| grid.dequantize(*q)).collect();
                    seen.insert(name.to_owned(), real);
                }
            })
            .unwrap();
            // Each node on what the plan itself gave it, in reals, is within a step of what it made.
            for node in &model.graph.nodes {
                let shapes = model.graph.analyze(2).unwrap().shapes;
                let ins: Vec<&[usize]> = node.inputs.iter().map(|n| shapes[n].as_slice()).collect();
                let values: Vec<Vec<f32>> = node
                    .inputs
                    .iter()
                    .map(|n| seen.get(n).cloned().unwrap_or_else(|| quantized.values(n)))
                    .collect();
                let values: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
                let outs: Vec<&[usize]> = node.outputs.iter().map(|n| shapes[n].as_slice()).collect();
                let mut made: Vec<Vec<f32>> = outs.iter().map(|s| vec![0.0; s.iter().product()]).collect();
                let mut slots: Vec<&mut [f32]> = made.iter_mut().map(Vec::as_mut_slice).collect();
                let call = ops::Call { node, inputs: &ins, outputs: &outs };
                ops::get(&node.op).unwrap().eval(&call, &values, &mut slots);
                if super::lower::RESHAPES.contains(&node.op.as_str()) && !seen.contains_key(&node.outputs[0])
                {
                    // An alias: seen under the name of what it reshapes, on that grid.
                    assert_eq!(
                        quantized.activations[&node.inputs[0]],
                        quantized.activations[&node.outputs[0]]
                    );
                    seen.insert(node.outputs[0].clone(), seen[&node.inputs[0]].clone());
                }
                for (name, made) in node.outputs.iter().zip(&made) {
                    let grid = &quantized.activations[name];
                    let wanted = affine::fake(made, &[made.len()], grid);
                    assert_eq!(seen[name].len(), wanted.len());
                    for (g, w) in seen[name].iter().zip(&wanted) {
                        assert!(
                            (g - w).abs() <= 1.001 * grid.scale[0],
                            "{} ({}): {g} where {w} belongs, step {}",
                            op.name(),
                            node.name,
                            grid.scale[0]
                        );
                    }
                }
            }
        }
    }
}

/// A random convolution layer as a model: N, c, h, w.
fn random_conv(rng: &mut Rng) -> (Model, [usize; 3]) {
    loop {
        let groups = [1, 1, 2, 3, 4][rng.below(5)];
        let c = groups * (1 + rng.below(4));
        let o = groups * (1 + rng.below(5));
        let (h, w) = (1 + rng.below(11), 1 + rng.below(11));
        let mut b = GraphBuilder::new("conv", &[c, h, w]);
        let kernel = [1 + rng.below(4), 1 + rng.below(4)];
        let weight = b.param(
            "w".into(),
            vec![o, c / groups, kernel[0], kernel[1]],
            Init::He { fan_in: c / groups * kernel[0] * kernel[1] },
            true,
        );
        let bias = b.param("b".into(), vec![o], Init::Constant(0.0), true);
        let mut pick = |n: usize| (rng.below(n)) as i64;
        let a = attrs(&[
            ("group", Attr::Int(groups as i64)),
            ("strides", ints(&[1 + pick(3), 1 + pick(3)])),
            ("dilations", ints(&[1 + pick(2), 1 + pick(2)])),
            ("pads", ints(&[pick(3), pick(3), pick(3), pick(3)])),
        ]);
        let Ok(y) = b.node("Conv", &["x", &weight, &bias], a, 1) else { continue };
        let y = if rng.chance(0.5) { b.unary("Relu", &y[0]).unwrap() } else { y[0].clone() };
        let mut model = Model::init(b.finish(&y).unwrap(), rng.next_u64());
        randomize(&mut model, rng);
        return (model, [c, h, w]);
    }
}

#[test]
fn random_convolutions_agree_with_the_reference() {
    let mut rng = Rng::new(21);
    for _ in 0..200 {
        let (model, shape) = random_conv(&mut rng);
        let x = normals(2 * shape.iter().product::<usize>(), &mut rng);
        let mut y = Vec::new();
        Plan::new(&model, 2).unwrap().run(&x, &mut y).unwrap();
        close(&y, &reference::run(&model, &x).unwrap(), &format!("{:?}", model.graph.nodes[0].attrs));
    }
}

/// The affine arithmetic of a convolution in f64 and nothing else: integers in, integers out.
fn simulate(model: &Model, shape: [usize; 3], q: &[i8], from: Affine, to: Affine) -> Vec<i32> {
    let node = &model.graph.nodes[0];
    let (weight, bias) = (&model.weights["w"], model.values("b"));
    let Storage::Int(packed) = &weight.storage else { panic!("integers") };
    let w = affine::unpack(packed, weight.len());
    let [_, cg, kh, kw] = weight.shape[..] else { panic!("rank 4") };
    let x = [2, shape[0], shape[1], shape[2]];
    let g = ops::conv::geometry(node, &x, &weight.shape).unwrap();
    let og = weight.shape[0] / g.groups;
    let relu = model.graph.nodes.len() > 1;
    let mut out = Vec::new();
    for n in 0..2 {
        for (o, bias) in bias.iter().enumerate() {
            let channel = if packed.grid.axis.is_some() { o } else { 0 };
            let (sw, zw) = (f64::from(packed.grid.scale[channel]), packed.grid.zero_point[channel]);
            for i in 0..g.out[0] * g.out[1] {
                let (oy, ox) = (i / g.out[1], i % g.out[1]);
                let mut sum = f64::from(*bias);
                for c in 0..cg {
                    for ky in 0..kh {
                        for kx in 0..kw {
                            let y = (oy * g.strides[0] + ky * g.dilations[0]).wrapping_sub(g.pads[0]);
                            let x = (ox * g.strides[1] + kx * g.dilations[1]).wrapping_sub(g.pads[1]);
                            if y < shape[1] && x < shape[2] {
                                let at = ((n * shape[0] + o / og * cg + c) * shape[1] + y) * shape[2] + x;
                                let real =
                                    f64::from(from.scale) * f64::from(i32::from(q[at]) - from.zero_point);
                                let k = ((o * cg + c) * kh + ky) * kw + kx;
                                sum += real * sw * f64::from(w[k] - zw);
                            }
                        }
                    }
                }
                if relu {
                    sum = sum.max(0.0);
                }
                let step = (sum / f64::from(to.scale)).round_ties_even() as i32 + to.zero_point;
                out.push(step.clamp(to.low, to.high));
            }
        }
    }
    out
}

#[test]
fn integer_convolutions_are_within_one_step_of_exact_arithmetic() {
    let mut rng = Rng::new(22);
    let (mut total, mut off) = (0, 0);
    for round in 0..150 {
        let (model, shape) = random_conv(&mut rng);
        let x = normals(2 * shape.iter().product::<usize>(), &mut rng);
        let bits = 2 + rng.below(7) as u8;
        let quantized = quantize(&model, &x, bits, rng.chance(0.7), rng.chance(0.5));
        let mut plan = Plan::new(&quantized, 2).unwrap();
        let steps = plan.describe();
        assert_eq!(steps.len(), 1, "conv and ReLU are one integer kernel: {steps:?}");
        assert_eq!(steps[0].dtype, super::kernels::Dtype::I8);
        let mut tensors = Vec::new();
        let mut y = Vec::new();
        plan.run_observed(&x, &mut y, &mut |_, _, seen| {
            let Seen::I8(q, grid) = seen else { panic!("everything is on a grid") };
            tensors.push((q.to_vec(), grid));
        })
        .unwrap();
        let [(input, from), (output, to)] = &tensors[..] else { panic!("two tensors") };
        let wanted = simulate(&quantized, shape, input, *from, *to);
        assert_eq!(output.len(), wanted.len());
        for (got, wanted) in output.iter().zip(&wanted) {
            let error = (i32::from(*got) - wanted).abs();
            assert!(error <= 1, "round {round}: {got} where {wanted} belongs");
            off += usize::from(error == 1);
            total += 1;
        }
    }
    // Only halves may go another way.
    assert!(off * 100 < total, "{off} of {total} are one step off");
}

/// A residual CNN with everything the digits' networks have.
fn network() -> Model {
    let mut b = GraphBuilder::new("net", &[1, 8, 8]);
    let x = b.input();
    let c = b.conv(&x, 12, 3, ConvOptions::default()).unwrap();
    let c = b.batch_norm(&c).unwrap();
    let stem = b.unary("Relu", &c).unwrap();
    let d = b.conv(&stem, 12, 3, ConvOptions { groups: 12, ..ConvOptions::default() }).unwrap();
    let d = b.batch_norm(&d).unwrap();
    let d = b.unary("HardSwish", &d).unwrap();
    let p = b.conv(&d, 12, 1, ConvOptions { bias: true, ..ConvOptions::default() }).unwrap();
    let sum = b.add(&p, &stem).unwrap();
    let sum = b.unary("Relu", &sum).unwrap();
    let pool = b.pool("MaxPool", &sum, 2, 2).unwrap();
    let e = b.conv(&pool, 16, 3, ConvOptions { stride: 2, ..ConvOptions::default() }).unwrap();
    let e = b.batch_norm(&e).unwrap();
    let e = b.unary("Relu", &e).unwrap();
    let f = b.unary("Flatten", &e).unwrap();
    let y = b.linear(&f, 10).unwrap();
    let mut model = Model::init(b.finish(&y).unwrap(), 4);
    for (name, weight) in &mut model.weights {
        if name.starts_with("batchnormalization") {
            let mut rng = Rng::stream(5, name);
            let values = (0..weight.len()).map(|i| match name.rsplit('.').next() {
                Some("var") => 0.5 + rng.f32(),
                // One channel of each is turned around: folding must keep the sign.
                Some("scale") => {
                    if i == 0 {
                        -1.0
                    } else {
                        0.5 + rng.f32()
                    }
                }
                _ => 0.2 * rng.normal(),
            });
            *weight = Weight::dense(weight.shape.clone(), values.collect());
        }
    }
    model
}

#[test]
fn a_network_is_fused_and_its_arena_is_sound() {
    let model = network();
    let mut rng = Rng::new(7);
    let x = normals(5 * 64, &mut rng);
    let mut plan = Plan::new(&model, 5).unwrap();
    let mut y = Vec::new();
    plan.run(&x, &mut y).unwrap();
    close(&y, &reference::run(&model, &x).unwrap(), "network");
    let steps = plan.describe();
    let fused: usize = steps.iter().map(|s| s.fused.len()).sum();
    // Three norms, and the ReLUs after the stem, the sum and the last convolution.
    assert_eq!(fused, 6, "{steps:#?}");
    assert_eq!(steps.len(), 8, "{steps:#?}");
    assert!(steps.iter().any(|s| s.in_place && s.op == "HardSwish"));
    let (requests, layout) = plan.memory();
    for (i, a) in requests.iter().enumerate() {
        for (j, b) in requests.iter().enumerate().skip(i + 1).filter(|(_, b)| a.meets(b)) {
            let (x, y) = (layout.offsets[i], layout.offsets[j]);
            assert!(x + a.bytes <= y || y + b.bytes <= x, "{a:?} {b:?}");
        }
    }
    assert!(layout.peak_bytes >= super::arena::lower_bound(requests));
    assert!(layout.peak_bytes <= requests.iter().map(|r| super::arena::aligned(r.bytes)).sum());
    assert_eq!(plan.peak_bytes(), layout.peak_bytes);
    // Any number of samples, whatever the batch.
    let x = normals(13 * 64, &mut rng);
    close(&plan.run_all(&x).unwrap(), &reference::run(&model, &x).unwrap(), "in batches");
}

#[test]
fn a_quantized_network_runs_on_integers_and_stays_close() {
    let model = network();
    let x = normals(64 * 64, &mut Rng::new(8));
    let real = reference::run(&model, &x).unwrap();
    let quantized = quantize(&model, &x, 8, true, false);
    let mut plan = Plan::new(&quantized, 64).unwrap();
    let mut y = Vec::new();
    plan.run(&x, &mut y).unwrap();
    let steps = plan.describe();
    assert!(steps.iter().all(|s| s.dtype == super::kernels::Dtype::I8), "{steps:#?}");
    let float = Plan::new(&model, 64).unwrap();
    assert!(plan.peak_bytes() * 2 < float.peak_bytes(), "{} {}", plan.peak_bytes(), float.peak_bytes());
    let rms = |v: &mut dyn Iterator<Item = f32>| {
        let (n, sum) = v.fold((0, 0.0), |(n, s), x| (n + 1, s + f64::from(x * x)));
        (sum / f64::from(n)).sqrt()
    };
    let error = rms(&mut y.iter().zip(&real).map(|(a, b)| a - b));
    let signal = rms(&mut real.iter().copied());
    assert!(error < 0.05 * signal, "error {error} of {signal}");
    // Without a grid on the logits, the sums go straight to reals.
    let mut open = quantized.clone();
    open.activations.remove(&open.graph.outputs[0].clone());
    let mut z = Vec::new();
    Plan::new(&open, 64).unwrap().run(&x, &mut z).unwrap();
    let error = rms(&mut z.iter().zip(&real).map(|(a, b)| a - b));
    assert!(error < 0.05 * signal && z != y, "error {error} of {signal}");
    // Weights alone on integers: reals compute, from dequantized weights.
    let weights_only = Model { activations: BTreeMap::new(), ..quantized };
    let mut w = Vec::new();
    Plan::new(&weights_only, 64).unwrap().run(&x, &mut w).unwrap();
    close(&w, &reference::run(&weights_only, &x).unwrap(), "weights only");
}

/// A reshape only renames its bytes: what reads them next must go by the new shape.
/// Checks a plan of `n` samples against the reference, and gives how far one on eight-bit integers is off at most.
fn off_on_integers(model: &Model, x: &[f32], n: usize) -> f32 {
    let want = reference::run(model, x).unwrap();
    let mut have = Vec::new();
    Plan::new(model, n).unwrap().run(x, &mut have).unwrap();
    close(&have, &want, "f32");
    Plan::new(&quantize(model, x, 8, true, false), n).unwrap().run(x, &mut have).unwrap();
    have.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn what_follows_a_reshape_sees_its_shape() {
    let mut b = GraphBuilder::new("reshaped", &[4, 6]);
    let x = b.input();
    let images = b.reshape(&x, &[2, 3, 4]).unwrap();
    let pooled = b.pool("AveragePool", &images, 3, 1).unwrap();
    let other = b.reshape(&x, &[2, 3, 4]).unwrap();
    let sum = b.add(&pooled, &other).unwrap();
    let both = b.concat(&[&sum, &images], 2).unwrap();
    let y = b.transpose(&both, &[0, 2, 1, 3]).unwrap();
    let model = Model::init(b.finish(&y).unwrap(), 1);
    let mut rng = Rng::stream(1, "reshaped");
    let x = normals(5 * 24, &mut rng);
    let off = off_on_integers(&model, &x, 5);
    assert!(off < 0.1, "{off} off on integers");
}

#[test]
fn interpolated_pixels_are_between_those_there_were_also_on_integers() {
    let mut b = GraphBuilder::new("interpolated", &[1, 4, 4]);
    let x = b.input();
    let x = b.interpolated(&x, 6).unwrap();
    let y = b.conv(&x, 3, 3, ConvOptions::default()).unwrap();
    let model = Model::init(b.finish(&y).unwrap(), 1);
    let x = normals(5 * 16, &mut Rng::stream(1, "interpolated"));
    let off = off_on_integers(&model, &x, 5);
    assert!(off > 0.0 && off < 0.1, "{off} off on integers");
}

#[test]
fn says_what_cannot_be_planned() {
    let mut model = network();
    assert!(Plan::new(&model, 0).unwrap_err().to_string().contains("at least one sample"));
    let mut y = Vec::new();
    let message = Plan::new(&model, 2).unwrap().run(&[0.0; 64], &mut y).unwrap_err().to_string();
    assert!(message.contains("“x” holds 64 values where 128 belong"), "{message}");
    let two = Grid { bits: 8, signed: true, axis: Some(0), scale: vec![1.0; 2], zero_point: vec![0; 2] };
    model.activations.insert("relu0".into(), two);
    assert!(Plan::new(&model, 1).unwrap_err().to_string().contains("“relu0” has 2 scales"));
}

/// Prints the time of int8 over that of f32 for a small CNN; a figure, not an assertion:
/// `cargo test --release -p espalier-core int8_over_f32 -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn int8_over_f32() {
    let mut b = GraphBuilder::new("cnn", &[1, 8, 8]);
    let mut x = b.input();
    for (channels, stride) in [(16, 1), (16, 1), (32, 2), (32, 1)] {
        x = b.conv(&x, channels, 3, ConvOptions { stride, bias: true, ..ConvOptions::default() }).unwrap();
        x = b.unary("Relu", &x).unwrap();
    }
    let x = b.unary("GlobalAveragePool", &x).unwrap();
    let x = b.unary("Flatten", &x).unwrap();
    let y = b.linear(&x, 10).unwrap();
    let cnn = Model::init(b.finish(&y).unwrap(), 1);
    let start = std::time::Instant::now();
    let now = || start.elapsed().as_secs_f64() * 1e3;
    for (name, model) in [("cnn", cnn), ("residual, depthwise", network())] {
        let quantized = quantize(&model, &normals(64 * 64, &mut Rng::new(1)), 8, true, false);
        for batch in [1, 256] {
            // Several rounds in turn: a busy machine disturbs both.
            let (mut f, mut q) = (f64::MAX, f64::MAX);
            for _ in 0..5 {
                f = f.min(super::latency(&model, batch, &now).unwrap().median_ms);
                q = q.min(super::latency(&quantized, batch, &now).unwrap().median_ms);
            }
            println!(
                "{name}, batch {batch}: f32 {f:.4} ms, int8 {q:.4} ms, ratio {:.2} ({})",
                q / f,
                super::vector_unit()
            );
        }
    }
}
