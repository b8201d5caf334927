//! What is removed: from scores and a target, the classes or the weights that go.

use super::criteria::{Criterion, score_classes};
use super::{Groups, pack_mask};
use crate::model::{Graph, Model, Storage};
use crate::order::Order;
use crate::rng::Rng;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a target fraction is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Budget {
    /// Multiply-accumulates of one sample.
    Macs,
    /// Trainable parameters.
    Params,
    /// Prunable channel groups.
    Channels,
}

/// Where weights or channels compete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// All against all.
    Global,
    /// Each layer loses the same part.
    Layer,
}

/// Classes in the order in which they go: the least important first. In the scope of layers,
/// every layer loses at the same pace.
pub fn order(
    criterion: &dyn Criterion,
    model: &Model,
    groups: &Groups,
    scope: Scope,
    normalize: bool,
    seed: u64,
) -> Vec<usize> {
    let scores = score_classes(criterion, model, groups, normalize, seed);
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.order_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    if scope == Scope::Layer {
        let mut sizes = vec![0usize; groups.layers.len()];
        groups.classes.iter().for_each(|c| sizes[c.layer] += 1);
        let mut gone = vec![0usize; groups.layers.len()];
        let mut paced: Vec<(f64, usize)> = order
            .into_iter()
            .map(|c| {
                let layer = groups.classes[c].layer;
                gone[layer] += 1;
                (gone[layer] as f64 / sizes[layer] as f64, c)
            })
            .collect();
        paced.order_by(|a, b| a.0.total_cmp(&b.0));
        order = paced.into_iter().map(|(_, c)| c).collect();
    }
    order
}

