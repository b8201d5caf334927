//! Property test over the whole registry: whatever shapes and attributes a file holds, `infer`
//! answers; and what it accepts, everything else can do without a panic.

use super::*;
use crate::model::Attr;
use crate::rng::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Attribute names of every operator here, and some that belong to none.
const KEYS: &[&str] = &[
    "alpha",
    "approximate",
    "auto_pad",
    "axes",
    "axis",
    "beta",
    "ceil_mode",
    "count_include_pad",
    "coordinate_transformation_mode",
    "dilations",
    "ends",
    "epsilon",
    "flatten",
    "group",
    "keepdims",
    "kernel_shape",
    "max",
    "min",
    "mode",
    "nearest_mode",
    "noop_with_empty_axes",
    "num_outputs",
    "pads",
    "perm",
    "scales",
    "shape",
    "sizes",
    "split",
    "starts",
    "steps",
    "strides",
    "transA",
    "transB",
    "value",
    "nothing",
];
const WORDS: &[&str] = &[
    "",
    "SAME_UPPER",
    "SAME_LOWER",
    "VALID",
    "NOTSET",
    "nearest",
    "constant",
    "edge",
    "reflect",
    "floor",
    "tanh",
    "asymmetric",
    "half_pixel",
    "align_corners",
    "round_prefer_floor",
];
const LENGTHS: &[usize] = &[1, 1, 2, 2, 3, 4, 4, 5, 6, 8, 12, 0, 1 << 10, 1 << 15];
const NUMBERS: &[i64] =
    &[0, 1, 1, 2, 2, 3, 4, -1, -2, -3, 5, 7, 100, 1 << 20, 1 << 40, i64::MAX, i64::MIN, i64::MIN + 1];
/// Cases of every operator.
const CASES: usize = 1500;
const REALS: &[f32] = &[0.0, 1.0, -1.0, 0.5, 2.0, 1e-5, 1e30, f32::INFINITY, f32::NAN];

/// Something small three times out of four, anything otherwise.
fn pick<T: Copy>(rng: &mut Rng, from: &[T], small: usize) -> T {
    from[if rng.chance(0.75) { rng.below(small) } else { rng.below(from.len()) }]
}

fn shape(rng: &mut Rng) -> Vec<usize> {
    loop {
        let rank = if rng.chance(0.5) { 4 } else { rng.below(7) };
        let shape: Vec<usize> = (0..rank).map(|_| pick(rng, LENGTHS, 11)).collect();
        if volume(&shape).is_some_and(|v| v <= 1 << 31) {
            return shape;
        }
    }
}

fn attribute(rng: &mut Rng, key: &str, rank: usize) -> Attr {
    let list = matches!(
        key,
        "axes"
            | "dilations"
            | "ends"
            | "kernel_shape"
            | "pads"
            | "perm"
            | "shape"
            | "sizes"
            | "split"
            | "starts"
            | "steps"
            | "strides"
    );
    // Mostly of the right kind, at times of another.
    let kind = if rng.chance(0.1) {
        rng.below(5)
    } else if list {
        2
    } else {
        [0, 1, 3, 4][rng.below(4)]
    };
    let n = match rng.below(4) {
        0 => rank,
        1 => 2,
        2 => 2 * rank,
        _ => rng.below(6),
    };
    match kind {
        0 => Attr::Int(pick(rng, NUMBERS, 10)),
        1 => Attr::Float(pick(rng, REALS, 5)),
        2 => Attr::Ints((0..n).map(|_| pick(rng, NUMBERS, 10)).collect()),
        3 => Attr::Floats((0..n).map(|_| pick(rng, REALS, 5)).collect()),
        _ => Attr::Str(WORDS[rng.below(WORDS.len())].into()),
    }
}

/// A node of any shapes and attributes; few of them fit.
fn wild(rng: &mut Rng, op: &dyn Operator) -> (Attrs, Vec<Vec<usize>>) {
    let arity = op.arity();
    let inputs = arity.start() + rng.below((*arity.end()).min(6) + 1 - arity.start());
    let shapes: Vec<Vec<usize>> = (0..inputs).map(|_| shape(rng)).collect();
    let rank = shapes.first().map_or(0, Vec::len);
    let mut attrs = Attrs::new();
    for key in KEYS {
        if rng.chance(0.2) {
            attrs.insert((*key).into(), attribute(rng, key, rank));
        }
    }
    (attrs, shapes)
}

/// A length from 1 to 6.
fn length(rng: &mut Rng) -> usize {
    1 + rng.below(6)
}

/// Small lengths.
fn lengths(rng: &mut Rng, rank: usize) -> Vec<usize> {
    (0..rank).map(|_| length(rng)).collect()
}

