//! Batch-norm folding: a BatchNormalization after a Conv or Gemm becomes part of its weights.
//!
//! Jacob et al., CVPR 2018 (arXiv:1712.05877), section 3.2: with s = γ / √(σ² + ε),
//! w′ = s·w per output channel and b′ = s·(b − μ) + β. The function stays the same.

use crate::Result;
use crate::model::{Attr, Graph, Init, Model, Param, Storage, Weight};
use std::collections::BTreeMap;

/// What a foldable normalization and the product before it are made of.
struct Pair {
    product: usize,
    norm: usize,
    weight: String,
    /// Axis of output channels in the weight.
    axis: usize,
    bias: Option<String>,
}

/// The first normalization that can be folded: its input is made by a Conv or Gemm for it alone,
/// from f32 weights that nothing else reads.
fn find(model: &Model) -> Option<Pair> {
    let graph = &model.graph;
    let (producers, consumers) = (graph.producers(), graph.consumers());
    let alone = |name: &str| consumers.get(name).is_some_and(|c| c.len() == 1);
    let param = |name: &str| {
        let weight = model.weights.get(name)?;
        (alone(name) && matches!(weight.storage, Storage::F32(_))).then_some(weight)
    };
    graph.nodes.iter().enumerate().find_map(|(norm, node)| {
        if node.op != "BatchNormalization" || node.outputs.len() != 1 {
            return None;
        }
        let input = node.inputs.first()?;
        if !alone(input) || graph.outputs.contains(input) {
            return None;
        }
        let product = *producers.get(input.as_str())?;
        let made_by = &graph.nodes[product];
        let axis = match made_by.op.as_str() {
            "Conv" => 0,
            "Gemm" => usize::from(made_by.int("transB", 0) == 0),
            _ => return None,
        };
        let weight = made_by.inputs.get(1)?;
        let channels = *param(weight)?.shape.get(axis)?;
        let bias = match made_by.inputs.get(2).filter(|b| !b.is_empty()) {
            Some(bias) => (param(bias)?.shape == [channels]).then(|| Some(bias.clone()))?,
            None => None,
        };
        let whole = |i: usize| {
            node.inputs.get(i).and_then(|n| model.weights.get(n)).is_some_and(|w| w.shape == [channels])
        };
        (1..5).all(whole).then(|| Pair { product, norm, weight: weight.clone(), axis, bias })
    })
}

/// The model with every batch normalization folded that can be. Masks stay: a zero times s is zero.
///
/// # Errors
/// The model is not sound.
pub fn fold_batch_norm(model: &Model) -> Result<Model> {
    model.check()?;
    let mut model = model.clone();
    while let Some(pair) = find(&model) {
        fold(&mut model, &pair);
    }
    drop_unread(&mut model);
    model.check()?;
    Ok(model)
}

fn fold(model: &mut Model, pair: &Pair) {
    let norm = model.graph.nodes[pair.norm].clone();
    let [scale, shift, mean, var] = [1, 2, 3, 4].map(|i| model.values(&norm.inputs[i]));
    let epsilon = norm.float("epsilon", 1e-5);
    let factors: Vec<f32> = scale.iter().zip(&var).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    if let Some(weight) = model.weights.get_mut(&pair.weight) {
        let inner: usize = weight.shape[pair.axis + 1..].iter().product();
        let channels = weight.shape[pair.axis];
        if let Storage::F32(values) = &mut weight.storage {
            for (i, value) in values.iter_mut().enumerate() {
                *value *= factors[i / inner.max(1) % channels];
            }
        }
    }
    let product = &mut model.graph.nodes[pair.product];
    // Gemm multiplies its bias by beta.
    let beta = if product.op == "Gemm" { product.float("beta", 1.0) } else { 1.0 };
    let old = pair.bias.as_ref().and_then(|b| model.weights.get(b)).map(Weight::to_f32);
    let bias: Vec<f32> = (0..factors.len())
        .map(|c| {
            let before = old.as_ref().map_or(0.0, |b| beta * b[c]);
            factors[c] * (before - mean[c]) + shift[c]
        })
        .collect();
    let name = pair
        .bias
        .clone()
        .unwrap_or_else(|| free_name(&model.graph, &format!("{}.bias", product_name(pair, &model.graph))));
    let product = &mut model.graph.nodes[pair.product];
    if product.op == "Gemm" {
        product.attrs.insert("beta".into(), Attr::Float(1.0));
    }
    product.inputs.resize(3, String::new());
    product.inputs[2] = name.clone();
    product.outputs[0] = norm.outputs[0].clone();
    let shape = vec![bias.len()];
    let param = Param { shape: shape.clone(), init: Init::Constant(0.0), trainable: true };
    model.graph.params.insert(name.clone(), param);
    // The bias is no longer zero where it was masked.
    model.weights.insert(name, Weight::dense(shape, bias));
    model.graph.nodes.remove(pair.norm);
    model.activations.remove(&norm.inputs[0]);
}

