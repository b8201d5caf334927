//! The run kind `search`: candidates one by one, then the best ones trained to the end.

use super::proxies::task::ProxyTask;
use super::relaxing::OnPool;
use super::timed::Timed;
use super::{
    Candidate, Evaluator, LocalFuture, Prepared, Relaxing, Scored, Session, Settings, objective, pareto,
    session, sharing,
};
use crate::data::Split;
use crate::engine::measure::LatencyTask;
use crate::job::{JobCtx, JobKind, Task};
use crate::model::{Anatomy, Graph, Model};
use crate::order::Order;
use crate::params::Config;
use crate::protocol::{Event, Metric, Metrics, RunSpec, Tone};
use crate::relax::{Form, Relaxation};
use crate::rng::Rng;
use crate::run::{RunCtx, RunKind, Ticket};
use crate::space::{Gene, Genome, Space, sample};
use crate::train::evaluate::EvaluateTask;
use crate::train::population::{self, Population, PopulationTask};
use crate::train::{Optimizer, Schedule, Start, TrainConfig, TrainTask, Trained};
use crate::{Error, Result, rng};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

/// The run kind.
pub const KIND: RunKind = RunKind { id: "search", start: |spec, ctx| Box::pin(search(spec, ctx)) };

/// The job kind of [`DescribeTask`].
pub const DESCRIBE: JobKind = JobKind::of::<DescribeTask>();

/// Asks a worker for what a run must know of its data: the page's worker has it, the run does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DescribeTask {
    /// Name of the data set.
    pub data: String,
}

/// What a search must know of its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// Shape of one sample without the batch axis.
    pub shape: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
    /// Number of training samples.
    pub train: usize,
}

impl Task for DescribeTask {
    const NAME: &'static str = "describe-data";
    type Output = Described;

    fn label(&self) -> String {
        format!("looking at {}", self.data)
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Described> {
        let data = ctx.dataset(&self.data)?;
        Ok(Described { shape: data.shape.clone(), classes: data.classes.len(), train: data.train.len() })
    }
}

/// Parameters, MACs, bytes in f32 (running statistics included) and peak activation bytes of a
/// graph for one sample.
///
/// # Errors
/// The graph is not sound.
pub fn costs(graph: &Graph) -> Result<Metrics> {
    let analysis = graph.analyze(1)?;
    let values: usize = graph.params.keys().map(|name| graph.param_len(name)).sum();
    Ok(vec![
        (Metric::Params, analysis.total.params as f64),
        (Metric::Macs, analysis.total.macs as f64),
        (Metric::Bytes, 4.0 * values as f64),
        (Metric::PeakBytes, analysis.peak_activation_bytes as f64),
    ])
}

/// How a candidate, or a finalist, trains.
pub(crate) fn train_config(settings: &Settings, epochs: u32, last: bool) -> TrainConfig {
    TrainConfig {
        epochs,
        batch: settings.count("batch") as u32,
        rate: settings.float("rate") as f32,
        optimizer: Optimizer::AdamW,
        schedule: Schedule::Cosine { warmup: 0.1 },
        // Short trainings rank candidates; regularization pays only in long ones.
        label_smoothing: if last { settings.float("final.smoothing") as f32 } else { 0.0 },
        shift: if last { settings.count("final.shift") as u32 } else { 0 },
        ..TrainConfig::default()
    }
}

/// Evaluates by training on the pool.
pub(crate) struct Training {
    ctx: RunCtx,
    space: &'static dyn Space,
    settings: Settings,
    data: String,
    seed: u64,
    described: Described,
    /// Weights of candidates that may train on: successive halving inherits them.
    models: Rc<RefCell<BTreeMap<u32, Model>>>,
    spent: Rc<Cell<u64>>,
    /// Where latency counts or has a limit.
    timed: Option<Timed>,
}

impl Training {
    /// An evaluator for one search, over the space that its settings name.
    ///
    /// # Errors
    /// There is no such space, or its networks cannot be timed.
    pub(crate) async fn new(
        ctx: RunCtx,
        settings: Settings,
        data: String,
        seed: u64,
        described: Described,
    ) -> Result<Self> {
        let space = crate::space::get(&settings.text("space"))
            .ok_or_else(|| Error::config("space", "there is no such space"))?;
        let wanted = settings.bool("objective.latency") || settings.float("limit.ms") > 0.0;
        let timed = match wanted {
            true => Some(Timed::measure(&ctx, space, &settings, &described, seed).await?),
            false => None,
        };
        let (models, spent) = Default::default();
        Ok(Self { ctx, space, settings, data, seed, described, models, spent, timed })
    }

