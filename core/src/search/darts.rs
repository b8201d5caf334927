//! DARTS: choices are mixed by shares that learn by gradients, beside the weights of all options at once.
//!
//! Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search" (ICLR 2019, arXiv:1806.09055), first
//! order. What trains is [`crate::relax`], through [`super::Evaluator::relax`]; the cells derived on the way are
//! candidates as any other, so that one sees how far the relaxed network and the discrete one are apart,
//! and what becomes of the cell as the shares settle: on many spaces they settle on skip connections (Zela et
//! al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020, arXiv:1909.09656).
//!
//! To see it on the digits: NAS-Bench-201's space with four stages of two cells, twelve epochs, a rate of 0.05, seed
//! 1 and batches of 64. After five epochs five of six edges lean to skip connections; that cell has 80.5 % on
//! CIFAR-10 in the published table, among the worst eighth (`tests/tests/darts.rs`). It does not stay so: as the
//! convolutions learn, they take edges back, and the twelfth epoch leaves two. With one or two stages, or with wider
//! cells, two or three edges were the most.

use super::session::{Pending, Scored};
use super::{Candidate, Session, Settings};
use crate::params::ParamSpec;
use crate::protocol::{Event, Metric, Tone};
use crate::registry::{Citation, Method};
use crate::relax::{Form, Mixing, Relaxation};
use crate::space::Genome;
use crate::train::{Optimizer, Schedule, TrainConfig};
use crate::{Error, Result};
use std::rc::Rc;

/// The settings that every differentiable strategy has, under its own id.
macro_rules! relaxed_params {
    ($id:literal, $rate:expr, $warmup:expr) => {
        [
            ParamSpec::int(
                concat!($id, ".epochs"),
                "Relaxed epochs",
                1,
                500,
                40,
                "Passes over one half of the training data in which the relaxed network learns.",
            )
            .unit("epochs"),
            ParamSpec::int(
                concat!($id, ".warmup"),
                "Warm-up",
                0,
                200,
                $warmup,
                "Epochs at first in which only the weights learn.",
            )
            .unit("epochs"),
            ParamSpec::float(
                concat!($id, ".weights"),
                "Weights' rate",
                0.0001,
                1.0,
                0.1,
                "Learning rate of the relaxed network's weights (SGD with momentum, down to zero along half a cosine).",
            )
            .log(),
            ParamSpec::float(
                concat!($id, ".rate"),
                "Architecture's rate",
                0.0001,
                1.0,
                $rate,
                "Learning rate of the architecture weights (Adam). Published rates are for a hundred times as many steps.",
            )
            .log(),
            ParamSpec::int(
                concat!($id, ".every"),
                "A cell every",
                1,
                500,
                10,
                "After so many epochs each the cell found so far is trained by itself, as a candidate.",
            )
            .unit("epochs"),
        ]
    };
}
pub(super) use relaxed_params;

const PARAMS: [ParamSpec; 5] = relaxed_params!("darts", 0.02, 0);

/// See the module.
pub static METHOD: Method = Method {
    id: "darts",
    name: "DARTS",
    sentence: "All options are computed at once and mixed; gradients on one half of the data teach the weights, on the other the shares of the mixture.",
    formula: "ō(x) = Σₒ softmax(α)ₒ · o(x),  w ← w − ξ ∇_w L₁(w, α),  α ← α − η ∇_α L₂(w, α)",
    citation: Citation {
        authors: "Liu, Simonyan and Yang",
        title: "DARTS: Differentiable Architecture Search",
        year: 2019,
        venue: "ICLR, arXiv:1806.09055",
    },
    params: &PARAMS,
};

/// Searches until its epochs are over or the budget is spent.
///
/// # Errors
/// As [`relax`].
pub async fn run(session: &Session<'_>) -> Result<()> {
    relax(session, METHOD.id, Form::default(), Mixing::Softmax).await
}

/// How a relaxed network trains under a strategy's settings.
fn relaxation(settings: &Settings, id: &str, mixing: Mixing) -> Relaxation {
    let count = |key: &str| settings.count(&format!("{id}.{key}")) as u32;
    let float = |key: &str| settings.float(&format!("{id}.{key}")) as f32;
    let published = Relaxation::published(count("epochs"), settings.count("batch") as u32);
    Relaxation {
        mixing,
        warmup: count("warmup"),
        rate: float("rate"),
        weights: TrainConfig {
            rate: float("weights"),
            optimizer: Optimizer::Sgd { momentum: 0.9 },
            schedule: Schedule::Cosine { warmup: 0.0 },
            ..published.weights
        },
        ..published
    }
}

/// A cell on its way: the row of the table that it belongs to, and its evaluation.
struct Flying {
    row: usize,
    pending: Pending,
}

/// What is told of a cell in the end.
struct Row {
    epoch: u32,
    label: String,
    relaxed: f64,
    inherited: Option<f64>,
    alone: Option<Rc<Scored>>,
}

