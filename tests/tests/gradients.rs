//! Every operator's two implementations agree, and its gradients are those of finite differences.

use burn::tensor::Device;
use espalier_core::ops::{self, Forward};
use espalier_tests::cases::{self, Case};
use std::collections::BTreeSet;

#[test]
fn every_operator_has_a_case() {
    let covered: BTreeSet<&str> = cases::all().iter().map(|case| case.op).collect();
    let missing: Vec<&str> = ops::ALL.iter().map(|op| op.name()).filter(|op| !covered.contains(op)).collect();
    assert!(missing.is_empty(), "add cases to core/src/ops/cases.rs for {missing:?}");
    let unknown: Vec<&&str> = covered.iter().filter(|op| ops::get(op).is_none()).collect();
    assert!(unknown.is_empty(), "cases of operators that are not registered: {unknown:?}");
}

#[test]
fn burn_agrees_with_the_scalar_code() {
    for case in cases::all() {
        let label = case.label();
        let values = case.values(1);
        let want = cases::eval(&case.node(), &case.inputs, &values).expect(&label);
        let shapes = cases::infer(&case.node(), &case.inputs).expect(&label);
        let inputs = cases::upload(&case, &values, &Device::flex(), false).expect(&label);
        let got = cases::forward(&case, &inputs, &mut Forward::default()).expect(&label);
        for ((got, want), shape) in got.iter().zip(&want).zip(&shapes) {
            assert_eq!(got.dims(), *shape, "{}", case.label());
            for (i, (a, b)) in cases::read(got).iter().zip(want).enumerate() {
                assert!((a - b).abs() <= 1e-4 * (1.0 + b.abs()), "{}: [{i}] {a} and {b}", case.label());
            }
        }
    }
}

/// Sum of the outputs, each value times its fixed random weight.
fn loss(outputs: &[Vec<f32>], weights: &[Vec<f32>]) -> f64 {
    let dot = |(o, w): (&Vec<f32>, &Vec<f32>)| -> f64 {
        o.iter().zip(w).map(|(o, w)| f64::from(*o) * f64::from(*w)).sum()
    };
    outputs.iter().zip(weights).map(dot).sum()
}

/// Compares Burn's gradients with central differences of `reference`, for every input that is
/// not fixed.
fn check(
    case: &Case,
    seed: u64,
    ctx: &mut Forward,
    reference: &dyn Fn(&[Vec<f32>]) -> Vec<Vec<f32>>,
) -> usize {
    const STEP: f32 = 5e-3;
    let label = case.label();
    let values = case.values(seed);
    let measured = cases::measure(case, &values, seed, &Device::flex(), ctx).expect(&label);
    let weights = measured.weights;
    let mut compared = 0;
    for (i, grad) in measured.gradients {
        let grad = grad.unwrap_or_else(|| panic!("{label}: input {i} has no gradient"));
        let grad = cases::read(&grad);
        assert_eq!(grad.len(), values[i].len(), "{}: input {i}", case.label());
        for (k, got) in grad.iter().enumerate() {
            let at = |x: f32| {
                let mut values = values.clone();
                values[i][k] = x;
                loss(&reference(&values), &weights)
            };
            let (low, high) = (values[i][k] - STEP, values[i][k] + STEP);
            let want = (at(high) - at(low)) / f64::from(high - low);
            let error = (f64::from(*got) - want).abs();
            assert!(
                error <= 2e-3 * (1.0 + want.abs()),
                "{}: gradient of input {i} at {k} is {got}, by finite differences {want}",
                case.label()
            );
            compared += 1;
        }
    }
    compared
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let mut compared = 0;
    // Sign trains by a surrogate on purpose; its file tests that one.
    for case in cases::all().into_iter().filter(|case| case.op != "Sign") {
        let node = case.node();
        for seed in [1, 2] {
            compared += check(&case, seed, &mut Forward::default(), &|values| {
                cases::eval(&node, &case.inputs, values).expect("the shapes fit")
            });
        }
    }
    println!("{compared} partial derivatives compared");
    assert!(compared > 1000, "only {compared} partial derivatives compared");
}

/// Batch normalization with the batch's own statistics, in f64: N, C, ... by scale and bias.
fn batch_norm(x: &[f32], shape: &[usize], scale: &[f32], bias: &[f32], epsilon: f64) -> Vec<f32> {
    let (c, inner) = (shape[1], shape[2..].iter().product::<usize>());
    let channel = |i: usize| i / inner % c;
    let mut out = vec![0.0; x.len()];
    for k in 0..c {
        let of: Vec<usize> = (0..x.len()).filter(|i| channel(*i) == k).collect();
        let n = of.len() as f64;
        let mean = of.iter().map(|i| f64::from(x[*i])).sum::<f64>() / n;
        let var = of.iter().map(|i| (f64::from(x[*i]) - mean).powi(2)).sum::<f64>() / n;
        for i in of {
            let z = (f64::from(x[i]) - mean) / (var + epsilon).sqrt();
            out[i] = (z * f64::from(scale[k]) + f64::from(bias[k])) as f32;
        }
    }
    out
}

#[test]
fn batch_normalization_in_training_uses_the_batch() {
    let cases: Vec<Case> = cases::all().into_iter().filter(|c| c.op == "BatchNormalization").collect();
    assert!(!cases.is_empty());
    for case in cases {
        let epsilon = f64::from(case.node().float("epsilon", 1e-5));
        let reference = |v: &[Vec<f32>]| vec![batch_norm(&v[0], &case.inputs[0], &v[1], &v[2], epsilon)];
        let values = case.values(3);
        let inputs = cases::upload(&case, &values, &Device::flex(), false).expect("uploads");
        let mut ctx = Forward { training: true, ..Forward::default() };
        let got = cases::read(&cases::forward(&case, &inputs, &mut ctx).expect("runs")[0]);
        for (a, b) in got.iter().zip(&reference(&values)[0]) {
            assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{}: {a} and {b}", case.label());
        }
        assert!(ctx.statistics.contains_key("i3") && ctx.statistics.contains_key("i4"));
        check(&case, 3, &mut Forward { training: true, ..Forward::default() }, &reference);
    }
}
