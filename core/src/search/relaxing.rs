//! The relaxed networks of [`super::run::Training`]: what differentiable strategies train.

use super::LocalFuture;
use super::run::Described;
use super::session::{Relaxing, Told};
use crate::params::Config;
use crate::relax::{self, Choice, Form, RelaxTask, Relaxable, Relaxation, State};
use crate::run::RunCtx;
use crate::space::{Genome, Space};
use crate::supernet::{JudgeTask, Spec, Supernet};
use crate::{Result, rng};
use std::cell::Cell;
use std::rc::Rc;

/// Batches over which the batch-norm statistics of a cell with inherited weights are taken.
const RECALIBRATE: u32 = 8;

/// A relaxed network in training on the pool.
pub(super) struct OnPool {
    ctx: RunCtx,
    space: &'static dyn Space,
    relaxable: &'static dyn Relaxable,
    choices: Vec<Choice>,
    task: RelaxTask,
    /// Where a discrete network can take over the relaxed one's weights.
    shared: Option<Supernet>,
    spent: Rc<Cell<u64>>,
}

impl OnPool {
    /// Training MACs are added to `spent`.
    ///
    /// # Errors
    /// The space cannot be relaxed, or not in this form or for this data.
    pub fn new(
        ctx: RunCtx,
        space: &'static dyn Space,
        config: &Config,
        (form, how): (Form, &Relaxation),
        (data, described): (&str, &Described),
        seed: u64,
        spent: Rc<Cell<u64>>,
    ) -> Result<Self> {
        let net = Spec::of(space, config);
        let (shape, classes) = (described.shape.as_slice(), described.classes);
        let relaxable = relax::get(&net.space)?;
        let choices = relaxable.choices(&net.config, form);
        how.check(&choices)?;
        // Refused before anything trains: a shape that does not fit, channels that K does not divide.
        let all = choices.iter().map(|c| (0..c.options.len() as u8).collect()).collect();
        relaxable.mixture(&net.config, form, &all, relax::Over::All, shape, classes)?;
        let shared = Supernet::new(&net, shape, classes).ok().filter(|_| form == Form::default());
        let task = RelaxTask {
            label: format!("{} relaxed", space.method().name),
            net,
            form,
            how: how.clone(),
            data: data.into(),
            state: None,
            epochs: 1,
            seed: rng::derive(seed, "relax"),
        };
        Ok(Self { ctx, space, relaxable, choices, task, shared, spent })
    }

    /// The derived network with the relaxed one's weights, on the validation split. What no relaxed network
    /// trains (the scales of its mixed norms) is at its start. `None` where it is no network.
    async fn inherited(&self, state: &State, genome: &Genome) -> Result<Option<f64>> {
        let Some(net) = self.shared.as_ref().filter(|net| net.subnet(genome).is_ok()) else {
            return Ok(None);
        };
        let mut store = net.store(0);
        for (place, weight) in &state.store.weights {
            if let Some(own) = store.weights.get_mut(place).filter(|own| own.shape == weight.shape) {
                *own = weight.clone();
            }
        }
        let task = JudgeTask {
            label: format!("{}, discrete", self.task.label),
            net: self.task.net.clone(),
            store,
            genomes: vec![genome.clone()],
            data: self.task.data.clone(),
            recalibrate: RECALIBRATE,
            seed: rng::derive(self.task.seed, "judge"),
            test: false,
        };
        Ok(self.ctx.spawn(&task).await?.first().map(|j| f64::from(j.val_accuracy)))
    }

    async fn next(&mut self) -> Result<Told> {
        let done = self.ctx.spawn(&self.task).await?;
        self.spent.set(self.spent.get() + done.macs);
        let shares = done.state.arch.shares();
        let genome = self.relaxable.derive(&self.task.net.config, self.task.form, &shares);
        let genome = self.space.canonical(&self.task.net.config, &genome);
        let inherited = self.inherited(&done.state, &genome).await?;
        let of_options = || self.choices.iter().zip(&shares).filter(|(c, _)| !c.edges);
        let skips = of_options().filter(|(choice, shares)| {
            let likeliest = (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b]));
            likeliest.is_some_and(|o| choice.options[o].contains("skip"))
        });
        let told = Told {
            heat: relax::heat("Architecture weights: the share of each option", &self.choices, &shares),
            label: self.space.label(&self.task.net.config, &genome),
            genome,
            val_accuracy: done.history.last().map_or(f64::NAN, |e| f64::from(e.val_accuracy)),
            inherited,
            skips: skips.count() as u32,
            choices: of_options().count() as u32,
            macs: done.macs,
        };
        self.task.state = Some(done.state);
        Ok(told)
    }
}

impl Relaxing for OnPool {
    fn epoch(&mut self) -> LocalFuture<'_, Result<Told>> {
        Box::pin(self.next())
    }
}