    /// A candidate as its last evaluation left it.
    pub(crate) fn model(&self, id: u32) -> Option<Model> {
        self.models.borrow().get(&id).cloned()
    }

    /// Training MACs of all evaluations that were awaited so far; see [`Trained::macs`].
    pub(crate) fn spent(&self) -> u64 {
        self.spent.get()
    }

    fn config(&self) -> &Config {
        &self.settings.config
    }

    /// What a candidate's training starts from, and its seed: the same for all, so that candidates differ by their
    /// architecture alone; another one for each later rung, so that it does not see the same order again.
    fn begin(&self, candidate: &Candidate) -> Result<(Start, u64)> {
        match (self.models.borrow().get(&candidate.id), &candidate.prepared.graph) {
            (Some(model), _) => {
                Ok((Start::Model(Box::new(model.clone())), rng::derive(self.seed, "train on")))
            }
            (None, Some(graph)) => Ok((Start::Fresh(graph.clone()), self.seed)),
            (None, None) => Err(Error::Unsupported("a candidate without a graph cannot be trained".into())),
        }
    }

    /// What is recorded of a candidate once it has trained.
    fn judged(
        &self,
        id: u32,
        trained: impl Future<Output = Result<Trained>> + 'static,
    ) -> LocalFuture<'static, Result<Metrics>> {
        let (models, spent) = (self.models.clone(), self.spent.clone());
        let clocked = self.settings.bool("objective.latency").then(|| self.ctx.clone());
        Box::pin(async move {
            let trained = trained.await?;
            spent.set(spent.get() + trained.macs);
            let mut metrics = vec![
                (Metric::ValAccuracy, f64::from(trained.val_accuracy)),
                (Metric::ValLoss, f64::from(trained.val_loss)),
            ];
            if let Some(ctx) = clocked {
                let task = LatencyTask { model: Box::new(trained.model.clone()), batch: 1 };
                metrics.push((Metric::LatencyMs, ctx.spawn(&task).await?.median_ms));
            }
            models.borrow_mut().insert(id, trained.model);
            Ok(metrics)
        })
    }

    /// Candidates by family, each with its place among all; who is alone in one stays alone.
    fn families(&self, candidates: &[Rc<Candidate>]) -> Vec<Vec<usize>> {
        let most = self.settings.count("together");
        let graph = |i: usize| candidates.get(i).and_then(|c| c.prepared.graph.as_ref());
        let trained = |i: usize| candidates.get(i).is_some_and(|c| self.models.borrow().contains_key(&c.id));
        let macs = |graph: &Graph| graph.analyze(1).map_or(f64::INFINITY, |a| a.total.macs as f64);
        let mut families: Vec<Vec<usize>> = Vec::new();
        for i in 0..candidates.len() {
            let joins = |family: &&mut Vec<usize>| {
                let members: Option<Vec<&Graph>> = family.iter().chain([&i]).map(|i| graph(*i)).collect();
                let Some(members) = members.filter(|m| m.len() <= most && trained(family[0]) == trained(i))
                else {
                    return false;
                };
                // Padding is computed too; more of it than this costs what the company saves.
                population::alike(members[0], members[members.len() - 1])
                    && Population::new(&members).is_some_and(|all| {
                        let own: f64 = members.iter().map(|g| macs(g)).sum();
                        macs(all.graph()) <= PADDED * own + FREE * members.len() as f64
                    })
            };
            match families.iter_mut().find(joins) {
                Some(family) => family.push(i),
                None => families.push(vec![i]),
            }
        }
        families
    }
}

/// MACs of a joined family, padding included, over those of its members, at most. On a CPU eight equal narrow
/// networks trained 1.5 times faster side by side than one by one, eight wide ones as fast, and eight with twice
/// the MACs in padding 0.8 times as fast.
const PADDED: f64 = 1.25;

/// Samples on which a proxy is computed, as published.
const PROXY_SAMPLES: u32 = 64;

/// MACs of padding, for each member, that are never too many: in so small a network they cost less than an operator
/// costs to begin.
const FREE: f64 = 2000.0;

/// The members' shares of one job's result.
struct Family {
    ticket: Ticket<Vec<std::result::Result<Trained, String>>>,
    done: Option<Result<Vec<Option<std::result::Result<Trained, String>>>>>,
}

