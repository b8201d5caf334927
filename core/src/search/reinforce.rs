//! REINFORCE: a policy draws networks, and their accuracy, against its moving average, makes them likelier.
//!
//! Zoph and Le, "Neural Architecture Search with Reinforcement Learning" (ICLR 2017, arXiv:1611.01578), with the
//! policies of [`super::policy`]. The entropy bonus keeps the policy from settling early. With more than one
//! evaluation in flight it is the asynchronous form of the paper's parallel training: a network counts by the
//! policy as it is when its result arrives.

use super::policy::Policy;
use super::{Session, session};
use crate::Result;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};
use crate::space::Genome;
use std::collections::VecDeque;

/// See the module.
pub static METHOD: Method = Method {
    id: "reinforce",
    name: "REINFORCE",
    sentence: "A policy draws networks; those that do better than its recent average become likelier.",
    formula: "θ ← θ + η · (R − b) · ∇ log π(a; θ) + η · β · ∇ H(π),  b ← μ·b + (1 − μ)·R",
    citation: Citation {
        authors: "Zoph and Le",
        title: "Neural Architecture Search with Reinforcement Learning",
        year: 2017,
        venue: "ICLR, arXiv:1611.01578",
    },
    params: &[
        ParamSpec::int(
            "reinforce.hidden",
            "LSTM units",
            0,
            128,
            0,
            "Units of the LSTM that writes a network choice by choice; 0 is one softmax for each choice, as in NAS-Bench-201.",
        ),
        ParamSpec::float(
            "reinforce.rate",
            "Policy's rate",
            0.0001,
            1.0,
            0.05,
            "Learning rate of the policy (Adam).",
        )
        .log(),
        ParamSpec::float(
            "reinforce.average",
            "Baseline's memory",
            0.0,
            0.999,
            0.9,
            "How much of the moving average of rewards stays when a new one joins it.",
        ),
        ParamSpec::float(
            "reinforce.entropy",
            "Entropy bonus",
            0.0,
            1.0,
            0.0001,
            "How much an undecided policy is worth, in parts of accuracy for each nat.",
        ),
    ],
};

/// Searches until the budget is spent.
///
/// # Errors
/// As [`Session::settle`].
pub async fn run(session: &Session<'_>) -> Result<()> {
    let settings = session.settings;
    let sizes = session.genes.iter().map(|g| g.options.len()).collect();
    let mut policy = Policy::new(sizes, settings.count("reinforce.hidden"), &mut session.rng());
    let (rate, memory) = (settings.float("reinforce.rate"), settings.float("reinforce.average"));
    let entropy = settings.float("reinforce.entropy");
    let mut baseline = None;
    let mut flying = VecDeque::new();
    loop {
        while flying.len() < session.lookahead() {
            let Some(candidate) = session.draw(|rng| (policy.sample(rng), vec![])) else { break };
            flying.push_back(session.evaluate(&candidate, session.epochs()));
        }
        let Some(pending) = flying.pop_front() else { return Ok(()) };
        let scored = session.settle(pending).await?;
        // The first objective alone; the others decide between equals, which no gradient knows.
        let reward = scored.fitness.first().map_or(0.0, |f| -f);
        if !reward.is_finite() {
            continue;
        }
        let b = baseline.map_or(reward, |b: f64| memory * b + (1.0 - memory) * reward);
        baseline = Some(b);
        let gradient = policy.gradient(&scored.candidate.genome, reward - b, entropy);
        policy.ascend(&gradient, rate);
        // An LSTM's later choices hang on its earlier ones: shown as they follow the best network's.
        let history = session.history();
        let along = session::best(&history).map_or_else(Genome::default, |b| b.candidate.genome.clone());
        session.lean("What the policy would choose", &policy.probabilities(&along));
    }
}
