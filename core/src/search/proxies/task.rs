//! Proxies as a job: a few forward and backward passes of a fresh network.

use super::probe::Probe;
use crate::job::{JobCtx, Task};
use crate::model::Graph;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Scores a network by some proxies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProxyTask {
    /// For the progress line.
    pub label: String,
    /// The network.
    pub graph: Graph,
    /// Name of the data set; the batch is of its training split.
    pub data: String,
    /// Which proxies, by id.
    pub proxies: Vec<String>,
    /// Samples in the batch (published: 64), at least 2.
    pub samples: u32,
    /// Seed of the weights and of the batch, by named substreams.
    pub seed: u64,
}

impl Task for ProxyTask {
    const NAME: &'static str = "proxies";
    /// A score for each proxy, in the order in which they were asked for.
    type Output = Vec<f64>;

    fn label(&self) -> String {
        self.label.clone()
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Vec<f64>> {
        let known = |id: &String| {
            super::get(id).ok_or_else(|| {
                let known: Vec<&str> = super::ALL.iter().map(|p| p.method.id).collect();
                Error::config("proxies", format!("there is no proxy “{id}”; {} are known", known.join(", ")))
            })
        };
        let proxies = self.proxies.iter().map(known).collect::<Result<Vec<_>>>()?;
        let data = ctx.dataset(&self.data)?;
        let probe = Probe::new(self.graph, &data, self.samples as usize, self.seed, &ctx.device)?;
        let mut scores = Vec::with_capacity(proxies.len());
        for proxy in proxies {
            ctx.host.checkpoint().await?;
            let score = (proxy.score)(&probe).await?;
            if score.is_nan() {
                return Err(Error::Numeric(format!(
                    "{} of “{}” is not a number",
                    proxy.method.name,
                    probe.graph().name
                )));
            }
            scores.push(score);
        }
        Ok(scores)
    }
}
