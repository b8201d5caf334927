//! What every strategy works with: drawing, limits, duplicates, evaluation, history.

use super::limits::{SMALL, limits, over};
use super::{LocalFuture, Objectives};
use crate::model::Graph;
use crate::order::Order;
use crate::params::{Config, ParamSpec};
use crate::protocol::{Event, Metric, Metrics};
use crate::relax::{Form, Relaxation};
use crate::rng::Rng;
use crate::space::{self, Gene, Genome, Space};
use crate::{Error, Result};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

/// How often a draw that is a duplicate, over a limit or no network is repeated before the space
/// counts as exhausted.
const REDRAWS: u32 = 1000;

/// A configuration with its specifications.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The values.
    pub config: Config,
    specs: Vec<ParamSpec>,
}

impl Settings {
    /// A search's settings.
    ///
    /// # Errors
    /// Names the first setting that is unknown or out of range.
    pub fn new(config: Config) -> Result<Self> {
        let space = match config.0.get("space") {
            Some(crate::params::ParamValue::Text(id)) => id.clone(),
            _ => String::new(),
        };
        let specs = super::specs_over(&space);
        config.check(&specs)?;
        Ok(Self { config, specs })
    }

    /// A count.
    pub fn count(&self, key: &str) -> usize {
        self.config.count(&self.specs, key)
    }

    /// A real number.
    pub fn float(&self, key: &str) -> f64 {
        self.config.float(&self.specs, key)
    }

    /// A switch.
    pub fn bool(&self, key: &str) -> bool {
        self.config.bool(&self.specs, key)
    }

    /// A choice.
    pub fn text(&self, key: &str) -> String {
        self.config.text(&self.specs, key)
    }
}

/// What is known of a candidate before it is evaluated.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    /// The network; `None` where a table answers.
    pub graph: Option<Graph>,
    /// What it costs: parameters, MACs, bytes, peak activation memory, where counted.
    pub costs: Metrics,
}

/// A network that is tried.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its number in the run, from 1.
    pub id: u32,
    /// Its choices.
    pub genome: Genome,
    /// The candidates it was made from.
    pub parents: Vec<u32>,
    /// For people.
    pub label: String,
    /// The network and its costs.
    pub prepared: Prepared,
}

/// An evaluated candidate.
#[derive(Debug, Clone)]
pub struct Scored {
    /// The candidate.
    pub candidate: Rc<Candidate>,
    /// Costs and measurements.
    pub metrics: Metrics,
    /// Objective values, to minimise.
    pub values: Vec<f64>,
    /// What strategies of one objective compare; see [`Objectives::fitness`].
    pub fitness: Vec<f64>,
    /// Epochs it has trained in all.
    pub epochs: u32,
}

impl Scored {
    /// Whether it is strictly better, for strategies of one objective.
    pub fn better_than(&self, other: &Self) -> bool {
        let pairs = self.fitness.iter().zip(&other.fitness);
        pairs.map(|(a, b)| a.total_cmp(b)).find(|o| o.is_ne()).is_some_and(std::cmp::Ordering::is_lt)
    }

    /// A metric; not a number where it was not measured.
    pub fn metric(&self, metric: Metric) -> f64 {
        self.metrics.iter().find(|(m, _)| *m == metric).map_or(f64::NAN, |(_, v)| *v)
    }
}

/// The best of several, the first of equals.
pub fn best<'a>(scored: impl IntoIterator<Item = &'a Rc<Scored>>) -> Option<&'a Rc<Scored>> {
    scored.into_iter().reduce(|a, b| if b.better_than(a) { b } else { a })
}

/// Where measurements come from: training, or a table.
pub trait Evaluator {
    /// Builds and counts a candidate without training it.
    ///
    /// # Errors
    /// This genome is no network.
    fn prepare(&self, genome: &Genome) -> Result<Prepared>;

    /// Starts an evaluation at once and returns its result to come: the candidate trained for
    /// `epochs` more epochs, from where its last evaluation left it. The costs need not be
    /// repeated.
    fn start(&self, candidate: &Candidate, epochs: u32) -> LocalFuture<'static, Result<Metrics>>;

