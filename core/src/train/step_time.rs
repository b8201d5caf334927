//! How long a training step takes here: what a race between two engines is decided by.

use serde::{Deserialize, Serialize};

/// Times training steps of one fixed network: two 3×3 convolutions of 16 and 32 channels, the second of
/// stride 2, and a linear layer, on batches of 64 samples of a data set of images. Its output is the median
/// of the measurements, in milliseconds a step (`f64`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTimeTask {
    /// Name of the data set.
    pub data: String,
}

impl StepTimeTask {
    /// Its name in the registry of jobs.
    pub const KIND: &'static str = "step-time";
    /// Samples in a step.
    pub const BATCH: u32 = 64;
}

#[cfg(feature = "compute")]
mod compute {
    use super::StepTimeTask;
    use crate::data::Dataset;
    use crate::job::{JobCtx, Task};
    use crate::model::{ConvOptions, Graph, GraphBuilder, Model};
    use crate::order::Order;
    use crate::train::batches::Batches;
    use crate::train::evaluate::check;
    use crate::train::interpret::NoHook;
    use crate::train::task::Trainer;
    use crate::train::{Schedule, TrainConfig};
    use crate::{Error, Result};

    /// Steps before the first measurement: a GPU compiles its shaders, caches fill.
    const WARM_UP: usize = 2;
    /// Steps in a measurement; what they made is read back at its end, as training does at an epoch's end.
    const STEPS: usize = 2;
    /// Measurements at most.
    const ROUNDS: usize = 9;
    /// No measurement begins after so many milliseconds.
    const LIMIT_MS: f64 = 1500.0;

    fn network(data: &Dataset) -> Result<Graph> {
        let mut b = GraphBuilder::new("two convolutions", &data.shape);
        let x = b.input();
        let x = b.conv(&x, 16, 3, ConvOptions { bias: true, ..ConvOptions::default() })?;
        let x = b.unary("Relu", &x)?;
        let x = b.conv(&x, 32, 3, ConvOptions { stride: 2, bias: true, ..ConvOptions::default() })?;
        let x = b.unary("Relu", &x)?;
        let x = b.unary("Flatten", &x)?;
        let y = b.linear(&x, data.classes.len())?;
        b.finish(&y)
    }

    impl Task for StepTimeTask {
        const NAME: &'static str = Self::KIND;
        type Output = f64;

        fn label(&self) -> String {
            "timing a training step".into()
        }

        async fn run(self, ctx: &JobCtx<'_>) -> Result<f64> {
            let data = ctx.dataset(&self.data)?;
            let graph = network(&data)?;
            check(&graph, &data)?;
            let config =
                TrainConfig { batch: Self::BATCH, schedule: Schedule::Constant, ..TrainConfig::default() };
            let mut trainer = Trainer::new(Model::init(graph, 1), &data, &config, &ctx.device, ctx.host)?;
            let mut batches = Batches::new(&data, config.batch, 0, 1);
            if batches.per_epoch() == 0 {
                return Err(Error::Data { name: self.data, message: "it has no training samples".into() });
            }
            let shapes = trainer.plan.shapes(batches.size())?;
            let mut taken = 0;
            let mut times: Vec<f64> = Vec::new();
            let begin = ctx.host.now_ms();
            while times.is_empty() || (times.len() <= ROUNDS && ctx.host.now_ms() - begin < LIMIT_MS) {
                let steps = if times.is_empty() { WARM_UP } else { STEPS };
                let start = ctx.host.now_ms();
                for _ in 0..steps {
                    let (inputs, labels) = batches.get(taken % batches.per_epoch());
                    trainer.step(inputs, &labels, &shapes, config.rate, &NoHook)?;
                    taken += 1;
                }
                trainer.download().await?;
                times.push((ctx.host.now_ms() - start) / steps as f64);
                ctx.host.checkpoint().await?;
            }
            // Slow as it may be, the warm-up is no measurement, unless there was time for nothing else.
            let mut times = if times.len() > 1 { times.split_off(1) } else { times };
            times.order_by(f64::total_cmp);
            Ok(times[times.len() / 2])
        }
    }
}

#[cfg(all(test, feature = "compute"))]
mod tests {
    use super::StepTimeTask;
    use crate::data::Dataset;
    use crate::job::{Device, Host, JobCtx, LocalFuture, Task};
    use crate::protocol::JobProgress;
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::future::Future;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    /// A clock on which every question takes 10 ms.
    struct Ticking(Cell<f64>);

    impl Host for Ticking {
        fn now_ms(&self) -> f64 {
            self.0.set(self.0.get() + 10.0);
            self.0.get()
        }
        fn progress(&self, _progress: JobProgress) {}
        fn checkpoint(&self) -> LocalFuture<'_, crate::Result<()>> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[test]
    fn a_step_takes_what_the_clock_says() {
        let data = Dataset {
            name: "t".into(),
            shape: vec![1, 8, 8],
            inputs: vec![0.5; 20 * 64],
            labels: (0..20).map(|i| i % 2).collect(),
            classes: vec!["a".into(), "b".into()],
            train: (0..16).collect(),
            validation: vec![16, 17],
            test: vec![18, 19],
            table: None,
        };
        let data = BTreeMap::from([("t".to_owned(), Arc::new(data))]);
        let host = Ticking(Cell::new(0.0));
        let ctx = JobCtx { data: &data, host: &host, device: Device::flex() };
        let mut future = Box::pin(StepTimeTask { data: "t".into() }.run(&ctx));
        let Poll::Ready(time) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("the CPU has nothing to wait for")
        };
        // Two questions apart, two steps.
        assert_eq!(time.unwrap(), 5.0);
    }
}