/// A whole number from `low` to `high`.
fn between(rng: &mut Rng, low: i64, high: i64) -> i64 {
    low + rng.below((high - low + 1) as usize) as i64
}

fn numbers(n: usize, mut number: impl FnMut(usize) -> i64) -> Attr {
    Attr::Ints((0..n).map(&mut number).collect())
}

/// A case that fits, or nearly so, from which the others are made.
fn valid(rng: &mut Rng, op: &dyn Operator) -> (Attrs, Vec<Vec<usize>>) {
    let rank = 1 + rng.below(5);
    let x = lengths(rng, rank);
    let axis = rng.below(rank);
    let signed = if rng.chance(0.5) { axis as i64 } else { axis as i64 - rank as i64 };
    let mut attrs = Attrs::new();
    let mut set = |key: &str, value: Attr| attrs.insert(key.to_owned(), value);
    let shapes = match op.name() {
        "AveragePool" | "MaxPool" => {
            let mut x = lengths(rng, 4);
            (x[2], x[3]) = (x[2] + 3, x[3] + 3);
            let kernel = [between(rng, 1, 3), between(rng, 1, 3)];
            set("kernel_shape", kernel.to_vec().into());
            set("strides", numbers(2, |_| between(rng, 1, 3)));
            set("pads", numbers(4, |i| between(rng, 0, kernel[i % 2] - 1)));
            set("ceil_mode", between(rng, 0, 1).into());
            set("count_include_pad", between(rng, 0, 1).into());
            if rng.chance(0.3) {
                set("dilations", numbers(2, |_| between(rng, 1, 2)));
            }
            vec![x]
        }
        "BatchNormalization" => {
            let x = lengths(rng, rank + 1);
            let c = vec![x[1]];
            vec![x, c.clone(), c.clone(), c.clone(), c]
        }
        "Concat" => {
            set("axis", signed.into());
            let mut part = || {
                let mut x = x.clone();
                x[axis] = length(rng);
                x
            };
            vec![part(), part(), part()]
        }
        "Conv" => {
            let (groups, channels, filters) = (1 + rng.below(3), 1 + rng.below(3), 1 + rng.below(3));
            let x = vec![1 + rng.below(2), groups * channels, 3 + length(rng), 3 + length(rng)];
            let w = vec![groups * filters, channels, 1 + rng.below(3), 1 + rng.below(3)];
            set("group", (groups as i64).into());
            set("strides", numbers(2, |_| between(rng, 1, 3)));
            set("pads", numbers(4, |_| between(rng, 0, 2)));
            if rng.chance(0.3) {
                set("dilations", numbers(2, |_| between(rng, 1, 2)));
            }
            let bias = vec![w[0]];
            vec![x, w, bias]
        }
        "Flatten" | "Softmax" => {
            set("axis", signed.into());
            vec![x]
        }
        "Gemm" => {
            let (m, k, n) = (length(rng), length(rng), length(rng));
            let (ta, tb) = (rng.chance(0.5), rng.chance(0.5));
            set("transA", i64::from(ta).into());
            set("transB", i64::from(tb).into());
            let c = [vec![n], vec![m, n], vec![1, n], vec![m, 1], vec![]][rng.below(5)].clone();
            vec![if ta { vec![k, m] } else { vec![m, k] }, if tb { vec![n, k] } else { vec![k, n] }, c]
        }
        "GlobalAveragePool" => vec![lengths(rng, 4)],
        "LayerNormalization" => {
            set("axis", signed.into());
            let scale = x[axis..].to_vec();
            vec![x, scale.clone(), scale]
        }
        "MatMul" => {
            let (mut a, mut b) = (lengths(rng, rank + 1), lengths(rng, 2));
            b[0] = a[rank];
            if rng.chance(0.5) {
                b = [&a[..rank - 1], &b].concat();
                if rank > 1 {
                    a[0] = 1;
                }
            }
            vec![a, b]
        }
        "Pad" => {
            set("pads", numbers(2 * rank, |_| between(rng, -1, 3)));
            set("mode", ["constant", "edge", "reflect", "wrap"][rng.below(4)].into());
            vec![x]
        }
        "ReduceMean" | "ReduceSum" => {
            set("axes", vec![signed].into());
            set("keepdims", between(rng, 0, 1).into());
            vec![x]
        }
        "Reshape" => {
            let joined: usize = x[axis..].iter().product();
            let last = if rng.chance(0.5) { -1 } else { joined as i64 };
            set("shape", numbers(axis + 1, |i| if i < axis { x[i] as i64 } else { last }));
            vec![x]
        }
        "Resize" => {
            if rng.chance(0.5) {
                set("sizes", numbers(rank, |_| between(rng, 1, 8)));
            } else {
                set("scales", Attr::Floats((0..rank).map(|_| rng.uniform(1.0, 3.0)).collect()));
            }
            let transformations = ["asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"];
            set("coordinate_transformation_mode", transformations[rng.below(4)].into());
            set("mode", ["nearest", "linear"][rng.below(2)].into());
            vec![x]
        }
        "Slice" => {
            set("axes", vec![signed].into());
            set("starts", vec![between(rng, -6, 6)].into());
            set("ends", vec![between(rng, -6, 9)].into());
            set("steps", vec![[1, 1, 2, -1, -2][rng.below(5)]].into());
            vec![x]
        }
        "Split" => {
            set("axis", signed.into());
            if rng.chance(0.5) {
                let first = rng.below(x[axis] + 1) as i64;
                set("split", vec![first, x[axis] as i64 - first].into());
            }
            vec![x]
        }
        "Transpose" => {
            let mut perm: Vec<i64> = (0..rank as i64).collect();
            rng.shuffle(&mut perm);
            set("perm", perm.into());
            vec![x]
        }
        // Elementwise: shapes that broadcast.
        _ => {
            let inputs = (*op.arity().start()).max(1);
            let mut shapes = vec![x.clone(); inputs];
            for other in &mut shapes[1..] {
                if rng.chance(0.5) {
                    other[axis] = 1;
                }
                if rng.chance(0.3) {
                    other.remove(0);
                }
            }
            shapes
        }
    };
    (attrs, shapes)
}