    /// Starts several evaluations, as [`Self::start`] each; what can be computed side by side may be.
    fn start_all(
        &self,
        candidates: &[Rc<Candidate>],
        epochs: u32,
    ) -> Vec<LocalFuture<'static, Result<Metrics>>> {
        candidates.iter().map(|candidate| self.start(candidate, epochs)).collect()
    }

    /// Scores of networks by a zero-cost proxy, by its id; higher is better.
    fn score(&self, _proxy: &str, _graphs: &[Graph]) -> LocalFuture<'static, Result<Vec<f64>>> {
        let error = Error::config(
            "initial.proxy",
            "a proxy is computed on a network's weights, and a table has none; search by training, or without a proxy",
        );
        Box::pin(std::future::ready(Err(error)))
    }

    /// Values in a sample of the data.
    fn sample_len(&self) -> usize {
        SMALL as usize
    }

    /// Training MACs that so many epochs of a candidate cost; 0 where a table answers.
    fn training_macs(&self, _candidate: &Candidate, _epochs: u32) -> f64 {
        0.0
    }

    /// Makes weights that all networks of the space share ready to be trained; see [`crate::supernet`].
    ///
    /// # Errors
    /// There is nothing to train here, or the space's networks share no weights.
    fn share(&self, _sharing: &Sharing) -> Result<Box<dyn SharedWeights>> {
        Err(Error::config("strategy", NO_WEIGHTS))
    }

    /// Makes the space's relaxed network ready to be trained; see [`crate::relax`].
    ///
    /// # Errors
    /// There is nothing to train here, or the space cannot be relaxed in this form.
    fn relax(&self, _form: Form, _how: &Relaxation) -> Result<Box<dyn Relaxing>> {
        Err(Error::config("strategy", NO_WEIGHTS))
    }
}

/// What is said of a differentiable strategy where a table answers.
pub(super) const NO_WEIGHTS: &str = "a table says what finished networks are worth, but it holds no shared weights to train; choose a strategy that proposes networks, or search by training";

/// A relaxed network in training.
pub trait Relaxing {
    /// Trains another epoch and tells of it.
    fn epoch(&mut self) -> LocalFuture<'_, Result<Told>>;
}

/// What is told of a relaxed network after an epoch.
#[derive(Debug, Clone)]
pub struct Told {
    /// The shares of every choice, to be drawn.
    pub heat: Event,
    /// The discrete network that they stand for.
    pub genome: Genome,
    /// The same, for people.
    pub label: String,
    /// Accuracy of the relaxed network on the validation split, 0 to 1.
    pub val_accuracy: f64,
    /// The same of the discrete network with the relaxed one's weights, where it can take them over.
    pub inherited: Option<f64>,
    /// Choices whose likeliest option is a skip connection.
    pub skips: u32,
    /// Choices.
    pub choices: u32,
    /// Training MACs of the epoch.
    pub macs: u64,
}

/// How shared weights are trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Sharing {
    /// The sampler's id, of [`crate::supernet::samplers`].
    pub sampler: String,
    /// Passes over the training data.
    pub epochs: u32,
    /// Peak learning rate.
    pub rate: f32,
}

/// How networks with shared weights evolve.
#[derive(Debug, Clone, PartialEq)]
pub struct Evolving {
    /// Networks of a generation.
    pub population: usize,
    /// Generations after the first.
    pub generations: usize,
    /// The best so far from which children come.
    pub parents: usize,
    /// How often a mutation redraws each choice, 0 to 1.
    pub mutation: f64,
}

/// What came of training shared weights, epoch by epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SharedTrained {
    /// Mean training loss, nats.
    pub losses: Vec<f64>,
    /// Validation accuracy of every watched network with its share of the weights, 0 to 1.
    pub watched: Vec<Vec<f64>>,
    /// Training MACs of all.
    pub macs: u64,
}

/// Whether a network is within the limits.
pub type Within<'a> = &'a dyn Fn(&Genome) -> Result<bool>;

/// Weights that all networks of a space share.
pub trait SharedWeights {
    /// Trains them to the end, and judges the watched networks after every epoch.
    fn train(&mut self, watch: Vec<Genome>) -> LocalFuture<'_, Result<SharedTrained>>;

    /// Evolves networks that are judged by their share of the weights: all that were, with their validation
    /// accuracy, the best first. `told` hears of every generation: its number, the best accuracy so far, the parents
    /// of the next.
    fn evolve<'b>(
        &'b self,
        evolving: &'b Evolving,
        within: Within<'b>,
        told: &'b dyn Fn(usize, f64, &[Genome]),
    ) -> LocalFuture<'b, Result<Vec<(f64, Genome)>>>;
}

