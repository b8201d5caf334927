//! Pruning criteria: one file each, and this registry. A criterion only scores; what is removed,
//! when and how is the same for all of them.

mod magnitude_l1;
mod magnitude_l2;
mod random;

use super::groups::slice_offsets;
use super::{Class, Groups};
use crate::model::Model;
use crate::registry::Method;
use crate::rng::Rng;

/// Says how important a weight, or a set of weights that go together, is.
pub trait Criterion: Sync {
    /// What it says of itself.
    fn method(&self) -> &'static Method;

    /// The score of each value of a parameter, taken one by one: larger stays longer. `values` are
    /// in row-major order; `name` is the parameter's.
    fn weights(&self, name: &str, values: &[f32], rng: &mut Rng) -> Vec<f64>;

    /// The score of values that live and die together: larger stays longer.
    fn class(&self, values: &[f32], rng: &mut Rng) -> f64;
}

/// Every criterion, alphabetical by id.
pub static ALL: &[&dyn Criterion] =
    &[&magnitude_l1::MagnitudeL1, &magnitude_l2::MagnitudeL2, &random::Random];

/// A criterion by id.
pub fn get(id: &str) -> Option<&'static dyn Criterion> {
    ALL.iter().find(|c| c.method().id == id).copied()
}

/// The values that a class is scored by: of its weights with two axes or more, the slices that
/// make the channel (its filters, as in Li et al., 2017); those that read it, where nothing makes
/// it; and whatever it has, where all of it is vectors.
pub fn class_values(model: &Model, groups: &Groups, class: &Class) -> Vec<f32> {
    let pick = |matrix: bool, makes: Option<bool>| {
        let mut values = Vec::new();
        for slice in &class.slices {
            let axis = &groups.axes[slice.axis];
            let Some(param) = model.graph.params.get(&axis.tensor) else { continue };
            let fits = param.trainable
                && (param.shape.len() > 1) == matrix
                && makes.is_none_or(|makes| axis.makes == makes);
            if let Some(weight) = model.weights.get(&axis.tensor).filter(|_| fits)
                && let crate::model::Storage::F32(dense) = &weight.storage
            {
                let offsets = slice_offsets(&weight.shape, axis.axis, slice.index);
                values.extend(offsets.filter_map(|o| dense.get(o)));
            }
        }
        values
    };
    [(true, Some(true)), (true, Some(false)), (false, None)]
        .into_iter()
        .map(|(matrix, makes)| pick(matrix, makes))
        .find(|values| !values.is_empty())
        .unwrap_or_default()
}

/// Scores of every class, in the order of `groups.classes`. With `normalize`, the scores of a
/// layer are divided by their mean, so that layers of different fan-in can be compared.
pub fn score_classes(
    criterion: &dyn Criterion,
    model: &Model,
    groups: &Groups,
    normalize: bool,
    seed: u64,
) -> Vec<f64> {
    let mut rng = Rng::stream(seed, "prune.score");
    let score = |class: &Class| criterion.class(&class_values(model, groups, class), &mut rng);
    let mut scores: Vec<f64> = groups.classes.iter().map(score).collect();
    if normalize {
        let mut sums = vec![(0.0, 0u32); groups.layers.len()];
        for (class, score) in groups.classes.iter().zip(&scores) {
            sums[class.layer].0 += score;
            sums[class.layer].1 += 1;
        }
        for (class, score) in groups.classes.iter().zip(&mut scores) {
            let (sum, n) = sums[class.layer];
            if sum > 0.0 {
                *score *= f64::from(n) / sum;
            }
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_criterion_scores_and_explains_itself() {
        assert!(ALL.is_sorted_by_key(|c| c.method().id));
        for criterion in ALL {
            let m = criterion.method();
            assert!(m.sentence.ends_with('.') && !m.formula.is_empty(), "{}", m.id);
            let values = [0.5, -2.0, 0.0, 1.0];
            let scores = criterion.weights("w", &values, &mut Rng::new(3));
            assert_eq!(scores.len(), 4);
            assert!(scores.iter().all(|s| s.is_finite() && *s >= 0.0), "{}: {scores:?}", m.id);
            // The same seed, the same scores.
            assert_eq!(scores, criterion.weights("w", &values, &mut Rng::new(3)));
        }
        let l1 = get("magnitude-l1").unwrap();
        assert_eq!(l1.class(&[0.5, -2.0, 1.0], &mut Rng::new(0)), 3.5);
        assert_eq!(get("magnitude-l2").unwrap().class(&[3.0, -4.0], &mut Rng::new(0)), 5.0);
    }
}
