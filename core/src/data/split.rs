//! Stratified splits: every class is divided in the same proportions.

use super::{Dataset, Split};
use crate::rng::Rng;
use crate::{Error, Result};

/// The seed of every split. Fixed and apart from a run's seed, so that every run on a data set is
/// judged by the same test samples.
const SEED: u64 = 1797;

/// Samples of a data set before it is split.
pub(super) struct Samples {
    pub name: String,
    pub shape: Vec<usize>,
    pub inputs: Vec<f32>,
    pub labels: Vec<u32>,
    pub classes: Vec<String>,
}

impl Samples {
    /// Splits into two thirds to learn from, a sixth to choose by and a sixth to report.
    ///
    /// # Errors
    /// There are fewer than two classes, or too few samples to split.
    pub fn split(self) -> Result<Dataset> {
        let Self { name, shape, inputs, labels, classes } = self;
        let wrong = |message: String| Err(Error::Data { name: name.clone(), message });
        if classes.len() < 2 {
            return wrong(format!(
                "it has {} class ({}); telling things apart takes at least two",
                classes.len(),
                classes.join(", ")
            ));
        }
        if labels.len() < 12 {
            return wrong(format!(
                "it has {} samples; at least 12 are needed to learn from some and test on others",
                labels.len()
            ));
        }
        let held_out = (labels.len() as f64 / 6.0).round() as usize;
        let mut by_class: Vec<Vec<u32>> = vec![Vec::new(); classes.len()];
        for (i, label) in labels.iter().enumerate() {
            by_class[*label as usize].push(i as u32);
        }
        let sizes: Vec<usize> = by_class.iter().map(Vec::len).collect();
        let quota = quotas(&sizes, held_out);
        let rest: Vec<usize> = sizes.iter().zip(&quota).map(|(n, q)| n - q).collect();
        let test_quota = quotas(&rest, held_out);
        let mut split_of = vec![Split::Train; labels.len()];
        for (class, mut members) in by_class.into_iter().enumerate() {
            Rng::stream(SEED, &format!("split {class}")).shuffle(&mut members);
            let tests = members.split_off(members.len() - test_quota[class]);
            let validations = members.split_off(members.len() - quota[class]);
            validations.into_iter().for_each(|i| split_of[i as usize] = Split::Validation);
            tests.into_iter().for_each(|i| split_of[i as usize] = Split::Test);
        }
        let part = |split| (0..labels.len() as u32).filter(|i| split_of[*i as usize] == split).collect();
        let (train, validation, test) = (part(Split::Train), part(Split::Validation), part(Split::Test));
        Ok(Dataset { name, shape, inputs, labels, classes, train, validation, test, table: None })
    }
}

/// Divides `total` over classes in proportion to their sizes, by largest remainders.
fn quotas(sizes: &[usize], total: usize) -> Vec<usize> {
    // In 64 bits: a usize is 32 bits in Wasm.
    let all = sizes.iter().sum::<usize>() as u64;
    let share = |n: usize| n as u64 * total as u64;
    let mut quotas: Vec<usize> = sizes.iter().map(|n| (share(*n) / all) as usize).collect();
    let mut rests: Vec<Option<u64>> = sizes.iter().map(|n| Some(share(*n) % all)).collect();
    for _ in quotas.iter().sum::<usize>()..total {
        // The first of the largest; each is served once.
        let largest = (0..rests.len()).rev().max_by_key(|c| rests[*c]).unwrap_or(0);
        rests[largest] = None;
        quotas[largest] += 1;
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_add_up_and_follow_the_sizes() {
        assert_eq!(quotas(&[178, 182, 177], 90), [30, 30, 30]);
        assert_eq!(quotas(&[100, 10, 1], 37).iter().sum::<usize>(), 37);
        assert_eq!(quotas(&[90, 8, 13], 37), [30, 3, 4]);
    }

    #[test]
    fn one_class_is_refused_in_words() {
        let samples = Samples {
            name: "mine".into(),
            shape: vec![1],
            inputs: vec![0.0; 20],
            labels: vec![0; 20],
            classes: vec!["cat".into()],
        };
        let message = samples.split().unwrap_err().to_string();
        assert!(message.contains("1 class (cat)"), "{message}");
    }
}
