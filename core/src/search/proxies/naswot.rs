//! How many linear regions a fresh network tells samples apart by.
//!
//! Mellor, Turner, Storkey and Crowley, "Neural Architecture Search without Training" (ICML 2021, arXiv:2006.04647):
//! each sample's code says which rectified linear units it switches on; K counts, for each pair of samples, the units
//! on which they agree; the score is ln |det K|. Units that rectify smoothly (HardSwish, Gelu) or are clipped count
//! here too, by the sign of what they are given.

use crate::registry::{Citation, Method};

/// See the module.
pub static METHOD: Method = Method {
    id: "naswot",
    name: "NASWOT",
    sentence: "Prefers networks whose units switch differently for different samples.",
    formula: "s = ln |K|,  Kᵢⱼ = units on which samples i and j agree",
    citation: Citation {
        authors: "Mellor, Turner, Storkey and Crowley",
        title: "Neural Architecture Search without Training",
        year: 2021,
        venue: "ICML, arXiv:2006.04647",
    },
    params: &[],
};

#[cfg(feature = "compute")]
pub use run::score;

#[cfg(feature = "compute")]
mod run {
    use super::super::probe::Probe;
    use crate::Result;
    use crate::ops::Value;
    use crate::search::linalg::Cholesky;
    use crate::train::interpret::Hook;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    /// The operators whose inputs are coded.
    const RECTIFIERS: [&str; 4] = ["Clip", "Gelu", "HardSwish", "Relu"];

    struct Codes<'a> {
        names: BTreeSet<&'a str>,
        seen: RefCell<Vec<Value>>,
    }

    impl Hook for Codes<'_> {
        fn activation(&self, name: &str, value: Value) -> Result<Value> {
            if self.names.contains(name) {
                self.seen.borrow_mut().push(value.clone());
            }
            Ok(value)
        }
    }

    /// The logarithm; minus infinity where two samples have the same code, or there is no unit at all.
    ///
    /// # Errors
    /// What an operator cannot do, or the device failed.
    pub async fn score(probe: &Probe) -> Result<f64> {
        let units = probe.graph().nodes.iter().filter(|n| RECTIFIERS.contains(&n.op.as_str()));
        let names = units.filter_map(|n| n.inputs.first()).map(String::as_str).collect();
        let codes = Codes { names, seen: RefCell::default() };
        probe.logits(&probe.params()?, probe.input()?, &codes)?;
        let n = probe.samples();
        let mut agree = vec![0u64; n * n];
        for value in codes.seen.into_inner() {
            let values = value.to_host().await?;
            let on: Vec<Vec<u64>> = values.chunks_exact((values.len() / n).max(1)).map(pack).collect();
            let units = values.len() / n;
            for (i, a) in on.iter().enumerate() {
                for (j, b) in on[..=i].iter().enumerate() {
                    let differ: u32 = a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum();
                    agree[i * n + j] += units as u64 - u64::from(differ);
                }
            }
        }
        let matrix: Vec<f64> = agree.into_iter().map(|count| count as f64).collect();
        Ok(Cholesky::new(&matrix, n).map_or(f64::NEG_INFINITY, |c| c.log_det()))
    }

    /// One bit for each value above zero.
    fn pack(values: &[f32]) -> Vec<u64> {
        let word =
            |values: &[f32]| values.iter().enumerate().fold(0, |w, (i, v)| w | u64::from(*v > 0.0) << i);
        values.chunks(64).map(word).collect()
    }
}