impl Family {
    /// The result of a member, once the job is done.
    async fn member(family: Rc<RefCell<Self>>, index: usize) -> Result<Trained> {
        std::future::poll_fn(move |cx| {
            let mut family = family.borrow_mut();
            if family.done.is_none() {
                match Pin::new(&mut family.ticket).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(all) => {
                        family.done = Some(all.map(|all| all.into_iter().map(Some).collect()))
                    }
                }
            }
            Poll::Ready(match family.done.as_mut() {
                Some(Ok(all)) => match all.get_mut(index).and_then(Option::take) {
                    Some(Ok(trained)) => Ok(trained),
                    Some(Err(why)) => Err(Error::Numeric(why)),
                    None => Err(Error::Unsupported("a family came back without one of its members".into())),
                },
                Some(Err(error)) => Err(Error::Unsupported(error.to_string())),
                None => return Poll::Pending,
            })
        })
        .await
    }
}

impl Evaluator for Training {
    fn prepare(&self, genome: &Genome) -> Result<Prepared> {
        let Described { shape, classes, .. } = &self.described;
        let graph = self.space.graph(self.config(), genome, shape, *classes)?;
        let mut costs = costs(&graph)?;
        if let Some(timed) = &self.timed {
            let macs = costs.iter().find(|(m, _)| *m == Metric::Macs).map_or(0.0, |(_, v)| *v);
            costs.push((Metric::PredictedMs, timed.predict(&graph, macs)?));
        }
        Ok(Prepared { graph: Some(graph), costs })
    }

    fn start(&self, candidate: &Candidate, epochs: u32) -> LocalFuture<'static, Result<Metrics>> {
        let (start, seed) = match self.begin(candidate) {
            Ok(begin) => begin,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let ticket = self.ctx.spawn(&TrainTask {
            label: format!("#{} {}", candidate.id, candidate.label),
            start,
            data: self.data.clone(),
            config: train_config(&self.settings, epochs, false),
            seed,
            test: false,
        });
        self.judged(candidate.id, ticket)
    }

    fn start_all(
        &self,
        candidates: &[Rc<Candidate>],
        epochs: u32,
    ) -> Vec<LocalFuture<'static, Result<Metrics>>> {
        let mut results: BTreeMap<usize, LocalFuture<'static, Result<Metrics>>> = BTreeMap::new();
        for family in self.families(candidates) {
            let begun = family.iter().map(|i| self.begin(&candidates[*i])).collect::<Result<Vec<_>>>();
            let (Ok(begun), [_, _, ..]) = (begun, family.as_slice()) else {
                for i in family {
                    results.insert(i, self.start(&candidates[i], epochs));
                }
                continue;
            };
            let seed = begun[0].1;
            let names: Vec<String> = family.iter().map(|i| format!("#{}", candidates[*i].id)).collect();
            let ticket = self.ctx.spawn(&PopulationTask {
                label: format!("{} side by side", names.join(", ")),
                starts: begun.into_iter().map(|(start, _)| start).collect(),
                data: self.data.clone(),
                config: train_config(&self.settings, epochs, false),
                seed,
            });
            let all = Rc::new(RefCell::new(Family { ticket, done: None }));
            for (index, i) in family.into_iter().enumerate() {
                results.insert(i, self.judged(candidates[i].id, Family::member(all.clone(), index)));
            }
        }
        results.into_values().collect()
    }

    fn score(&self, proxy: &str, graphs: &[Graph]) -> LocalFuture<'static, Result<Vec<f64>>> {
        let task = |graph: &Graph| ProxyTask {
            label: format!("{proxy} of {}", graph.name),
            graph: graph.clone(),
            data: self.data.clone(),
            proxies: vec![proxy.to_owned()],
            samples: PROXY_SAMPLES,
            seed: self.seed,
        };
        let tickets: Vec<_> = graphs.iter().map(|graph| self.ctx.spawn(&task(graph))).collect();
        Box::pin(async move {
            let mut scores = Vec::with_capacity(tickets.len());
            for ticket in tickets {
                // A network on which the proxy has no value is no reason to end the search.
                let score = ticket.await.ok().and_then(|s| s.first().copied());
                scores.push(score.unwrap_or(f64::NEG_INFINITY));
            }
            Ok(scores)
        })
    }

    fn relax(&self, form: Form, how: &Relaxation) -> Result<Box<dyn Relaxing>> {
        let data = (self.data.as_str(), &self.described);
        let (ctx, spent) = (self.ctx.clone(), self.spent.clone());
        Ok(Box::new(OnPool::new(ctx, self.space, self.config(), (form, how), data, self.seed, spent)?))
    }

    fn share(&self, sharing: &session::Sharing) -> Result<Box<dyn session::SharedWeights>> {
        let data = (self.data.as_str(), &self.described);
        let (ctx, spent) = (self.ctx.clone(), self.spent.clone());
        let (settings, seed) = (&self.settings, self.seed);
        Ok(Box::new(sharing::OnPool::new(ctx, self.space, settings, sharing, data, seed, spent)?))
    }

    fn sample_len(&self) -> usize {
        self.described.shape.iter().product()
    }

    fn training_macs(&self, candidate: &Candidate, epochs: u32) -> f64 {
        let macs = candidate.prepared.costs.iter().find(|(m, _)| *m == Metric::Macs).map_or(0.0, |(_, v)| *v);
        // As `Trained::macs` counts.
        3.0 * macs * self.described.train as f64 * f64::from(epochs)
    }
}

