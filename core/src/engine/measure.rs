//! Latency as a job: measured where the network would run, by that worker's clock.

use super::table::LatencyTable;
use super::{LatencyStats, latency};
use crate::Result;
use crate::job::{Host, JobCtx, Task};
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
    /// Whether steps that an earlier run or visit has measured here are taken from there; else they are measured now.
    pub kept: bool,
}

impl Task for StepTimesTask {
    const NAME: &'static str = "step-times";
    type Output = LatencyTable;

    fn label(&self) -> String {
        format!("timing the steps of “{}”", self.model.graph.name)
    }

    async fn run(mut self, ctx: &JobCtx<'_>) -> Result<LatencyTable> {
        let batch = self.batch.max(1) as usize;
        if self.kept {
            self.table.take(&recall(ctx.host, KEPT).await, &self.model, batch)?;
        }
        if self.table.learn(&self.model, batch, &|| ctx.host.now_ms())? > 0 {
            keep(ctx.host, KEPT, &self.table).await;
        }
        Ok(self.table)
    }
}

/// The name under which the CPU engine's table is kept.
const KEPT: &str = "cpu";

/// A table that an earlier run or visit left.
pub(crate) async fn recall(host: &dyn Host, name: &str) -> LatencyTable {
    let text = host.recall(name).await;
    text.and_then(|text| LatencyTable::read(&text)).unwrap_or_default()
}

/// Leaves a table for later runs and visits, beside what others have left under its name meanwhile.
pub(crate) async fn keep(host: &dyn Host, name: &str, table: &LatencyTable) {
    let mut all = recall(host, name).await;
    all.0.extend(table.0.iter().map(|(key, ms)| (key.clone(), *ms)));
    host.keep(name, all.write()).await;
}