/// What every differentiable strategy does: it trains the relaxed network epoch by epoch, tells its shares,
/// and makes candidates of the cells derived from them.
///
/// # Errors
/// The evaluator cannot train shared weights, or the space cannot be relaxed; what training and
/// [`Session::settle`] say; no cell that was derived is a network within the limits.
pub(super) async fn relax(session: &Session<'_>, id: &str, form: Form, mixing: Mixing) -> Result<()> {
    let how = relaxation(session.settings, id, mixing);
    let every = session.settings.count(&format!("{id}.every")).max(1) as u32;
    let mut training = session.relax(form, &how)?;
    let (mut rows, mut flying): (Vec<Row>, Vec<Flying>) = (Vec::new(), Vec::new());
    let mut known: Option<(Genome, Rc<Candidate>)> = None;
    let mut collapsed = false;
    for epoch in 1..=how.weights.epochs {
        let told = training.epoch().await?;
        session.spend(told.macs as f64);
        session.tell(told.heat.clone());
        point(
            session,
            "Relaxed and discrete",
            "relaxed network",
            Tone::Grow,
            epoch,
            100.0 * told.val_accuracy,
        );
        if let Some(inherited) = told.inherited {
            point(
                session,
                "Relaxed and discrete",
                "its cell with the same weights",
                Tone::Prune,
                epoch,
                100.0 * inherited,
            );
        }
        point(
            session,
            "Skip connections",
            "edges that lean to skip",
            Tone::Grow,
            epoch,
            f64::from(told.skips),
        );
        let mostly = 2 * told.skips > told.choices;
        if mostly != collapsed {
            collapsed = mostly;
            session.log(format!(
                "Epoch {epoch}: {} of {} edges lean to skip connections; {}.",
                told.skips,
                told.choices,
                if mostly { "the search has collapsed" } else { "it has recovered" }
            ));
        }
        // Another epoch must leave enough for the cell that comes of it.
        let last = epoch == how.weights.epochs || session.macs_left() < 2.0 * told.macs as f64;
        if last || epoch % every == 0 {
            for Flying { row, pending } in std::mem::take(&mut flying) {
                rows[row].alone = Some(session.settle(pending).await?);
            }
            let same = known.as_ref().is_some_and(|(genome, _)| *genome == told.genome);
            // The last cell has its place in the budget.
            let admitted = match (same, last || session.left() > 1) {
                (false, true) => session.admit(&told.genome, Vec::new()),
                _ => None,
            };
            rows.push(Row {
                epoch,
                label: told.label.clone(),
                relaxed: told.val_accuracy,
                inherited: told.inherited,
                alone: session.latest().into_iter().find(|s| s.candidate.genome == told.genome),
            });
            let judged = admitted.is_some() || rows.last().is_some_and(|r| r.alone.is_some());
            if last && !same && !judged {
                session.tell(Event::Log(format!(
                    "The cell of epoch {epoch} ({}) is no network within the limits, or carries nothing.",
                    told.label
                )));
            }
            if let Some(candidate) = admitted {
                known = Some((told.genome.clone(), candidate.clone()));
                let pending = session.evaluate(&candidate, session.epochs());
                flying.push(Flying { row: rows.len() - 1, pending });
            }
        }
        if last {
            break;
        }
    }
    for Flying { row, pending } in flying {
        rows[row].alone = Some(session.settle(pending).await?);
    }
    session.tell(table(&rows));
    for row in rows.iter().filter(|r| r.alone.is_some()) {
        let alone = row.alone.as_ref().map_or(f64::NAN, |s| s.metric(Metric::ValAccuracy));
        point(
            session,
            "Relaxed and discrete",
            "its cell trained alone",
            Tone::Baseline,
            row.epoch,
            100.0 * alone,
        );
    }
    if session.history().is_empty() {
        return Err(Error::Unsupported(
            "no cell that the shares stand for is a network within the limits; raise the limits or train the relaxed network for longer".into(),
        ));
    }
    Ok(())
}

fn point(session: &Session<'_>, chart: &str, line: &str, tone: Tone, epoch: u32, value: f64) {
    let y = if chart == "Skip connections" { "Edges" } else { "Validation accuracy (%)" };
    session.tell(Event::Series {
        chart: chart.into(),
        line: line.into(),
        tone,
        x_label: "Epochs of the relaxed network".into(),
        y_label: y.into(),
        points: vec![(f64::from(epoch), value)],
    });
}

fn table(rows: &[Row]) -> Event {
    let percent = |part: f64| format!("{:.1} %", 100.0 * part);
    let columns = ["Epoch", "Cell", "relaxed", "cell, same weights", "gap", "cell, trained alone", "gap"];
    let gap = |row: &Row, value: Option<f64>| {
        value.map_or("–".into(), |v| format!("{:+.1} points", 100.0 * (v - row.relaxed)))
    };
    let rows = rows.iter().map(|row| {
        let alone = row.alone.as_ref().map(|s| s.metric(Metric::ValAccuracy));
        vec![
            row.epoch.to_string(),
            row.label.clone(),
            percent(row.relaxed),
            row.inherited.map_or("–".into(), percent),
            gap(row, row.inherited),
            alone.map_or("–".into(), percent),
            gap(row, alone),
        ]
    });
    Event::Table {
        title: "The relaxed network and its cell, on the validation split".into(),
        columns: columns.map(str::to_owned).into(),
        rows: rows.collect(),
    }
}
