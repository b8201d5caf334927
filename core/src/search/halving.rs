//! Successive halving: many start, the better part trains on.
//!
//! Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
//! Optimization" (AISTATS 2016, arXiv:1502.07943). All candidates train for a few epochs; the best
//! 1/η of them train on with the weights they have, until each rung's survivors have η times the
//! epochs of the rung before. The last rung ends at the epochs of a full evaluation. Each rung's
//! learning-rate schedule starts anew.

use super::{Scored, Session};
use crate::Result;
use crate::order::Order;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};
use crate::space;
use std::rc::Rc;

/// See the module.
pub static METHOD: Method = Method {
    id: "halving",
    name: "Successive halving",
    sentence: "Trains everyone a little, then only the better part further, again and again.",
    formula: "nₖ = ⌊n₀ / ηᵏ⌋ candidates train to rₖ = r₀ ηᵏ epochs",
    citation: Citation {
        authors: "Jamieson and Talwalkar",
        title: "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
        year: 2016,
        venue: "AISTATS, arXiv:1502.07943",
    },
    params: &[
        ParamSpec::int(
            "halving.eta",
            "Reduction",
            2,
            8,
            2,
            "One in so many survives a rung, and trains so many times as long.",
        ),
        ParamSpec::int("halving.rungs", "Rungs", 1, 6, 3, "How many rungs there are."),
    ],
};

/// Epochs in all at the end of each rung: at least 1, at least one more than the rung before, the
/// last at least `epochs`.
fn rungs(epochs: u32, eta: u32, count: u32) -> Vec<u32> {
    let mut ends = Vec::new();
    let mut last = 0;
    for k in (0..count).rev() {
        last = (epochs / eta.saturating_pow(k).max(1)).max(last + 1);
        ends.push(last);
    }
    ends
}

/// The part of `epochs` that a candidate trains on average, where one in `eta` passes each rung.
fn share(ends: &[u32], eta: f64, epochs: u32) -> f64 {
    let mut before = 0;
    let trained = ends.iter().zip(0..).map(|(end, rung)| {
        let more = end - std::mem::replace(&mut before, *end);
        f64::from(more) / eta.powi(rung)
    });
    trained.sum::<f64>() / f64::from(epochs.max(1))
}

/// Searches until the budget is spent.
///
/// # Errors
/// As [`Session::settle`].
pub async fn run(session: &Session<'_>) -> Result<()> {
    let eta = session.settings.count("halving.eta").max(2);
    let count = session.settings.count("halving.rungs").max(1);
    let ends = rungs(session.epochs(), eta as u32, count as u32);
    session.expect_share(share(&ends, eta as f64, session.epochs()));
    let mut alive = Vec::new();
    while let Some(candidate) = session.draw(|rng| (space::sample(&session.genes, rng), vec![])) {
        alive.push(candidate);
    }
    let mut trained = 0;
    for (rung, end) in ends.into_iter().enumerate() {
        if rung > 0 && alive.len() <= 1 {
            break;
        }
        let mut scored: Vec<Rc<Scored>> = session.evaluate_all(alive, end - trained).await?;
        trained = end;
        // Stable, so that equals keep their order.
        scored.order_by(|a, b| match (a.better_than(b), b.better_than(a)) {
            (true, _) => std::cmp::Ordering::Less,
            (_, true) => std::cmp::Ordering::Greater,
            _ => std::cmp::Ordering::Equal,
        });
        scored.truncate((scored.len() / eta).max(1));
        alive = scored.into_iter().map(|s| s.candidate.clone()).collect();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{rungs, share};

    #[test]
    fn rungs_grow_by_eta() {
        assert_eq!(rungs(9, 3, 3), [1, 3, 9]);
        assert_eq!(rungs(6, 2, 3), [1, 3, 6]);
        assert_eq!(rungs(1, 2, 3), [1, 2, 3]);
    }

    #[test]
    fn most_candidates_cost_little() {
        // All train 1 epoch, a third 2 more, a ninth 6 more.
        assert!((share(&[1, 3, 9], 3.0, 9) - (1.0 + 2.0 / 3.0 + 6.0 / 9.0) / 9.0).abs() < 1e-12);
        assert_eq!(share(&[4], 2.0, 4), 1.0);
    }
}
