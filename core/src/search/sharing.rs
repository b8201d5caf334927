//! The shared weights of [`super::run::Training`]: what one-shot strategies train.

use super::LocalFuture;
use super::run::{Described, train_config};
use super::session::{Evolving, Settings, SharedTrained, SharedWeights, Sharing, Within};
use crate::params::Config;
use crate::run::RunCtx;
use crate::space::{Genome, Space};
use crate::supernet::{Evolution, Spec, Store, SuperTask, Supernet};
use crate::train::TrainConfig;
use crate::{Result, rng};
use std::cell::Cell;
use std::rc::Rc;

/// Batches over which the batch-norm statistics of a watched network are taken.
const RECALIBRATE: u32 = 4;

/// Shared weights in training on the pool.
pub(super) struct OnPool {
    ctx: RunCtx,
    net: Supernet,
    task: SuperTask,
    store: Store,
    spent: Rc<Cell<u64>>,
}

impl OnPool {
    /// Training MACs are added to `spent`.
    ///
    /// # Errors
    /// The networks of the space share no weights, or do not take such samples.
    pub fn new(
        ctx: RunCtx,
        space: &'static dyn Space,
        settings: &Settings,
        sharing: &Sharing,
        (data, described): (&str, &Described),
        seed: u64,
        spent: Rc<Cell<u64>>,
    ) -> Result<Self> {
        let spec = Spec::of(space, &settings.config);
        let net = Supernet::new(&spec, &described.shape, described.classes)?;
        let task = SuperTask {
            label: format!("shared weights of “{}”", space.method().name),
            net: spec,
            start: None,
            data: data.into(),
            config: TrainConfig {
                rate: sharing.rate,
                recalibrate: RECALIBRATE,
                ..train_config(settings, sharing.epochs, false)
            },
            sampler: sharing.sampler.clone(),
            sampling: Config::default(),
            watch: Vec::new(),
            seed: rng::derive(seed, "share"),
        };
        Ok(Self { ctx, net, task, store: Store::default(), spent })
    }
}

impl SharedWeights for OnPool {
    fn train(&mut self, watch: Vec<Genome>) -> LocalFuture<'_, Result<SharedTrained>> {
        self.task.watch = watch;
        Box::pin(async move {
            let done = self.ctx.spawn(&self.task).await?;
            self.spent.set(self.spent.get() + done.macs);
            self.store = done.store;
            let watched = |e: &crate::supernet::SuperEpoch| e.watched.iter().map(|v| f64::from(*v)).collect();
            Ok(SharedTrained {
                losses: done.history.iter().map(|e| f64::from(e.loss)).collect(),
                watched: done.history.iter().map(watched).collect(),
                macs: done.macs,
            })
        })
    }

    fn evolve<'b>(
        &'b self,
        evolving: &'b Evolving,
        within: Within<'b>,
        told: &'b dyn Fn(usize, f64, &[Genome]),
    ) -> LocalFuture<'b, Result<Vec<(f64, Genome)>>> {
        Box::pin(async move {
            let evolution = Evolution {
                net: &self.task.net,
                store: &self.store,
                data: &self.task.data,
                population: evolving.population,
                generations: evolving.generations,
                parents: evolving.parents,
                mutation: evolving.mutation,
                seed: rng::derive(self.task.seed, "evolve"),
            };
            let judged = evolution
                .run_telling(&self.ctx, &self.net, within, &|generation, judged| {
                    let parents: Vec<Genome> =
                        judged.iter().take(evolving.parents).map(|(_, genome)| genome.clone()).collect();
                    told(
                        generation,
                        judged.first().map_or(0.0, |(j, _)| f64::from(j.val_accuracy)),
                        &parents,
                    );
                })
                .await?;
            Ok(judged.into_iter().map(|(j, genome)| (f64::from(j.val_accuracy), genome)).collect())
        })
    }
}
