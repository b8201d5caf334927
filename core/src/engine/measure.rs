//! Latency as a job: measured where the network would run, by that worker's clock.

use super::table::LatencyTable;
use super::{LatencyStats, latency};
use crate::Result;
use crate::job::{JobCtx, Task};
use crate::model::Model;
use serde::{Deserialize, Serialize};

/// Measures a model's latency on the engine. Its output differs from run to run: no run whose
/// stream must repeat may spawn it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyTask {
    /// The model, in its own numbers.
    pub model: Box<Model>,
    /// Samples at once.
    pub batch: u32,
}

impl Task for LatencyTask {
    const NAME: &'static str = "latency";
    type Output = LatencyStats;

    fn label(&self) -> String {
        format!("timing “{}” on {} at once", self.model.graph.name, self.batch)
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<LatencyStats> {
        latency(&self.model, self.batch.max(1) as usize, &|| ctx.host.now_ms())
    }
}

/// Measures the steps of a model that a table does not know, and gives the table with them. As with
/// [`LatencyTask`], no run whose stream must repeat may spawn it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepTimesTask {
    /// The model.
    pub model: Box<Model>,
    /// Samples at once.
    pub batch: u32,
    /// What is known.
    pub table: LatencyTable,
}

impl Task for StepTimesTask {
    const NAME: &'static str = "step-times";
    type Output = LatencyTable;

    fn label(&self) -> String {
        format!("timing the steps of “{}”", self.model.graph.name)
    }

    async fn run(mut self, ctx: &JobCtx<'_>) -> Result<LatencyTable> {
        self.table.learn(&self.model, self.batch.max(1) as usize, &|| ctx.host.now_ms())?;
        Ok(self.table)
    }
}