/// An evaluation on its way.
pub struct Pending {
    candidate: Rc<Candidate>,
    epochs: u32,
    result: LocalFuture<'static, Result<Metrics>>,
}

impl Pending {
    /// With the accuracy, 0 to 1, that something else than this evaluation expects: it is shown beside what comes of
    /// it.
    pub fn expecting(mut self, accuracy: f64) -> Self {
        Rc::make_mut(&mut self.candidate).prepared.costs.push((Metric::PredictedAccuracy, accuracy));
        self
    }
}

/// One search.
pub struct Session<'a> {
    /// Where candidates come from.
    pub space: &'a dyn Space,
    /// Its genes.
    pub genes: Vec<Gene>,
    /// All settings.
    pub settings: &'a Settings,
    /// What is minimised.
    pub objectives: Objectives,
    evaluator: &'a dyn Evaluator,
    limits: Vec<(Metric, f64)>,
    observer: &'a dyn Fn(&Session<'a>, &Rc<Scored>),
    tell: &'a dyn Fn(Event),
    rng: RefCell<Rng>,
    seen: RefCell<BTreeSet<Genome>>,
    fingerprints: RefCell<BTreeSet<u64>>,
    /// Genomes that a proxy chose for the first population, the most promising first.
    chosen: RefCell<VecDeque<Genome>>,
    early_exits: Cell<u32>,
    budget: Cell<u32>,
    /// Training MACs that have not been promised to a candidate yet.
    macs: Cell<f64>,
    /// The part of a full evaluation that a candidate is expected to cost.
    share: Cell<f64>,
    drawn: Cell<u32>,
    failures: Cell<u32>,
    history: RefCell<Vec<Rc<Scored>>>,
}