/// Draws the search as it goes.
struct Reporter {
    ctx: RunCtx,
    group: &'static str,
    steps: u32,
    done: Cell<u32>,
    shown: RefCell<std::collections::BTreeSet<u32>>,
    reference: RefCell<Vec<f64>>,
}

impl Reporter {
    fn settled(&self, session: &Session<'_>, scored: &Rc<Scored>) {
        let candidate = &scored.candidate;
        if self.shown.borrow_mut().insert(candidate.id)
            && let Some(graph) = &candidate.prepared.graph
        {
            self.ctx.emit(Event::graph(candidate.id, graph.clone()));
            self.ctx.emit(Event::Choices { id: candidate.id, choices: candidate.genome.0.clone() });
        }
        self.ctx.emit(Event::Point {
            group: self.group.into(),
            tone: Tone::Grow,
            id: candidate.id,
            label: format!("#{} {}", candidate.id, candidate.label),
            metrics: scored.metrics.clone(),
            parents: candidate.parents.clone(),
        });
        self.done.set(self.done.get() + 1);
        let done = self.done.get();
        let latest = session.latest();
        if let Some(best) = session::best(&latest) {
            let accuracy = best.metric(Metric::ValAccuracy);
            self.line("Best so far", "Best validation accuracy (%)", done, 100.0 * accuracy);
        }
        if let Some(share) = self.share(session, &latest) {
            self.line("Hypervolume", "Dominated share of the box (%)", done, 100.0 * share);
        }
        let label = format!("#{} {}", candidate.id, candidate.label);
        self.ctx.emit(Event::Progress { done, total: self.steps.max(done), label });
    }

    fn line(&self, chart: &str, y_label: &str, x: u32, y: f64) {
        self.ctx.emit(Event::Series {
            chart: chart.into(),
            line: self.group.into(),
            tone: Tone::Grow,
            x_label: "Evaluations".into(),
            y_label: y_label.into(),
            points: vec![(f64::from(x), y)],
        });
    }

    /// The part of the box between zero and a reference point that the front dominates. The
    /// reference is an error of 1, the limits where there are some, and otherwise twice the first
    /// candidate's value.
    fn share(&self, session: &Session<'_>, latest: &[Rc<Scored>]) -> Option<f64> {
        let mut reference = self.reference.borrow_mut();
        if reference.is_empty() {
            let first = latest.first()?;
            *reference = session
                .objectives
                .0
                .iter()
                .zip(&first.values)
                .map(|(objective, value)| match objective.metric {
                    Metric::ValAccuracy => 1.0,
                    metric => session.limit(metric).unwrap_or(2.0 * value.max(f64::MIN_POSITIVE)),
                })
                .collect();
        }
        let points: Vec<Vec<f64>> = latest.iter().map(|s| s.values.clone()).collect();
        Some(pareto::hypervolume(&points, &reference)? / reference.iter().product::<f64>())
    }
}