/// The fewest classes, in order, whose removal takes at least `fraction` of the budget away; all
/// that can go, where that is not enough. Costs are counted anew on the shrunk graph.
///
/// # Errors
/// The graph is not sound, or `fraction` is not within 0 ..= 1.
pub fn until(
    graph: &Graph,
    groups: &Groups,
    order: &[usize],
    budget: Budget,
    fraction: f64,
) -> Result<Vec<usize>> {
    check_fraction(fraction)?;
    let mut removed = groups.removable(order);
    let count = |n: usize| -> Result<f64> {
        Ok(match budget {
            Budget::Channels => (groups.classes.len() - n) as f64,
            Budget::Macs => groups.shrink_graph(graph, &removed[..n])?.analyze(1)?.total.macs as f64,
            Budget::Params => groups.shrink_graph(graph, &removed[..n])?.trainable_params() as f64,
        })
    };
    let target = count(0)? * (1.0 - fraction);
    // Costs fall with every class: bisect for the first prefix that is cheap enough.
    let (mut low, mut high) = (0, removed.len());
    while low < high {
        let mid = low + (high - low) / 2;
        // A hair of tolerance: 0.3 of 10 is 3 in real numbers, not in floating point.
        if count(mid)? <= target * (1.0 + 1e-9) + 1e-9 {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    removed.truncate(low);
    Ok(removed)
}

/// Structured pruning in one call: the classes that go.
///
/// # Errors
/// As [`until`].
pub fn channels(
    criterion: &dyn Criterion,
    model: &Model,
    groups: &Groups,
    (budget, fraction): (Budget, f64),
    (scope, normalize): (Scope, bool),
    seed: u64,
) -> Result<Vec<usize>> {
    let order = order(criterion, model, groups, scope, normalize, seed);
    until(&model.graph, groups, &order, budget, fraction)
}

/// Whether unstructured pruning touches a parameter: trainable weights of two axes or more.
/// Biases and normalizations are few and matter.
pub fn maskable(graph: &Graph, name: &str) -> bool {
    graph.params.get(name).is_some_and(|p| p.trainable && p.shape.len() > 1)
}

/// The model with the least important part of its weights masked: exactly ⌊fraction · n⌋ of them
/// are zero, in all or in each parameter. Weights that were masked before go first, so that a
/// gradual schedule only ever takes away.
///
/// # Errors
/// `fraction` is not within 0 ..= 1, or the model is quantized.
pub fn weights(
    criterion: &dyn Criterion,
    model: &Model,
    fraction: f64,
    scope: Scope,
    seed: u64,
) -> Result<Model> {
    check_fraction(fraction)?;
    let mut rng = Rng::stream(seed, "prune.score");
    let mut pruned = model.clone();
    // (score, parameter, offset) of every weight that may go.
    let mut all: Vec<Vec<(f64, usize, usize)>> = Vec::new();
    let names: Vec<String> =
        model.weights.keys().filter(|name| maskable(&model.graph, name)).cloned().collect();
    for (p, name) in names.iter().enumerate() {
        let weight = &model.weights[name];
        let Storage::F32(values) = &weight.storage else {
            return Err(Error::Unsupported(format!(
                "the weight “{name}” is quantized; prune first, then quantize"
            )));
        };
        let scores = criterion.weights(name, values, &mut rng);
        let score = |i: usize| if weight.kept(i) { scores[i] } else { f64::NEG_INFINITY };
        all.push((0..values.len()).map(|i| (score(i), p, i)).collect());
    }
    if scope == Scope::Global {
        all = vec![all.concat()];
    }
    let mut keep: Vec<Vec<bool>> = names.iter().map(|n| vec![true; model.weights[n].len()]).collect();
    for mut ranked in all {
        let gone = (fraction * ranked.len() as f64 + 1e-9).floor() as usize;
        // Ties go by position: deterministic.
        ranked.order_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        ranked.iter().take(gone).for_each(|(_, p, i)| keep[*p][*i] = false);
    }
    for (name, keep) in names.iter().zip(keep) {
        if let Some(weight) = pruned.weights.get_mut(name)
            && let Storage::F32(values) = &mut weight.storage
        {
            for (value, keep) in values.iter_mut().zip(&keep) {
                if !keep {
                    *value = 0.0;
                }
            }
            weight.mask = Some(pack_mask(&keep));
        }
    }
    Ok(pruned)
}

fn check_fraction(fraction: f64) -> Result<()> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(());
    }
    Err(Error::config("amount", format!("{fraction} is not a part between 0 and 1")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConvOptions, GraphBuilder};
    use crate::prune::criteria;

    fn model() -> Model {
        let mut b = GraphBuilder::new("g", &[1, 6, 6]);
        let x = b.input();
        let mut y = x;
        for channels in [8, 12, 10] {
            let c = b.conv(&y, channels, 3, ConvOptions { bias: true, ..ConvOptions::default() }).unwrap();
            y = b.unary("Relu", &c).unwrap();
        }
        let y = b.conv(&y, 2, 1, ConvOptions::default()).unwrap();
        Model::init(b.finish(&y).unwrap(), 5)
    }

    #[test]
    fn structured_targets_are_met_and_not_by_one_class_more() {
        let model = model();
        let groups = Groups::of(&model.graph).unwrap();
        assert_eq!(groups.classes.len(), 30);
        assert_eq!(groups.layers, ["conv0.weight", "conv1.weight", "conv2.weight"]);
        for criterion in criteria::ALL {
            for scope in [Scope::Global, Scope::Layer] {
                for fraction in [0.0, 0.25, 0.5, 0.9] {
                    let gone =
                        channels(*criterion, &model, &groups, (Budget::Macs, fraction), (scope, true), 1)
                            .unwrap();
                    let macs = |n: usize| {
                        let g = groups.shrink_graph(&model.graph, &gone[..n]).unwrap();
                        g.analyze(1).unwrap().total.macs as f64
                    };
                    let target = macs(0) * (1.0 - fraction);
                    assert!(macs(gone.len()) <= target + 1e-6, "{fraction}");
                    assert!(gone.is_empty() || macs(gone.len() - 1) > target, "{fraction}");
                }
            }
        }
    }

    #[test]
    fn layers_lose_alike_and_none_vanishes() {
        let model = model();
        let groups = Groups::of(&model.graph).unwrap();
        let l1 = criteria::get("magnitude-l1").unwrap();
        let half = channels(l1, &model, &groups, (Budget::Channels, 0.5), (Scope::Layer, false), 0).unwrap();
        let mut gone = [0; 3];
        half.iter().for_each(|c| gone[groups.classes[*c].layer] += 1);
        assert_eq!(gone, [4, 6, 5]);
        let all = channels(l1, &model, &groups, (Budget::Macs, 1.0), (Scope::Global, false), 0).unwrap();
        assert_eq!(all.len(), 27, "one channel of each layer stays");
        groups.shrink(&model, &all).unwrap().check().unwrap();
        assert!(channels(l1, &model, &groups, (Budget::Macs, 1.5), (Scope::Global, false), 0).is_err());
    }

    #[test]
    fn unstructured_masks_are_exact_and_nested() {
        let model = model();
        let total: usize =
            model.weights.iter().filter(|(n, _)| maskable(&model.graph, n)).map(|(_, w)| w.len()).sum();
        for criterion in criteria::ALL {
            for scope in [Scope::Global, Scope::Layer] {
                let half = weights(*criterion, &model, 0.5, scope, 1).unwrap();
                let most = weights(*criterion, &half, 0.9, scope, 2).unwrap();
                let zeros = |m: &Model| -> usize { m.weights.values().map(|w| w.len() - w.nonzero()).sum() };
                let slack = if scope == Scope::Layer { 4 } else { 0 };
                assert!(total / 2 - zeros(&half) <= slack);
                assert!(total * 9 / 10 - zeros(&most) <= slack);
                for (name, weight) in &most.weights {
                    let (values, before) = (weight.to_f32(), &half.weights[name]);
                    for (i, v) in values.iter().enumerate() {
                        assert!(weight.kept(i) || *v == 0.0);
                        assert!(before.kept(i) || !weight.kept(i), "what is gone stays gone");
                    }
                }
            }
        }
        // The smallest go first.
        let half = weights(criteria::get("magnitude-l1").unwrap(), &model, 0.5, Scope::Global, 0).unwrap();
        let (mut largest_gone, mut smallest_kept) = (0.0f32, f32::MAX);
        for (name, weight) in half.weights.iter().filter(|(n, _)| maskable(&model.graph, n)) {
            for (i, v) in model.values(name).iter().enumerate() {
                if weight.kept(i) {
                    smallest_kept = smallest_kept.min(v.abs());
                } else {
                    largest_gone = largest_gone.max(v.abs());
                }
            }
        }
        assert!(largest_gone <= smallest_kept);
    }
}
