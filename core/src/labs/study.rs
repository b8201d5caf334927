//! A lab at work: what every lab's run does alike, so that its file holds its paper and no more.
//!
//! A run reads its settings, computes on every seed side by side (a method and its baseline from the
//! same seed: the pairs that [`super::checks`] compares), tells the page, and ends with a verdict.

use super::Lab;
use super::checks::Claim;
use crate::Result;
use crate::job::LocalFuture;
use crate::model::{Anatomy, Graph};
use crate::protocol::{Event, Metric, Metrics, RunSpec, Tone};
use crate::run::RunCtx;
use crate::train::{Epoch, Trained};
use std::cell::Cell;
use std::future::Future;
use std::ops::Deref;

/// A run of a lab. What it may tell and ask is its context's.
pub struct Study {
    /// The lab.
    pub lab: &'static Lab,
    /// What to run.
    pub spec: RunSpec,
    ctx: RunCtx,
    shown: Cell<u32>,
}

impl Deref for Study {
    type Target = RunCtx;

    fn deref(&self) -> &RunCtx {
        &self.ctx
    }
}

/// One line of work of a study: a seed, or a seed with one of the sides that are compared.
pub struct Lane {
    /// Its seed.
    pub seed: u64,
    /// Its number among all lines.
    pub index: usize,
    /// Where its own steps begin among those of all lines, so that candidates and progress have
    /// numbers of their own whichever line is faster.
    pub offset: u32,
    total: u32,
    ctx: RunCtx,
}

impl Deref for Lane {
    type Target = RunCtx;

    fn deref(&self) -> &RunCtx {
        &self.ctx
    }
}

impl Lane {
    /// Tells that so many of the line's own steps are done.
    pub fn progress(&self, done: u32, label: String) {
        self.emit(Event::Progress { done: self.offset + done, total: self.total, label });
    }
}

/// What a lab's `start` does: checks the settings, then runs it.
pub fn start<F: Future<Output = Result<()>> + 'static>(
    lab: &'static Lab,
    spec: RunSpec,
    ctx: RunCtx,
    run: fn(Study) -> F,
) -> LocalFuture<'static, Result<()>> {
    Box::pin(async move {
        spec.config.check(lab.method.params)?;
        run(Study { lab, spec, ctx, shown: Cell::new(0) }).await
    })
}