fn front_table(session: &Session<'_>) -> Event {
    let latest = session.latest();
    let points: Vec<Vec<f64>> = latest.iter().map(|s| s.values.clone()).collect();
    let mut front: Vec<&Rc<Scored>> = pareto::front(&points).into_iter().map(|i| &latest[i]).collect();
    front.order_by(|a, b| a.values[0].total_cmp(&b.values[0]));
    let metrics: Vec<Metric> = session.objectives.0.iter().map(|o| o.metric).collect();
    let mut columns = vec!["Candidate".to_owned(), "Architecture".to_owned()];
    columns.extend(metrics.iter().map(|m| m.label().to_owned()));
    let rows = front.iter().map(|s| {
        let mut row = vec![format!("#{}", s.candidate.id), s.candidate.label.clone()];
        row.extend(metrics.iter().map(|m| cell(*m, s.metric(*m))));
        row
    });
    Event::Table { title: "Pareto front".into(), columns, rows: rows.collect() }
}

fn cell(metric: Metric, value: f64) -> String {
    match metric {
        Metric::ValAccuracy | Metric::TestAccuracy | Metric::PredictedAccuracy => {
            format!("{:.1} %", 100.0 * value)
        }
        Metric::Bytes | Metric::PeakBytes | Metric::CompressedBytes => format!("{:.1} KiB", value / 1024.0),
        Metric::LatencyMs | Metric::PredictedMs => format!("{value:.4} ms"),
        _ => format!("{value:.0}"),
    }
}

async fn search(spec: RunSpec, ctx: RunCtx) -> Result<()> {
    let settings = Settings::new(spec.config)?;
    let id = settings.text("strategy");
    let strategy =
        super::get(&id).ok_or_else(|| Error::config("strategy", format!("there is no strategy “{id}”")))?;
    let budget = settings.count("budget") as u32;
    let finals = settings.count("final.models").max(1);
    let space = crate::space::get(&settings.text("space"))
        .ok_or_else(|| Error::config("space", "there is no such space"))?;
    ctx.emit(Event::Started {
        title: format!(
            "{} over “{}”: {budget} candidates on {}, then the best trained to the end",
            strategy.method.name,
            space.method().name,
            spec.data
        ),
        steps: Some(budget + finals as u32),
    });
    let described = ctx.spawn(&DescribeTask { data: spec.data.clone() }).await?;
    let training =
        Training::new(ctx.clone(), settings.clone(), spec.data.clone(), spec.seed, described).await?;
    let reporter = Reporter {
        ctx: ctx.clone(),
        group: strategy.method.name,
        steps: budget + finals as u32,
        done: Cell::new(0),
        shown: RefCell::default(),
        reference: RefCell::default(),
    };
    let observer = |session: &Session<'_>, scored: &Rc<Scored>| reporter.settled(session, scored);
    let tell = |event: Event| ctx.emit(event);
    let session = Session::new(&settings, spec.seed, &training, &observer, &tell)?;
    if session.objectives.0.len() > 3 {
        ctx.log("The hypervolume is drawn for up to three objectives; the front itself has them all.");
    }
    (strategy.run)(&session).await?;

    let mut latest = session.latest();
    if latest.is_empty() {
        return Err(Error::Unsupported(format!(
            "no network of “{}” fits {} within the limits; {}raise the limits or choose another space",
            space.method().name,
            spec.data,
            smallest(&training, &session.genes, spec.seed),
        )));
    }
    ctx.emit(front_table(&session));
    // Further trained candidates come first: successive halving gave them more for being better.
    latest.order_by(|a, b| {
        b.epochs.cmp(&a.epochs).then_with(|| match (a.better_than(b), b.better_than(a)) {
            (true, _) => std::cmp::Ordering::Less,
            (_, true) => std::cmp::Ordering::Greater,
            _ => a.candidate.id.cmp(&b.candidate.id),
        })
    });
    latest.truncate(finals);
    finish(&ctx, &settings, &spec.data, spec.seed, &latest, &reporter).await
}

/// How large the smallest of some networks is, for whoever has set the limits; nothing where none is a network.
fn smallest(training: &Training, genes: &[Gene], seed: u64) -> String {
    const DRAWN: usize = 200;
    let mut rng = Rng::stream(seed, "smallest");
    let drawn = (0..DRAWN).filter_map(|_| training.prepare(&sample(genes, &mut rng)).ok());
    let sizes = drawn.map(|p| {
        [Metric::Params, Metric::Macs].map(|m| p.costs.iter().find(|c| c.0 == m).map_or(0.0, |c| c.1))
    });
    let least = sizes.reduce(|a, b| if b[1] < a[1] { b } else { a });
    least.map_or_else(String::new, |[params, macs]| {
        format!("the smallest of {DRAWN} drawn has {params:.0} parameters and {macs:.0} MACs: ")
    })
}