/// Changes one thing.
fn perturb(rng: &mut Rng, attrs: &mut Attrs, shapes: &mut [Vec<usize>]) {
    let target = rng.below(shapes.len());
    let rank = shapes[0].len();
    let keys: Vec<String> = attrs.keys().cloned().collect();
    match rng.below(7) {
        0 => shapes[target] = shape(rng),
        1 | 2 if !shapes[target].is_empty() => {
            let axis = rng.below(shapes[target].len());
            shapes[target][axis] = pick(rng, LENGTHS, 11);
        }
        3 if !keys.is_empty() => {
            let key = &keys[rng.below(keys.len())];
            attrs.insert(key.clone(), attribute(rng, key, rank));
        }
        4 if !keys.is_empty() => {
            let key = &keys[rng.below(keys.len())];
            match attrs.get_mut(key) {
                Some(Attr::Ints(list)) if !list.is_empty() => {
                    let at = rng.below(list.len());
                    list[at] = pick(rng, NUMBERS, 10);
                }
                Some(Attr::Floats(list)) if !list.is_empty() => {
                    let at = rng.below(list.len());
                    list[at] = pick(rng, REALS, 5);
                }
                Some(Attr::Int(n)) => *n = pick(rng, NUMBERS, 10),
                _ => {
                    attrs.remove(key);
                }
            }
        }
        5 if !keys.is_empty() => {
            attrs.remove(&keys[rng.below(keys.len())]);
        }
        _ => {
            let key = KEYS[rng.below(KEYS.len())];
            attrs.insert(key.into(), attribute(rng, key, rank));
        }
    }
}

/// A node of `op` and its input shapes: one that fits with up to three things changed, or, one
/// time in eight, anything.
fn case(rng: &mut Rng, op: &dyn Operator) -> (Node, Vec<Vec<usize>>) {
    let (attrs, mut shapes) = if rng.chance(0.125) {
        wild(rng, op)
    } else {
        let (mut attrs, mut shapes) = valid(rng, op);
        for _ in 0..rng.below(4) {
            perturb(rng, &mut attrs, &mut shapes);
        }
        (attrs, shapes)
    };
    // What `Graph::analyze` lets through.
    shapes.retain(|s| volume(s).is_some_and(|v| v <= 1 << 31));
    while shapes.len() < *op.arity().start() {
        shapes.push(vec![1]);
    }
    let mut names: Vec<String> = (0..shapes.len()).map(|i| format!("i{i}")).collect();
    for i in *op.arity().start()..shapes.len() {
        if rng.chance(0.2) {
            names[i].clear();
            shapes[i].clear();
        }
    }
    let most = if op.name() == "Split" || rng.chance(0.1) { 3 } else { 1 };
    let outputs = (0..1 + rng.below(most)).map(|i| format!("o{i}")).collect();
    (Node { name: "n".into(), op: op.name().into(), inputs: names, outputs, attrs }, shapes)
}

/// The number of values, an empty axis counted as one.
fn volume(shape: &[usize]) -> Option<u64> {
    shape.iter().try_fold(1u64, |a, n| a.checked_mul((*n as u64).max(1)))
}

