//! One-shot search: the weights of all networks of a space are trained once, as parts of shared tensors, and
//! evolution judges networks by their share of them.
//!
//! Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling" (ECCV 2020, arXiv:1904.00420);
//! the other samplers are those of [`crate::supernet::samplers`]. What trains is [`crate::supernet`], through
//! [`super::Evaluator::share`]. A few networks drawn at first train alone as well: how well the shared weights rank
//! networks is measured on these after every epoch (Kendall's τ; Yu et al., "Evaluating the Search Phase of Neural
//! Architecture Search", ICLR 2020, arXiv:1902.08142, show how badly they may). Then the best by their share of the
//! weights train alone, as any other candidate.

use super::Session;
use super::session::{Evolving, Scored, Sharing};
use crate::Result;
use crate::params::ParamSpec;
use crate::protocol::{Event, Metric, Tone};
use crate::rank::{kendall, spearman};
use crate::registry::{Citation, Method};
use crate::space::Genome;
use std::rc::Rc;

/// The samplers of [`crate::supernet::samplers`]; the page must know them and not what they do.
const SAMPLERS: [(&str, &str); 3] = [
    ("multi", "Several subnets share a batch"),
    ("sandwich", "Sandwich rule with inplace distillation"),
    ("single-path", "One subnet a step"),
];

/// See the module.
pub static METHOD: Method = Method {
    id: "one-shot",
    name: "One-shot (shared weights)",
    sentence: "All networks share one set of weights, trained once on networks drawn at random; evolution then judges each network by its share of them, without training it.",
    formula: "w* = argmin E_{a~U} L(a, w),  a* = argmax Acc(a, w*|ₐ)",
    citation: Citation {
        authors: "Guo, Zhang, Mu, Heng, Liu, Wei and Sun",
        title: "Single Path One-Shot Neural Architecture Search with Uniform Sampling",
        year: 2020,
        venue: "ECCV, arXiv:1904.00420",
    },
    params: &[
        ParamSpec::choice(
            "one-shot.sampler",
            "Trained by",
            &SAMPLERS,
            "single-path",
            "Which networks a step of the shared weights trains, and what they learn from.",
        ),
        ParamSpec::int(
            "one-shot.epochs",
            "Shared epochs",
            1,
            500,
            24,
            "Passes over the training data in which the shared weights learn.",
        )
        .unit("epochs"),
        ParamSpec::float(
            "one-shot.rate",
            "Shared rate",
            0.0001,
            1.0,
            0.02,
            "Peak learning rate of the shared weights.",
        )
        .log(),
        ParamSpec::int(
            "one-shot.watched",
            "Watched",
            2,
            64,
            8,
            "Networks drawn at first and trained alone too: how well the shared weights rank networks is measured on them.",
        )
        .unit("networks"),
        ParamSpec::int(
            "one-shot.population",
            "Population",
            2,
            500,
            24,
            "Networks of a generation, judged by their share of the weights.",
        ),
        ParamSpec::int("one-shot.generations", "Generations", 0, 100, 6, "Generations after the first."),
        ParamSpec::int("one-shot.parents", "Parents", 1, 100, 8, "The best so far from which children come."),
        ParamSpec::float(
            "one-shot.mutation",
            "Mutation",
            0.0,
            1.0,
            0.1,
            "How often a mutation redraws each choice.",
        ),
    ],
};

