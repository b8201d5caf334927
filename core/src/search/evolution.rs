//! Regularized evolution: tournament selection in which the oldest dies, not the worst.
//!
//! Real et al., "Regularized Evolution for Image Classifier Architecture Search" (AAAI 2019,
//! arXiv:1802.01548), algorithm 1. With more than one evaluation in flight it is the asynchronous
//! form that the paper runs on its workers: a child joins the population when it has been judged.

use super::{Scored, Session, session};
use crate::Result;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};
use crate::space;
use std::collections::VecDeque;
use std::rc::Rc;

/// See the module.
pub static METHOD: Method = Method {
    id: "evolution",
    name: "Regularized evolution",
    sentence: "Mutates the best of a few members drawn from a population in which the oldest dies, so nothing survives by one lucky score.",
    formula: "parent = argmax_{a ∈ sample(P, S)} accuracy(a);  P ← P ∪ {mutate(parent)} ∖ {oldest}",
    citation: Citation {
        authors: "Real, Aggarwal, Huang and Le",
        title: "Regularized Evolution for Image Classifier Architecture Search",
        year: 2019,
        venue: "AAAI, arXiv:1802.01548",
    },
    params: &[
        ParamSpec::int(
            "evolution.population",
            "Population",
            2,
            200,
            8,
            "How many members the population has; the oldest leaves when one joins.",
        ),
        ParamSpec::int(
            "evolution.sample",
            "Tournament",
            1,
            100,
            3,
            "How many members compete to be the parent.",
        ),
    ],
};

/// Searches until the budget is spent.
///
/// # Errors
/// As [`Session::settle`].
pub async fn run(session: &Session<'_>) -> Result<()> {
    let size = session.settings.count("evolution.population").max(1);
    let tournament = session.settings.count("evolution.sample").max(1);
    let mut population: VecDeque<Rc<Scored>> = VecDeque::new();
    let mut flying = VecDeque::new();
    let mut drawn = 0;
    let mut settled = 0;
    loop {
        while flying.len() < session.lookahead() {
            let candidate = if drawn < size {
                session.draw_initial()
            } else if settled < size {
                // The first population is complete before the first parent is chosen.
                break;
            } else {
                session.draw(|rng| {
                    let sample: Vec<_> =
                        (0..tournament).filter_map(|_| population.get(rng.below(population.len()))).collect();
                    match session::best(sample) {
                        Some(p) => {
                            (space::mutate(&session.genes, &p.candidate.genome, rng), vec![p.candidate.id])
                        }
                        None => (space::sample(&session.genes, rng), vec![]),
                    }
                })
            };
            let Some(candidate) = candidate else { break };
            drawn += 1;
            flying.push_back(session.evaluate(&candidate, session.epochs()));
        }
        let Some(pending) = flying.pop_front() else { return Ok(()) };
        population.push_back(session.settle(pending).await?);
        settled += 1;
        if population.len() > size {
            population.pop_front();
        }
        session.show_population(&population);
    }
}
