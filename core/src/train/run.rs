//! The run `train`: a model trains on; its curves, its confusion matrix and the model come of it.

use super::evaluate::EvaluateTask;
use super::params::PARAMS;
use super::{Start, TrainConfig, TrainTask, Trained};
use crate::data::Split;
use crate::job::LocalFuture;
use crate::model::{Anatomy, Model};
use crate::protocol::{Event, Metric, Metrics, RunSpec, Tone};
use crate::run::{RunCtx, RunKind};
use crate::{Error, Result};

/// The registry's entry.
pub const KIND: RunKind = RunKind { id: "train", start };

fn start(spec: RunSpec, ctx: RunCtx) -> LocalFuture<'static, Result<()>> {
    Box::pin(run(spec, ctx))
}

async fn run(spec: RunSpec, ctx: RunCtx) -> Result<()> {
    spec.config.check(PARAMS)?;
    let config = TrainConfig::from_params(&spec.config);
    let model = spec
        .model
        .ok_or_else(|| Error::config("model", "choose a model first; training goes on from its weights"))?;
    let name = model.graph.name.clone();
    let epochs = config.epochs;
    ctx.emit(Event::Started {
        title: format!("Training “{name}” on {} for {epochs} epochs", spec.data),
        steps: Some(2),
    });
    let task = TrainTask {
        label: format!("train “{name}”"),
        start: Start::Model(Box::new(model)),
        data: spec.data.clone(),
        config,
        seed: spec.seed,
        test: true,
    };
    let trained = ctx.spawn(&task).await?;
    curves(&ctx, &trained);
    ctx.emit(Event::Progress { done: 1, total: 2, label: "trained".into() });
    let evaluation = ctx
        .spawn(&EvaluateTask {
            label: format!("test “{name}”"),
            model: Box::new(trained.model.clone()),
            data: spec.data,
            split: Split::Test,
        })
        .await?;
    ctx.emit(evaluation.event());
    ctx.emit(Event::Progress { done: 2, total: 2, label: "tested".into() });
    let metrics = metrics(&trained)?;
    let made_by = format!("trained for {}", in_epochs(trained.history.len() as u32));
    ctx.emit(Event::Model {
        name: name.clone(),
        tone: Tone::Grow,
        made_by,
        anatomy: Anatomy::of(&trained.model.graph),
        model: Box::new(trained.model),
        metrics,
    });
    let early = if (trained.history.len() as u32) < epochs {
        format!(" It stopped after {} epochs, having stopped improving.", trained.history.len())
    } else {
        String::new()
    };
    ctx.emit(Event::Finished(format!(
        "“{name}” is right on {:.1} % of the test samples ({:.1} % in validation).{early}",
        100.0 * evaluation.accuracy,
        100.0 * trained.val_accuracy
    )));
    Ok(())
}

/// Train and validation loss together, and validation accuracy, over epochs.
pub fn curves(ctx: &RunCtx, trained: &Trained) {
    let line = |chart: &str, line: &str, tone, y_label: &str, value: &dyn Fn(&super::Epoch) -> f32| {
        let points = trained.history.iter().enumerate();
        ctx.emit(Event::Series {
            chart: chart.into(),
            line: line.into(),
            tone,
            x_label: "epoch".into(),
            y_label: y_label.into(),
            points: points.map(|(i, e)| ((i + 1) as f64, f64::from(value(e)))).collect(),
        });
    };
    line("Loss", "training", Tone::Baseline, "loss (nats)", &|e| e.train_loss);
    line("Loss", "validation", Tone::Grow, "loss (nats)", &|e| e.val_loss);
    line("Accuracy", "training", Tone::Baseline, "accuracy", &|e| e.train_accuracy);
    line("Accuracy", "validation", Tone::Grow, "accuracy", &|e| e.val_accuracy);
}

/// "1 epoch", "2 epochs".
pub(crate) fn in_epochs(count: u32) -> String {
    format!("{count} {}", if count == 1 { "epoch" } else { "epochs" })
}

/// The metrics of a trained model: what training measured and what its graph and weights count.
///
/// # Errors
/// The graph is not sound.
pub fn metrics(trained: &Trained) -> Result<Metrics> {
    let mut metrics = vec![
        (Metric::ValAccuracy, f64::from(trained.val_accuracy)),
        (Metric::ValLoss, f64::from(trained.val_loss)),
    ];
    if let Some(test) = trained.test_accuracy {
        metrics.push((Metric::TestAccuracy, f64::from(test)));
    }
    metrics.extend(counts(&trained.model)?);
    Ok(metrics)
}

/// What can be counted on a model without running it.
///
/// # Errors
/// The graph is not sound.
pub fn counts(model: &Model) -> Result<Metrics> {
    let analysis = model.graph.analyze(1)?;
    let trainable = |name: &String| model.graph.params.get(name).is_some_and(|p| p.trainable);
    let nonzero: usize =
        model.weights.iter().filter(|(name, _)| trainable(name)).map(|(_, w)| w.nonzero()).sum();
    let bytes: usize = model.weights.values().map(crate::model::Weight::stored_bytes).sum();
    Ok(vec![
        (Metric::Params, analysis.total.params as f64),
        (Metric::NonZero, nonzero as f64),
        (Metric::Macs, analysis.total.macs as f64),
        (Metric::Bytes, bytes as f64),
        (Metric::PeakBytes, analysis.peak_activation_bytes as f64),
    ])
}