fn product_name<'a>(pair: &Pair, graph: &'a Graph) -> &'a str {
    &graph.nodes[pair.product].name
}

/// `wanted`, or with a number where a tensor has that name already.
fn free_name(graph: &Graph, wanted: &str) -> String {
    let taken = |name: &str| {
        graph.params.contains_key(name)
            || graph.inputs.iter().any(|p| p.name == name)
            || graph.nodes.iter().any(|n| n.outputs.iter().any(|o| o == name))
    };
    let numbered = (0..).map(|i| if i == 0 { wanted.to_owned() } else { format!("{wanted}.{i}") });
    numbered.into_iter().find(|n| !taken(n)).unwrap_or_default()
}

/// Drops parameters that no node reads any more.
fn drop_unread(model: &mut Model) {
    let read: BTreeMap<&str, Vec<usize>> = model.graph.consumers();
    let unread: Vec<String> = model
        .graph
        .params
        .keys()
        .filter(|p| !read.contains_key(p.as_str()) && !model.graph.outputs.contains(p))
        .cloned()
        .collect();
    for name in unread {
        model.graph.params.remove(&name);
        model.weights.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reference;
    use crate::model::{ConvOptions, GraphBuilder};
    use crate::rng::Rng;

    #[test]
    fn the_function_stays_the_same() {
        for seed in 0..20 {
            let mut rng = Rng::new(seed);
            let mut b = GraphBuilder::new("g", &[2, 6, 6]);
            let x = b.input();
            let options = |bias, groups| ConvOptions { bias, groups, ..ConvOptions::default() };
            let c = b.conv(&x, 4, 3, options(rng.chance(0.5), 1)).unwrap();
            let c = b.batch_norm(&c).unwrap();
            let c = b.unary("Relu", &c).unwrap();
            let d = b.conv(&c, 8, 3, options(rng.chance(0.5), 4)).unwrap();
            let d = b.batch_norm(&d).unwrap();
            // Read twice: must stay.
            let e = b.conv(&d, 8, 1, options(true, 1)).unwrap();
            let f = b.batch_norm(&e).unwrap();
            let f = b.add(&e, &f).unwrap();
            let f = b.unary("Flatten", &f).unwrap();
            let g = b.linear(&f, 5).unwrap();
            let graph = b.finish(&g).unwrap();
            let mut model = Model::init(graph, seed);
            for (name, weight) in &mut model.weights {
                if weight.shape.len() == 1 {
                    let low = if name.ends_with("var") { 0.2 } else { -1.0 };
                    let n = weight.len();
                    *weight = Weight::dense(vec![n], (0..n).map(|_| rng.uniform(low, 2.0)).collect());
                }
            }
            let folded = fold_batch_norm(&model).unwrap();
            let norms = |m: &Model| m.graph.nodes.iter().filter(|n| n.op == "BatchNormalization").count();
            assert_eq!((norms(&model), norms(&folded)), (3, 1));
            let input: Vec<f32> = (0..2 * 72).map(|_| rng.normal()).collect();
            let (a, b) = (reference::run(&model, &input).unwrap(), reference::run(&folded, &input).unwrap());
            for (a, b) in a.iter().zip(&b) {
                assert!((a - b).abs() < 1e-5 * (1.0 + a.abs()), "seed {seed}: {a} {b}");
            }
            assert!(folded.weights.keys().all(|n| !n.starts_with("batchnormalization0")));
        }
    }
}
