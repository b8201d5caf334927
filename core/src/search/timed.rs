//! Latencies of candidates before they are trained: a table of the steps of networks of the space, each measured once
//! on this machine.

use super::Settings;
use super::run::Described;
use crate::Result;
use crate::engine::measure::StepTimesTask;
use crate::engine::table::LatencyTable;
use crate::model::{Graph, Model};
use crate::rng::Rng;
use crate::run::RunCtx;
use crate::space::{self, Space};

/// Networks whose steps are measured before the first candidate.
const NETWORKS: usize = 24;
/// Draws for them.
const DRAWS: usize = 400;

/// What is known of latencies.
#[derive(Debug, Clone, Default)]
pub(super) struct Timed {
    /// The steps.
    pub table: LatencyTable,
    /// MACs and milliseconds of networks whose every step is known.
    known: Vec<(f64, f64)>,
}

impl Timed {
    /// Measures the steps of networks drawn from a space.
    ///
    /// # Errors
    /// The run was stopped, or the engine cannot plan the space's networks.
    pub async fn measure(
        ctx: &RunCtx,
        space: &dyn Space,
        settings: &Settings,
        described: &Described,
        seed: u64,
    ) -> Result<Self> {
        let genes = space.genes(&settings.config);
        let mut rng = Rng::stream(seed, "timed");
        let drawn = (0..DRAWS).filter_map(|_| {
            let genome = space::sample(&genes, &mut rng);
            space.graph(&settings.config, &genome, &described.shape, described.classes).ok()
        });
        let mut timed = Self::default();
        for graph in drawn.take(NETWORKS) {
            timed.learn(ctx, &graph).await?;
        }
        ctx.log(format!(
            "{} kinds of steps of {} networks were timed on this machine, one sample at a time; limits and predictions of latency come from them.",
            timed.table.0.len(),
            timed.known.len()
        ));
        Ok(timed)
    }

    /// Measures those steps of a network that are not known.
    async fn learn(&mut self, ctx: &RunCtx, graph: &Graph) -> Result<()> {
        let model = Box::new(Model::init(graph.clone(), 0));
        let task = StepTimesTask {
            model: model.clone(),
            batch: 1,
            table: std::mem::take(&mut self.table),
            kept: true,
        };
        self.table = ctx.spawn(&task).await?;
        if let Some(ms) = self.table.predict(&model, 1)? {
            self.known.push((graph.analyze(1)?.total.macs as f64, ms));
        }
        Ok(())
    }

    /// Milliseconds of a forward pass of one sample: the sum of its steps, or, where one of them is not known, what a
    /// straight line through the known networks gives for so many MACs.
    ///
    /// # Errors
    /// The engine cannot plan the network.
    pub fn predict(&self, graph: &Graph, macs: f64) -> Result<f64> {
        let model = Model::init(graph.clone(), 0);
        Ok(self.table.predict(&model, 1)?.unwrap_or_else(|| line(&self.known, macs)))
    }
}

/// The least-squares line through points, at `x`; their mean where they do not tell a slope.
fn line(points: &[(f64, f64)], x: f64) -> f64 {
    let n = points.len().max(1) as f64;
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let xx: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    let xy: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    (my + if xx > 0.0 { xy / xx * (x - mx) } else { 0.0 }).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Config;

    #[test]
    fn unknown_steps_are_estimated_by_a_line() {
        assert_eq!(line(&[(1.0, 3.0), (3.0, 7.0)], 2.0), 5.0);
        assert_eq!(line(&[(1.0, 3.0)], 9.0), 3.0);
        assert_eq!(line(&[(1.0, 3.0), (3.0, 1.0)], 9.0), 0.0, "no time is negative");
        assert_eq!(line(&[], 1.0), 0.0);
    }

    #[test]
    fn known_networks_are_the_sum_of_their_steps() {
        let space = space::get("mlp").unwrap();
        let graph = |choice: u8| {
            let genome = space::Genome(vec![choice; space.genes(&Config::default()).len()]);
            space.graph(&Config::default(), &genome, &[1, 8, 8], 10).unwrap()
        };
        let ticks = std::cell::Cell::new(0.0);
        let clock = move || {
            ticks.set(ticks.get() + 1.0);
            ticks.get()
        };
        let mut timed = Timed { known: vec![(0.0, 7.0)], ..Timed::default() };
        assert_eq!(timed.predict(&graph(1), 100.0), Ok(7.0), "nothing is known yet");
        timed.table.learn(&Model::init(graph(1), 0), 1, &clock).unwrap();
        let told = timed.predict(&graph(1), 100.0).unwrap();
        let sum = timed.table.predict(&Model::init(graph(1), 0), 1).unwrap();
        assert!(Some(told) == sum && told > 0.0 && told != 7.0, "{told} where the steps are {sum:?}");
    }
}
