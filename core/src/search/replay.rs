//! A strategy replayed on a table: a search of seconds in microseconds, hundreds of times.

use super::tabular::{Tabular, run_now};
use super::{Session, Settings, session};
use crate::job::{JobCtx, Task};
use crate::params::Config;
use crate::protocol::{JobProgress, Metric};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Replays of one strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayTask {
    /// Name of the table among the data sets.
    pub table: String,
    /// The search's settings, the strategy among them.
    pub config: Config,
    /// The seeds, one for each replay: `seeds.0` of them from `seeds.1` on.
    pub seeds: (u32, u64),
}

/// One replay: after each evaluation, the validation and the test accuracy, in percent, of what is best on
/// validation so far.
pub type Replay = Vec<(f32, f32)>;

impl Task for ReplayTask {
    const NAME: &'static str = "replay";
    type Output = Vec<Replay>;

    fn label(&self) -> String {
        format!("{} replays", self.seeds.0)
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Vec<Replay>> {
        let data = ctx.dataset(&self.table)?;
        let missing = || Error::Data {
            name: self.table.clone(),
            message: "it holds samples to train on, and no table of measured networks".into(),
        };
        let table = data.table.as_ref().ok_or_else(missing)?;
        let settings = Settings::new(self.config)?;
        let id = settings.text("strategy");
        let strategy = super::get(&id)
            .ok_or_else(|| Error::config("strategy", format!("there is no strategy “{id}”")))?;
        let mut replays = Vec::new();
        for i in 0..self.seeds.0 {
            ctx.host.checkpoint().await?;
            let tabular = Tabular::new(table);
            let seed = self.seeds.1.wrapping_add(u64::from(i));
            let session = Session::new(&settings, seed, &tabular, &|_, _| {}, &|_| {})?;
            run_now((strategy.run)(&session))?;
            let history = session.history();
            let mut best = None;
            let replay = history.iter().map(|scored| {
                best = session::best(best.into_iter().chain([scored]));
                let value = |metric| 100.0 * best.map_or(f64::NAN, |b| b.metric(metric)) as f32;
                (value(Metric::ValAccuracy), value(Metric::TestAccuracy))
            });
            replays.push(replay.collect());
            let fraction = f64::from(i + 1) / f64::from(self.seeds.0);
            ctx.host.progress(JobProgress { fraction, values: Vec::new() });
        }
        Ok(replays)
    }
}