/// Searches until the budget is spent.
///
/// # Errors
/// The networks of the space share no weights, or nothing trains here; what training and [`Session::settle`] say; no
/// network is within the limits.
pub async fn run(session: &Session<'_>) -> Result<()> {
    let count = |key: &str| session.settings.count(key);
    let mut shared = session.share(&Sharing {
        sampler: session.settings.text("one-shot.sampler"),
        epochs: count("one-shot.epochs") as u32,
        rate: session.settings.float("one-shot.rate") as f32,
    })?;
    // At least half of the budget is for what the shared weights find.
    let most = count("one-shot.watched").min(session.left().div_ceil(2) as usize);
    let drawn =
        std::iter::from_fn(|| session.draw(|rng| (crate::space::sample(&session.genes, rng), Vec::new())));
    let watched: Vec<_> = drawn.take(most).collect();
    if watched.is_empty() {
        // The run says that no network is within the limits; nothing needs to train for that.
        return Ok(());
    }
    // The candidates train alone while the shared weights train together.
    let mut alone = session.evaluate_several(&watched, session.epochs());
    let trained = shared.train(watched.iter().map(|c| c.genome.clone()).collect()).await?;
    session.spend(trained.macs as f64);
    for (epoch, loss) in trained.losses.iter().enumerate() {
        series(session, "Shared weights", "Training loss (nats)", "one set of weights", epoch, *loss);
    }
    let last = trained.watched.last().cloned().unwrap_or_default();
    let mut measured: Vec<Rc<Scored>> = Vec::new();
    for (pending, expected) in alone.drain(..).zip(&last) {
        measured.push(session.settle(pending.expecting(*expected)).await?);
    }
    rank(session, &measured, &trained.watched);

    let evolving = Evolving {
        population: count("one-shot.population").max(2),
        generations: count("one-shot.generations"),
        parents: count("one-shot.parents").max(1),
        mutation: session.settings.float("one-shot.mutation"),
    };
    let within = |genome: &Genome| Ok(session.fits(genome));
    let told = |generation: usize, best: f64, parents: &[Genome]| {
        series(session, "Evolution", "Best by shared weights (%)", "no training", generation, 100.0 * best);
        session.show_choices("What the best by shared weights are made of", parents);
    };
    let judged = shared.evolve(&evolving, &within, &told).await?;
    let found = judged
        .iter()
        .filter_map(|(accuracy, genome)| session.admit_expected(genome, Vec::new(), 1.0 - accuracy));
    session.evaluate_all(found.collect(), session.epochs()).await?;
    Ok(())
}

fn series(session: &Session<'_>, chart: &str, y: &str, line: &str, x: usize, value: f64) {
    session.tell(Event::Series {
        chart: chart.into(),
        line: line.into(),
        tone: Tone::Grow,
        x_label: if chart == "Evolution" { "Generations" } else { "Epochs of the shared weights" }.into(),
        y_label: y.into(),
        points: vec![(x as f64 + f64::from(u8::from(chart != "Evolution")), value)],
    });
}

/// How well the shared weights ranked the watched networks, epoch by epoch.
fn rank(session: &Session<'_>, alone: &[Rc<Scored>], watched: &[Vec<f64>]) {
    let measured: Vec<f64> = alone.iter().map(|s| s.metric(Metric::ValAccuracy)).collect();
    for (epoch, shared) in watched.iter().enumerate() {
        if let Some(tau) = kendall(shared, &measured) {
            series(session, "Ranking", "Kendall's τ with training alone", "shared weights", epoch, tau);
        }
    }
    let Some(shared) = watched.last() else { return };
    let percent = |part: f64| format!("{:.1} %", 100.0 * part);
    let rows = alone.iter().zip(shared).map(|(scored, shared)| {
        let candidate = &scored.candidate;
        let alone = percent(scored.metric(Metric::ValAccuracy));
        vec![format!("#{}", candidate.id), candidate.label.clone(), percent(*shared), alone]
    });
    session.tell(Event::Table {
        title: "Networks with shared weights and trained alone, on the validation split".into(),
        columns: ["Candidate", "Architecture", "shared weights", "trained alone"].map(Into::into).to_vec(),
        rows: rows.collect(),
    });
    session.log(match (kendall(shared, &measured), spearman(shared, &measured)) {
        (Some(tau), Some(rho)) => format!(
            "The shared weights rank {} networks as training alone does with Kendall's τ = {tau:.2} and Spearman's ρ = {rho:.2}.",
            measured.len()
        ),
        _ => format!(
            "How well the shared weights rank cannot be said: of {} networks all are equally good by one of the two measures.",
            measured.len()
        ),
    });
}

#[cfg(all(test, feature = "compute"))]
mod tests {
    use crate::supernet::samplers;

    #[test]
    fn the_form_has_every_sampler() {
        let known: Vec<&str> = samplers::ALL.iter().map(|s| s.method().id).collect();
        assert_eq!(super::SAMPLERS.map(|s| s.0).to_vec(), known);
    }
}
