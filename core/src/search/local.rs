//! Local search: judges every neighbour, moves to the best of them, and begins elsewhere where none is better.
//!
//! White, Nolen and Savani, "Exploring the Loss Landscape in Neural Architecture Search" (UAI 2021,
//! arXiv:2005.02960), algorithm 1, hill climbing with restarts. Neighbours differ in one choice. A neighbour that
//! was judged before is not paid for twice, but still counts.

use super::{Scored, Session, session};
use crate::Result;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};
use crate::rng::Rng;
use crate::space::{Gene, Genome};
use std::rc::Rc;

/// See the module.
pub static METHOD: Method = Method {
    id: "local",
    name: "Local search",
    sentence: "Tries every network that differs in one choice and moves to the best, until none is better; then it begins anew.",
    formula: "a ← argmax_{b ∈ N(a)} accuracy(b)  while accuracy(b) > accuracy(a)",
    citation: Citation {
        authors: "White, Nolen and Savani",
        title: "Exploring the Loss Landscape in Neural Architecture Search",
        year: 2021,
        venue: "UAI, arXiv:2005.02960",
    },
    params: &[ParamSpec::bool(
        "local.first",
        "First improvement",
        false,
        "Moves to the first neighbours that are better instead of judging all of them first.",
    )],
};

/// Every genome that differs from this one in exactly one gene, in random order.
fn neighbours(genes: &[Gene], genome: &Genome, rng: &mut Rng) -> Vec<Genome> {
    let mut all = Vec::new();
    for (i, gene) in genes.iter().enumerate() {
        for choice in (0..gene.options.len()).filter(|c| *c != genome.at(i)) {
            let mut other = genome.clone();
            other.0[i] = choice as u8;
            all.push(other);
        }
    }
    rng.shuffle(&mut all);
    all
}

/// Searches until the budget is spent.
///
/// # Errors
/// As [`Session::settle`].
pub async fn run(session: &Session<'_>) -> Result<()> {
    let first = session.settings.bool("local.first");
    while let Some(start) = session.draw_initial() {
        let mut here: Rc<Scored> = session.settle(session.evaluate(&start, session.epochs())).await?;
        loop {
            let around = neighbours(&session.genes, &here.candidate.genome, &mut session.rng());
            let canonical = |genome: &Genome| session.space.canonical(&session.settings.config, genome);
            let known: Vec<Genome> = around.iter().map(canonical).collect();
            // Judged together as many as are in flight at once; all of them, unless the first will do.
            let together = if first { session.lookahead() } else { around.len().max(1) };
            let mut best = here.clone();
            for group in around.chunks(together) {
                let new = group.iter().filter_map(|g| session.admit(g, vec![here.candidate.id])).collect();
                session.evaluate_all(new, session.epochs()).await?;
                let judged = session.latest();
                let near = judged.iter().filter(|s| known.contains(&s.candidate.genome));
                best = session::best(near.chain([&best])).cloned().unwrap_or(best);
                if first && best.better_than(&here) {
                    break;
                }
            }
            if !best.better_than(&here) {
                break;
            }
            here = best;
            if session.left() == 0 {
                return Ok(());
            }
        }
    }
    Ok(())
}