/// Trains the finalists to the end, chooses by validation, reports the test accuracy once.
async fn finish(
    ctx: &RunCtx,
    settings: &Settings,
    data: &str,
    seed: u64,
    finalists: &[Rc<Scored>],
    reporter: &Reporter,
) -> Result<()> {
    let epochs = settings.count("final.epochs") as u32;
    let mut tickets = Vec::new();
    for scored in finalists {
        let Some(graph) = &scored.candidate.prepared.graph else { continue };
        let task = TrainTask {
            label: format!("#{} to the end", scored.candidate.id),
            start: Start::Fresh(graph.clone()),
            data: data.into(),
            config: train_config(settings, epochs, true),
            seed: rng::derive(seed, "final"),
            test: true,
        };
        tickets.push((scored, ctx.spawn(&task)));
    }
    let mut best: Option<(&Rc<Scored>, Trained)> = None;
    let mut rows = Vec::new();
    for (scored, ticket) in tickets {
        let trained = ticket.await?;
        let line = format!("#{}", scored.candidate.id);
        let points = |value: fn(&crate::train::Epoch) -> f32| -> Vec<(f64, f64)> {
            trained.history.iter().enumerate().map(|(i, e)| (i as f64 + 1.0, f64::from(value(e)))).collect()
        };
        for (part, tone, points) in [
            ("train", Tone::Grow, points(|e| e.train_loss)),
            ("validation", Tone::Baseline, points(|e| e.val_loss)),
        ] {
            ctx.emit(Event::Series {
                chart: "Training to the end".into(),
                line: format!("{line} {part}"),
                tone,
                x_label: "Epochs".into(),
                y_label: "Loss (nats)".into(),
                points,
            });
        }
        reporter.done.set(reporter.done.get() + 1);
        let done = reporter.done.get();
        ctx.emit(Event::Progress { done, total: reporter.steps.max(done), label: format!("{line} trained") });
        rows.push(vec![
            line,
            scored.candidate.label.clone(),
            cell(Metric::ValAccuracy, f64::from(trained.val_accuracy)),
            format!("{:.3}", trained.val_loss),
            cell(Metric::Params, scored.metric(Metric::Params)),
        ]);
        // By loss: on a few hundred samples the accuracies of finalists differ by one or two.
        if best.as_ref().is_none_or(|(_, b)| trained.val_loss < b.val_loss) {
            best = Some((scored, trained));
        }
    }
    let Some((scored, trained)) = best else {
        return Err(Error::Unsupported("none of the finalists could be trained".into()));
    };
    let columns = ["Finalist", "Architecture", "validation accuracy", "validation loss", "parameters"];
    ctx.emit(Event::Table {
        title: "Trained to the end".into(),
        columns: columns.map(Into::into).to_vec(),
        rows,
    });
    let id = scored.candidate.id;
    let test = f64::from(trained.test_accuracy.unwrap_or(f32::NAN));
    let mut metrics = vec![
        (Metric::ValAccuracy, f64::from(trained.val_accuracy)),
        (Metric::TestAccuracy, test),
        (Metric::ValLoss, f64::from(trained.val_loss)),
    ];
    metrics.extend(scored.candidate.prepared.costs.clone());
    let evaluation = ctx
        .spawn(&EvaluateTask {
            label: format!("#{id} on the test split"),
            model: Box::new(trained.model.clone()),
            data: data.into(),
            split: Split::Test,
        })
        .await?;
    ctx.emit(evaluation.event());
    ctx.emit(Event::Model {
        name: format!("search #{id}"),
        tone: Tone::Grow,
        made_by: format!(
            "{}, candidate {id}, trained for {}",
            reporter.group,
            crate::train::run::in_epochs(epochs)
        ),
        anatomy: Anatomy::of(&trained.model.graph),
        model: Box::new(trained.model),
        metrics,
    });
    let value = |metric| objective::Objective { metric }.value(&scored.candidate.prepared.costs);
    ctx.emit(Event::Finished(format!(
        "The best network found is #{id} ({}): it reads {:.1} % of the test samples right, with {:.0} parameters and {:.0} MACs a sample.",
        scored.candidate.label,
        100.0 * test,
        value(Metric::Params),
        value(Metric::Macs),
    )));
    Ok(())
}