#[test]
fn infer_answers_and_what_it_accepts_runs() {
    let mut broken = Vec::new();
    for op in ALL {
        let mut rng = Rng::stream(11, op.name());
        let (mut accepted, mut run) = (0, 0);
        for _ in 0..CASES {
            let (node, shapes) = case(&mut rng, *op);
            let inputs: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
            let answer = catch_unwind(AssertUnwindSafe(|| op.infer(&node, &inputs)));
            let out = match answer {
                Ok(Ok(out)) => out,
                Ok(Err(e)) => {
                    assert!(e.to_string().contains("“n”"), "{}: the error names the node: {e}", op.name());
                    continue;
                }
                Err(_) => {
                    broken.push(format!("{}: infer panicked on {node:?} with {shapes:?}", op.name()));
                    break;
                }
            };
            accepted += 1;
            let small = |s: &[usize]| s.len() <= 8 && volume(s).is_some_and(|v| v <= 4096);
            if out.len() < node.outputs.len()
                || !inputs.iter().copied().chain(out.iter().map(Vec::as_slice)).all(small)
            {
                continue;
            }
            run += 1;
            let outputs: Vec<&[usize]> = out[..node.outputs.len()].iter().map(Vec::as_slice).collect();
            let call = Call { node: &node, inputs: &inputs, outputs: &outputs };
            let ok = catch_unwind(AssertUnwindSafe(|| everything(*op, &call)));
            if ok.is_err() {
                broken.push(format!("{}: panicked on {node:?} with {shapes:?} -> {out:?}", op.name()));
                break;
            }
        }
        println!("{:20} {accepted} accepted, {run} run", op.name());
        if run < CASES / 10 {
            broken.push(format!(
                "{}: only {run} of {CASES} cases ran: `valid` in this file needs a case for it",
                op.name()
            ));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn everything(op: &dyn Operator, call: &Call) {
    op.macs(call.node, call.inputs, call.outputs);
    let len = |s: &[usize]| s.iter().product::<usize>();
    let given = |i: usize| !call.node.inputs[i].is_empty();
    let values: Vec<Vec<f32>> = call
        .inputs
        .iter()
        .enumerate()
        .map(
            |(i, s)| {
                if given(i) { (0..len(s)).map(|j| (j % 7) as f32 * 0.3 + 0.1).collect() } else { vec![] }
            },
        )
        .collect();
    // A signalling value, so that what is not written shows.
    let unwritten = f32::from_bits(0x7fa0_1234);
    let mut made: Vec<Vec<f32>> = call.outputs.iter().map(|s| vec![unwritten; len(s)]).collect();
    let refs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    let mut slots: Vec<&mut [f32]> = made.iter_mut().map(Vec::as_mut_slice).collect();
    op.eval(call, &refs, &mut slots);
    let holes = made.iter().flatten().filter(|v| v.to_bits() == unwritten.to_bits()).count();
    assert_eq!(holes, 0, "eval leaves values unwritten");

    let mut ties = Ties::default();
    op.ties(call, &mut ties);
    let shape = |slot: Slot| match slot {
        Slot::In(i) => call.inputs[i],
        Slot::Out(i) => call.outputs[i],
    };
    for tie in &ties.ties {
        for ((slot, axis), pick) in [(tie.a, 0), (tie.b, 1)] {
            for pair in &tie.pairs {
                let index = [pair.0, pair.1][pick];
                assert!(index < shape(slot)[axis], "a tie beyond {slot:?}, axis {axis}");
            }
        }
    }
    for (slot, axis) in &ties.locked {
        assert!(*axis < shape(*slot).len(), "a lock beyond {slot:?}, axis {axis}");
    }

    // Burn has no tensors without values; training refuses graphs that have some.
    #[cfg(feature = "compute")]
    if !call.inputs.iter().chain(call.outputs).any(|s| s.contains(&0)) {
        let device = burn::tensor::Device::flex();
        let upload = |(i, v): (usize, &Vec<f32>)| {
            given(i).then(|| Value::from_host(v.clone(), call.inputs[i], &device)).transpose()
        };
        // A rank that training does not handle is an answer.
        let Ok(inputs) = values.iter().enumerate().map(upload).collect::<Result<Vec<_>>>() else { return };
        for training in [false, true] {
            let mut ctx = Forward { training, ..Forward::default() };
            let Ok(out) = op.forward(call, &inputs, &mut ctx) else { continue };
            for (value, want) in out.iter().zip(call.outputs) {
                let dims = value.dims();
                assert!(dims == *want || (want.is_empty() && dims == [1]), "Burn made {dims:?} for {want:?}");
            }
        }
    }
}
