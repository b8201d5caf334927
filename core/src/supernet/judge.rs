//! Judging subnets with inherited weights, as a job: nothing is trained, but batch-norm statistics are
//! taken anew for each (Yu et al., "BigNAS", 2020, arXiv:2003.11142, section 3.3; Yu and Huang,
//! "Universally Slimmable Networks", ICCV 2019, section 3.3).

use super::{Spec, Store, Supernet};
use crate::Result;
use crate::job::{JobCtx, Task};
use crate::space::Genome;
use crate::train::{Start, TrainConfig, TrainTask};
use serde::{Deserialize, Serialize};

/// Samples in a batch of recalibration: enough for statistics of their own.
const BATCH: u32 = 64;

/// Judges subnets, as a job under the name `supernet.judge`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeTask {
    /// For the progress line.
    pub label: String,
    /// Which supernet.
    pub net: Spec,
    /// Its shared weights.
    pub store: Store,
    /// The subnets.
    pub genomes: Vec<Genome>,
    /// Name of the data set.
    pub data: String,
    /// Batches of 64 training samples over which batch-norm statistics are taken; 0 leaves them at
    /// their start.
    pub recalibrate: u32,
    /// Seed of those batches.
    pub seed: u64,
    /// Whether to judge on the test split too.
    pub test: bool,
}

/// How good a subnet is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Validation loss, nats.
    pub val_loss: f32,
    /// Validation accuracy, 0 to 1.
    pub val_accuracy: f32,
    /// Test accuracy, 0 to 1, where asked for.
    pub test_accuracy: Option<f32>,
}

impl Task for JudgeTask {
    const NAME: &'static str = "supernet.judge";
    type Output = Vec<Judged>;

    fn label(&self) -> String {
        self.label.clone()
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Vec<Judged>> {
        let net = Supernet::on(&self.net, &*ctx.dataset(&self.data)?)?;
        let mut judged = Vec::with_capacity(self.genomes.len());
        for genome in &self.genomes {
            let model = net.inherit(&self.store, genome)?;
            let trained =
                recalibrated(model, &self.data, self.recalibrate, self.seed, self.test).run(ctx).await?;
            judged.push(Judged {
                val_loss: trained.val_loss,
                val_accuracy: trained.val_accuracy,
                test_accuracy: trained.test_accuracy,
            });
        }
        Ok(judged)
    }
}

/// A training without a step: it takes batch-norm statistics anew, then evaluates.
pub fn recalibrated(
    model: crate::model::Model,
    data: &str,
    batches: u32,
    seed: u64,
    test: bool,
) -> TrainTask {
    let label = format!("{}: statistics taken anew", model.graph.name);
    let config = TrainConfig { epochs: 0, batch: BATCH, recalibrate: batches, ..TrainConfig::default() };
    TrainTask { label, start: Start::Model(Box::new(model)), data: data.into(), config, seed, test }
}
