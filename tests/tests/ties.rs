//! What operators say about pruning: ties and locks fit the shapes, and an operator shrunk by one
//! set of tied indices computes what the whole one computes with that set zeroed.

use espalier_core::model::{Attrs, Node};
use espalier_core::ops::{self, Slot, Ties};
use espalier_tests::cases::{self, Case};
use std::collections::{BTreeMap, BTreeSet};

type Index = (Slot, usize, usize);

fn ties(case: &Case) -> (Ties, Vec<Vec<usize>>) {
    let outputs = cases::infer(&case.node(), &case.inputs).expect("the case is sound");
    let mut ties = Ties::default();
    cases::with_call(&case.node(), &case.inputs, |op, call| op.ties(call, &mut ties)).expect("fits");
    (ties, outputs)
}

fn shape<'a>(case: &'a Case, outputs: &'a [Vec<usize>], slot: Slot) -> &'a [usize] {
    match slot {
        Slot::In(i) => &case.inputs[i],
        Slot::Out(i) => &outputs[i],
    }
}

#[test]
fn ties_and_locks_stay_within_the_shapes() {
    for case in &cases::all() {
        let (ties, outputs) = ties(case);
        for tie in &ties.ties {
            for ((slot, axis), index) in tie.pairs.iter().flat_map(|(a, b)| [(tie.a, *a), (tie.b, *b)]) {
                let len = shape(case, &outputs, slot).get(axis);
                assert!(len.is_some_and(|n| index < *n), "{}: {slot:?} axis {axis} [{index}]", case.label());
            }
        }
        for (slot, axis) in &ties.locked {
            assert!(*axis < shape(case, &outputs, *slot).len(), "{}: {slot:?} axis {axis}", case.label());
        }
    }
}

/// Sets of tied indices that no lock holds.
fn components(case: &Case, ties: &Ties, outputs: &[Vec<usize>]) -> Vec<BTreeSet<Index>> {
    let mut parent: BTreeMap<Index, Index> = BTreeMap::new();
    let slots = (0..case.inputs.len()).map(Slot::In).chain((0..outputs.len()).map(Slot::Out));
    for slot in slots {
        for (axis, len) in shape(case, outputs, slot).iter().enumerate() {
            parent.extend((0..*len).map(|i| ((slot, axis, i), (slot, axis, i))));
        }
    }
    fn root(parent: &BTreeMap<Index, Index>, mut i: Index) -> Index {
        while parent[&i] != i {
            i = parent[&i];
        }
        i
    }
    for tie in &ties.ties {
        for (a, b) in &tie.pairs {
            let a = root(&parent, (tie.a.0, tie.a.1, *a));
            let b = root(&parent, (tie.b.0, tie.b.1, *b));
            parent.insert(a, b);
        }
    }
    let mut sets: BTreeMap<Index, BTreeSet<Index>> = BTreeMap::new();
    for index in parent.keys() {
        sets.entry(root(&parent, *index)).or_default().insert(*index);
    }
    let free = |set: &BTreeSet<Index>| set.iter().all(|(s, axis, _)| !ties.locked.contains(&(*s, *axis)));
    sets.into_values().filter(free).collect()
}

/// Position along `axis` of the flat index `i`.
fn along(shape: &[usize], axis: usize, i: usize) -> usize {
    i / shape[axis + 1..].iter().product::<usize>() % shape[axis]
}

/// The values whose indices are all kept.
fn gather(values: &[f32], shape: &[usize], removed: &dyn Fn(usize, usize) -> bool) -> Vec<f32> {
    let kept = |i: &usize| (0..shape.len()).all(|axis| !removed(axis, along(shape, axis, *i)));
    (0..values.len()).filter(kept).map(|i| values[i]).collect()
}

#[test]
fn a_shrunk_operator_computes_what_the_masked_one_does() {
    let mut tried: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases::all() {
        let (ties, outputs) = ties(case);
        let node = case.node();
        'sets: for set in components(case, &ties, &outputs) {
            let gone = |slot: Slot, axis: usize, i: usize| set.contains(&(slot, axis, i));
            let kept = |slot: Slot, axis: usize| -> Vec<usize> {
                (0..shape(case, &outputs, slot)[axis]).filter(|i| !gone(slot, axis, *i)).collect()
            };
            let smaller = |slot: Slot| -> Vec<usize> {
                (0..shape(case, &outputs, slot).len()).map(|axis| kept(slot, axis).len()).collect()
            };
            let inputs: Vec<Vec<usize>> = (0..case.inputs.len()).map(|i| smaller(Slot::In(i))).collect();
            let want: Vec<Vec<usize>> = (0..outputs.len()).map(|i| smaller(Slot::Out(i))).collect();
            if inputs.iter().chain(&want).flatten().any(|n| *n == 0) {
                // Nothing of an axis would be left; pruning never does that.
                continue 'sets;
            }
            let mut attrs: Attrs = node.attrs.clone();
            cases::with_call(&node, &case.inputs, |op, call| op.shrink(call, &kept, &mut attrs))
                .expect("fits");
            let shrunk = Node { attrs, ..node.clone() };
            let label = format!("{} without {set:?}", case.label());
            assert_eq!(cases::infer(&shrunk, &inputs).expect(&label), want, "{label}");

            let mut masked = case.values(5);
            let mut small = Vec::new();
            for (i, values) in masked.iter_mut().enumerate() {
                let shape = &case.inputs[i];
                small.push(gather(values, shape, &|axis, k| gone(Slot::In(i), axis, k)));
                for (k, value) in values.iter_mut().enumerate() {
                    if (0..shape.len()).any(|axis| gone(Slot::In(i), axis, along(shape, axis, k))) {
                        *value = 0.0;
                    }
                }
            }
            let whole = cases::eval(&node, &case.inputs, &masked).expect(&label);
            let got = cases::eval(&shrunk, &inputs, &small).expect(&label);
            for (o, got) in got.iter().enumerate() {
                let want = gather(&whole[o], &outputs[o], &|axis, k| gone(Slot::Out(o), axis, k));
                assert_eq!(got.len(), want.len(), "{label}");
                for (a, b) in got.iter().zip(&want) {
                    assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{label}: output {o}: {a} and {b}");
                }
            }
            *tried.entry(case.op).or_default() += 1;
        }
    }
    println!("{tried:?}");
    // An operator that locks everything would make this test empty for it.
    for op in ops::ALL {
        assert!(tried.contains_key(op.name()), "{}: nothing to prune in any case", op.name());
    }
}