impl Study {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.lab.method.id)
    }

    /// A count among the lab's settings; `key` is without the lab's id.
    pub fn count(&self, key: &str) -> usize {
        self.spec.config.count(self.lab.method.params, &self.key(key))
    }

    /// A real number.
    pub fn float(&self, key: &str) -> f64 {
        self.spec.config.float(self.lab.method.params, &self.key(key))
    }

    /// A choice.
    pub fn text(&self, key: &str) -> String {
        self.spec.config.text(self.lab.method.params, &self.key(key))
    }

    /// The seeds: as many as the setting `seeds` says, from the run's own on.
    pub fn seeds(&self) -> Vec<u64> {
        (0..self.count("seeds") as u64).map(|i| self.spec.seed.wrapping_add(i)).collect()
    }

    /// Says what begins, then follows every side on every seed, side by side; each line has
    /// `steps` steps of progress. Gives what came of them by side, then by seed.
    ///
    /// # Errors
    /// The first failure, in the order of seeds, then of sides.
    pub async fn compare<S: Copy, T, F: Future<Output = Result<T>>>(
        &self,
        title: String,
        sides: &[S],
        steps: u32,
        line: impl Fn(Lane, S) -> F,
    ) -> Result<Vec<Vec<T>>> {
        let seeds = self.seeds();
        let count = seeds.len() * sides.len();
        let total = count as u32 * steps;
        self.emit(Event::Started { title, steps: Some(total) });
        let lines = self.side_by_side(count, |index, ctx| {
            let seed = seeds[index / sides.len()];
            line(Lane { seed, index, offset: index as u32 * steps, total, ctx }, sides[index % sides.len()])
        });
        let mut by_side: Vec<Vec<T>> = sides.iter().map(|_| Vec::new()).collect();
        for (index, output) in lines.await?.into_iter().enumerate() {
            by_side[index % sides.len()].push(output);
        }
        Ok(by_side)
    }

    /// A table of the results.
    pub fn table(&self, title: &str, columns: &[&str], rows: Vec<Vec<String>>) {
        let columns = columns.iter().map(|c| (*c).to_owned()).collect();
        self.emit(Event::Table { title: title.into(), columns, rows });
    }

    /// A histogram of values from 0 to `top` in twelve bins.
    pub fn histogram(&self, title: &str, label: &str, tone: Tone, values: &[f64], top: f64) {
        let mut counts = vec![0u32; 12];
        for v in values {
            counts[((12.0 * v / top.max(f64::MIN_POSITIVE)) as usize).min(11)] += 1;
        }
        self.emit(Event::Histogram {
            title: title.into(),
            label: label.into(),
            tone,
            range: (0.0, top),
            counts,
        });
    }

    /// Points of a line; `axes` are the labels of the horizontal and the vertical one.
    pub fn series(&self, chart: &str, line: &str, tone: Tone, axes: [&str; 2], points: Vec<(f64, f64)>) {
        self.emit(Event::Series {
            chart: chart.into(),
            line: line.into(),
            tone,
            x_label: axes[0].into(),
            y_label: axes[1].into(),
            points,
        });
    }

    /// A figure of every epoch of a training as a line.
    pub fn curve(&self, what: &str, line: &str, tone: Tone, trained: &Trained, value: fn(&Epoch) -> f32) {
        let points = (1..).zip(&trained.history).map(|(e, h)| (f64::from(e), f64::from(value(h))));
        self.series(&format!("While training: {what}"), line, tone, ["epoch", what], points.collect());
    }

    /// A trained network as a point among all; with `whole` also its architecture and the model
    /// itself, for the studio: do that on one seed.
    ///
    /// # Errors
    /// Its graph is not sound.
    pub fn network(
        &self,
        group: &str,
        label: &str,
        tone: Tone,
        trained: &Trained,
        whole: bool,
    ) -> Result<()> {
        let mut metrics = crate::train::run::metrics(trained)?;
        // A measured time would make two runs differ.
        metrics.retain(|(m, _)| *m != Metric::LatencyMs);
        let made_by = format!("lab {}, {label}", self.lab.method.id);
        let graph = whole.then_some(&trained.model.graph);
        let id = self.point(group, label, tone, metrics.clone(), graph);
        if whole {
            let name = format!("{label} #{id}");
            let anatomy = Anatomy::of(&trained.model.graph);
            self.emit(Event::Model {
                name,
                tone,
                made_by,
                model: Box::new(trained.model.clone()),
                anatomy,
                metrics,
            });
        }
        Ok(())
    }

    fn point(&self, group: &str, label: &str, tone: Tone, metrics: Metrics, graph: Option<&Graph>) -> u32 {
        let id = self.shown.get();
        self.shown.set(id + 1);
        let (group, label) = (group.into(), label.into());
        self.emit(Event::Point { group, tone, id, label, metrics, parents: Vec::new() });
        if let Some(graph) = graph {
            self.emit(Event::graph(id, graph.clone()));
        }
        id
    }

    /// The verdict, then the end.
    pub fn conclude(&self, claim: Claim, sentence: String, finished: &str) {
        self.emit(claim.verdict(sentence, self.lab.breaks));
        self.emit(Event::Finished(finished.into()));
    }
}

/// Test accuracy, 0 to 1; 0 where there is none.
pub fn test_accuracy(trained: &Trained) -> f64 {
    f64::from(trained.test_accuracy.unwrap_or(0.0))
}

/// A part as "97.3 %".
pub fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}