impl<'a> Session<'a> {
    /// A search with the budget of its settings. `observer` is told of every evaluation, in order,
    /// and `tell` whatever else a person should know.
    ///
    /// # Errors
    /// The space is unknown or there is no objective.
    pub fn new(
        settings: &'a Settings,
        seed: u64,
        evaluator: &'a dyn Evaluator,
        observer: &'a dyn Fn(&Session<'a>, &Rc<Scored>),
        tell: &'a dyn Fn(Event),
    ) -> Result<Self> {
        let id = settings.text("space");
        let space =
            space::get(&id).ok_or_else(|| Error::config("space", format!("there is no space “{id}”")))?;
        Ok(Self {
            space,
            genes: space.genes(&settings.config),
            settings,
            objectives: Objectives::new(settings)?,
            limits: limits(settings, &id, evaluator.sample_len()),
            evaluator,
            observer,
            tell,
            rng: RefCell::new(Rng::stream(seed, "search")),
            seen: RefCell::default(),
            fingerprints: RefCell::default(),
            chosen: RefCell::default(),
            early_exits: Cell::new(0),
            budget: Cell::new(settings.count("budget") as u32),
            macs: Cell::new(match settings.float("budget.macs") {
                0.0 => f64::INFINITY,
                giga => 1e9 * giga,
            }),
            share: Cell::new(1.0),
            drawn: Cell::new(0),
            failures: Cell::new(0),
            history: RefCell::default(),
        })
    }

    /// The generator of the search's own decisions.
    pub fn rng(&self) -> std::cell::RefMut<'_, Rng> {
        self.rng.borrow_mut()
    }

    /// Tells a line of text.
    pub fn log(&self, text: String) {
        (self.tell)(Event::Log(text));
    }

    /// Shows what the strategy leans towards: for each gene, the part of each option.
    pub fn lean(&self, title: &str, parts: &[Vec<f64>]) {
        let rows = self.genes.iter().zip(parts).map(|(gene, parts)| {
            (gene.name.clone(), gene.options.iter().cloned().zip(parts.iter().copied()).collect())
        });
        (self.tell)(Event::Heat { title: title.into(), rows: rows.collect() });
    }

    /// Shows what a population is made of: for each gene, how many of its members chose each option.
    pub fn show_population<'m>(&self, members: impl IntoIterator<Item = &'m Rc<Scored>>) {
        let members: Vec<Genome> = members.into_iter().map(|m| m.candidate.genome.clone()).collect();
        self.show_choices("What the population is made of", &members);
    }

    /// Shows what some networks are made of, likewise.
    pub fn show_choices(&self, title: &str, members: &[Genome]) {
        let part = |gene: usize, option: usize| {
            let chose = members.iter().filter(|m| m.at(gene) == option).count();
            chose as f64 / members.len().max(1) as f64
        };
        let genes = self.genes.iter().enumerate();
        let parts = genes.map(|(i, g)| (0..g.options.len()).map(|o| part(i, o)).collect::<Vec<f64>>());
        self.lean(title, &parts.collect::<Vec<_>>());
    }

    /// Tells the page.
    pub fn tell(&self, event: Event) {
        (self.tell)(event);
    }

    /// Makes the space's relaxed network ready to be trained.
    ///
    /// # Errors
    /// As [`Evaluator::relax`].
    pub fn relax(&self, form: Form, how: &Relaxation) -> Result<Box<dyn Relaxing>> {
        self.evaluator.relax(form, how)
    }

    /// Makes the weights that the space's networks share ready to be trained.
    ///
    /// # Errors
    /// As [`Evaluator::share`].
    pub fn share(&self, sharing: &Sharing) -> Result<Box<dyn SharedWeights>> {
        self.evaluator.share(sharing)
    }

    /// Whether this genome is a network within the limits.
    pub fn fits(&self, genome: &Genome) -> bool {
        self.evaluator.prepare(genome).is_ok_and(|p| self.within_limits(&p.costs))
    }

    /// Takes training MACs that no candidate costs from the budget.
    pub fn spend(&self, macs: f64) {
        self.macs.set(self.macs.get() - macs);
    }

    /// Training MACs that have not been promised to a candidate yet.
    pub fn macs_left(&self) -> f64 {
        self.macs.get()
    }

    /// Candidates that may still be drawn; 0 where the budget of training MACs is promised.
    pub fn left(&self) -> u32 {
        if self.macs.get() > 0.0 { self.budget.get() } else { 0 }
    }

    /// Says that a candidate costs only this part of a full evaluation on average: successive halving gives most
    /// of them up early, and a budget of MACs buys it more of them.
    pub fn expect_share(&self, share: f64) {
        self.share.set(share);
    }

    /// Epochs of a full evaluation.
    pub fn epochs(&self) -> u32 {
        self.settings.count("epochs") as u32
    }

    /// How many evaluations are in flight at once.
    pub fn lookahead(&self) -> usize {
        self.settings.count("lookahead").max(1)
    }

    /// Every evaluation so far, in order.
    pub fn history(&self) -> Vec<Rc<Scored>> {
        self.history.borrow().clone()
    }

    /// The last evaluation of every candidate, by number.
    pub fn latest(&self) -> Vec<Rc<Scored>> {
        let mut latest: std::collections::BTreeMap<u32, Rc<Scored>> = Default::default();
        for scored in self.history.borrow().iter() {
            latest.insert(scored.candidate.id, scored.clone());
        }
        latest.into_values().collect()
    }

    /// Prepares a first population of `size`: where `initial.proxy` names a zero-cost proxy, `initial.pool` networks
    /// are drawn and scored by it without any training, and [`Self::draw_initial`] gives the best of them first. The
    /// zero-cost warm-up of Abdelfattah et al. (ICLR 2021, arXiv:2101.08134), section 5.
    ///
    /// # Errors
    /// The run was stopped, or a table answers.
    pub async fn warm_up(&self, size: usize) -> Result<()> {
        let proxy = self.settings.text("initial.proxy");
        if proxy == "none" {
            return Ok(());
        }
        let beta = self.settings.count("initial.params");
        let (mut pool, mut graphs, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
        for _ in 0..REDRAWS {
            if pool.len() >= self.settings.count("initial.pool").max(size) {
                break;
            }
            let drawn = space::sample(&self.genes, &mut self.rng.borrow_mut());
            let genome = self.space.canonical(&self.settings.config, &drawn);
            let Ok(Prepared { graph, costs }) = self.evaluator.prepare(&genome) else { continue };
            if beta > 0 && over(&costs, Metric::Params, beta as f64) {
                self.early_exits.set(self.early_exits.get() + 1);
            } else if self.within_limits(&costs) && known.insert(genome.clone()) {
                pool.push(genome);
                graphs.extend(graph);
            }
        }
        let scores = self.evaluator.score(&proxy, &graphs).await?;
        let mut ranked: Vec<(f64, Genome)> = scores.into_iter().zip(pool).collect();
        ranked.order_by(|a, b| b.0.total_cmp(&a.0));
        (self.tell)(Event::Log(format!(
            "{} networks were scored by {proxy} without training; the best {} are the first to be tried.",
            ranked.len(),
            size.min(ranked.len())
        )));
        self.chosen.borrow_mut().extend(ranked.into_iter().take(size).map(|(_, genome)| genome));
        Ok(())
    }

    /// A member of a first population: what [`Self::warm_up`] chose, then drawn uniformly. Where `initial.params` sets a threshold β, a
    /// genome of more parameters is drawn anew at once, before any training: the early-exit
    /// population initialisation of Termritthikun et al., "EEEA-Net" (2021, arXiv:2108.06156). Such
    /// a genome may still be bred later. `None` as in [`Self::draw`].
    pub fn draw_initial(&self) -> Option<Rc<Candidate>> {
        while let Some(genome) = { self.chosen.borrow_mut().pop_front() } {
            if let Some(candidate) = self.admit(&genome, Vec::new()) {
                return Some(candidate);
            }
        }
        let beta = self.settings.count("initial.params");
        self.draw_below((beta > 0).then_some(beta), |rng| (space::sample(&self.genes, rng), vec![]))
    }

    /// How many genomes of the first population were drawn anew for their parameters.
    pub fn early_exits(&self) -> u32 {
        self.early_exits.get()
    }

    /// The next candidate: draws until one is new, within the limits and a network. `None` where
    /// the budget is spent or nothing new turns up.
    pub fn draw(&self, propose: impl FnMut(&mut Rng) -> (Genome, Vec<u32>)) -> Option<Rc<Candidate>> {
        self.draw_below(None, propose)
    }

    fn draw_below(
        &self,
        most_params: Option<usize>,
        mut propose: impl FnMut(&mut Rng) -> (Genome, Vec<u32>),
    ) -> Option<Rc<Candidate>> {
        if self.left() == 0 {
            return None;
        }
        for _ in 0..REDRAWS {
            let (genome, parents) = propose(&mut self.rng.borrow_mut());
            if let Some(candidate) = self.admit_below(most_params, &genome, parents) {
                return Some(candidate);
            }
        }
        self.budget.set(0);
        (self.tell)(Event::Log(format!(
            "After {} candidates, {REDRAWS} draws in a row were known, over a limit or no network: the search ends here. Wider limits or another space would let it go on.",
            self.drawn.get()
        )));
        None
    }

    /// This genome as a candidate. `None` where it is known, over a limit or no network, or the budget is spent.
    pub fn admit(&self, genome: &Genome, parents: Vec<u32>) -> Option<Rc<Candidate>> {
        if self.left() == 0 { None } else { self.admit_below(None, genome, parents) }
    }

    /// As [`Self::admit`], with the value of the first objective that a predictor expects: it is shown beside what
    /// is measured then.
    pub fn admit_expected(&self, genome: &Genome, parents: Vec<u32>, expected: f64) -> Option<Rc<Candidate>> {
        let mut candidate = self.admit(genome, parents)?;
        if self.objectives.0.first().is_some_and(|o| o.metric == Metric::ValAccuracy) {
            let accuracy = (Metric::PredictedAccuracy, (1.0 - expected).clamp(0.0, 1.0));
            Rc::make_mut(&mut candidate).prepared.costs.push(accuracy);
        }
        Some(candidate)
    }

    fn admit_below(
        &self,
        most_params: Option<usize>,
        genome: &Genome,
        parents: Vec<u32>,
    ) -> Option<Rc<Candidate>> {
        if space::check(&self.genes, genome).is_err() {
            return None;
        }
        let genome = self.space.canonical(&self.settings.config, genome);
        if self.seen.borrow().contains(&genome) {
            return None;
        }
        let prepared = self.evaluator.prepare(&genome);
        if let (Some(most), Ok(prepared)) = (most_params, &prepared)
            && over(&prepared.costs, Metric::Params, most as f64)
        {
            self.early_exits.set(self.early_exits.get() + 1);
            return None;
        }
        self.seen.borrow_mut().insert(genome.clone());
        let prepared = prepared.ok().filter(|p| self.within_limits(&p.costs))?;
        if let Some(graph) = &prepared.graph
            && !self.fingerprints.borrow_mut().insert(graph.fingerprint())
        {
            return None;
        }
        self.budget.set(self.budget.get() - 1);
        self.drawn.set(self.drawn.get() + 1);
        let label = self.space.label(&self.settings.config, &genome);
        let candidate = Candidate { id: self.drawn.get(), genome, parents, label, prepared };
        let promised = self.share.get() * self.evaluator.training_macs(&candidate, self.epochs());
        self.macs.set(self.macs.get() - promised);
        Some(Rc::new(candidate))
    }

    fn within_limits(&self, costs: &Metrics) -> bool {
        !self.limits.iter().any(|(metric, most)| over(costs, *metric, *most))
    }

    /// The most that a candidate may cost of this; `None` where there is no limit.
    pub fn limit(&self, metric: Metric) -> Option<f64> {
        self.limits.iter().find(|(m, _)| *m == metric).map(|(_, most)| *most)
    }

    /// Starts an evaluation: `epochs` more than the candidate has had.
    pub fn evaluate(&self, candidate: &Rc<Candidate>, epochs: u32) -> Pending {
        Pending { candidate: candidate.clone(), epochs, result: self.evaluator.start(candidate, epochs) }
    }

    /// Starts several evaluations; those of one shape family train side by side where the settings allow.
    pub fn evaluate_several(&self, candidates: &[Rc<Candidate>], epochs: u32) -> Vec<Pending> {
        let results = self.evaluator.start_all(candidates, epochs);
        let pairs = candidates.iter().zip(results);
        pairs.map(|(candidate, result)| Pending { candidate: candidate.clone(), epochs, result }).collect()
    }

    /// How many candidates to start at once where so many are in flight: with candidates that train side by side,
    /// none before half of what may be in flight has landed.
    pub fn room(&self, flying: usize) -> usize {
        let room = self.lookahead().saturating_sub(flying);
        let together = self.settings.count("together").min(self.lookahead().div_ceil(2));
        if room < together { 0 } else { room }
    }

    /// Awaits an evaluation and records it. A candidate that fails (its loss diverged) is scored
    /// as worst, so that one bad network does not end the search.
    ///
    /// # Errors
    /// The run was stopped, or the first three evaluations all failed.
    pub async fn settle(&self, pending: Pending) -> Result<Rc<Scored>> {
        let Pending { candidate, epochs, result } = pending;
        let mut metrics = candidate.prepared.costs.clone();
        match result.await {
            Ok(measured) => metrics.extend(measured),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => {
                self.failures.set(self.failures.get() + 1);
                let failed = self.failures.get() as usize;
                if failed >= 3 && failed > self.history.borrow().len() {
                    return Err(error);
                }
                let text = format!("#{} ({}) could not be judged: {error}", candidate.id, candidate.label);
                (self.tell)(Event::Log(text));
                metrics.extend([(Metric::ValAccuracy, 0.0), (Metric::ValLoss, f64::INFINITY)]);
            }
        }
        let before =
            self.history.borrow().iter().rev().find(|s| s.candidate.id == candidate.id).map(|s| s.epochs);
        let scored = Rc::new(Scored {
            values: self.objectives.values(&metrics),
            fitness: self.objectives.fitness(&metrics),
            epochs: before.unwrap_or(0) + epochs,
            candidate,
            metrics,
        });
        self.history.borrow_mut().push(scored.clone());
        (self.observer)(self, &scored);
        Ok(scored)
    }

    /// Evaluates several candidates, at most [`Self::lookahead`] in flight, in order.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub async fn evaluate_all(&self, candidates: Vec<Rc<Candidate>>, epochs: u32) -> Result<Vec<Rc<Scored>>> {
        let mut waiting = candidates.into_iter();
        let mut flying = VecDeque::new();
        let mut scored = Vec::new();
        loop {
            let next: Vec<Rc<Candidate>> = waiting.by_ref().take(self.room(flying.len())).collect();
            flying.extend(self.evaluate_several(&next, epochs));
            match flying.pop_front() {
                Some(pending) => scored.push(self.settle(pending).await?),
                None => return Ok(scored),
            }
        }
    }
}
