//! Latency on the device that jobs compute on, where that is a GPU: of a network, and of each of its nodes.
//!
//! A GPU is given its work ahead: what a pass takes is what passes take one behind the other, with no wait for an
//! answer between them. So it is measured, for networks and for nodes alike: several passes and a wait, less one pass
//! and a wait, divided by how many more there were. On small networks most of it is what a browser needs to hand over
//! a piece of work, and not arithmetic.

use super::interpret::{NoHook, Plan};
use crate::engine::measure::{keep, recall};
use crate::engine::table::LatencyTable;
use crate::job::{Device, Host, JobCtx, Task};
use crate::model::Model;
use crate::ops::{Forward, Value};
use crate::order::Order;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Passes of the first attempt; as many more as make [`LEAST_MS`] follow.
const FEW: u32 = 4;
/// Passes at most.
const MOST: u32 = 256;
/// How much longer many passes must take than one, in milliseconds.
const LEAST_MS: f64 = 4.0;
/// Measurements; their median counts.
const SAMPLES: usize = 5;

/// Measures a network on the GPU as a job: those of its nodes that a table does not know, then the whole. Its output
/// differs from run to run: no run whose stream must repeat may spawn it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceTimesTask {
    /// The network.
    pub model: Box<Model>,
    /// Samples at once.
    pub batch: u32,
    /// What is known.
    pub table: LatencyTable,
    /// Whether nodes that an earlier run or visit has measured here are taken from there; else they are measured now.
    pub kept: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceTimes {
    /// What was known, and what is known now.
    pub table: LatencyTable,
    /// The sum of the nodes, in milliseconds.
    pub predicted_ms: f64,
    /// The whole network, in milliseconds.
    pub measured_ms: f64,
}

impl Task for DeviceTimesTask {
    const NAME: &'static str = "device-times";
    type Output = DeviceTimes;

    fn label(&self) -> String {
        format!("timing “{}” on the GPU", self.model.graph.name)
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<DeviceTimes> {
        if ctx.device == Device::flex() {
            return Err(Error::Unsupported(
                "the jobs run on the CPU here; switch to the GPU engine to time it".into(),
            ));
        }
        let kept = if self.kept { recall(ctx.host, KEPT).await } else { LatencyTable::default() };
        let batch = self.batch.max(1) as usize;
        let done = measure(&self.model, batch, (self.table, &kept), &ctx.device, ctx.host).await?;
        keep(ctx.host, KEPT, &done.table).await;
        Ok(done)
    }
}

/// The name under which this device's table is kept.
const KEPT: &str = "gpu";

/// Milliseconds of each of many passes, without the wait for their answer.
async fn each(host: &dyn Host, pass: &dyn Fn() -> Result<Value>) -> Result<f64> {
    let elapsed = async |times: u32| -> Result<f64> {
        let start = host.now_ms();
        let mut last = None;
        for _ in 0..times {
            last = Some(pass()?);
        }
        if let Some(last) = last {
            last.to_host().await?;
        }
        Ok(host.now_ms() - start)
    };
    // The first one compiles shaders.
    elapsed(1).await?;
    let mut times = FEW;
    while times < MOST && elapsed(times).await? - elapsed(1).await? < LEAST_MS {
        times *= 2;
    }
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        host.checkpoint().await?;
        let many = elapsed(times).await?;
        samples.push((many - elapsed(1).await?) / f64::from(times - 1));
    }
    samples.order_by(f64::total_cmp);
    Ok(samples[SAMPLES / 2].max(0.0))
}

/// Measures what [`DeviceTimesTask`] does, on any device: `table` is what is known, `kept` what else may be taken over.
///
/// # Errors
/// The network cannot be run on the device.
pub(crate) async fn measure(
    model: &Model,
    batch: usize,
    (mut table, kept): (LatencyTable, &LatencyTable),
    device: &Device,
    host: &dyn Host,
) -> Result<DeviceTimes> {
    let plan = Plan::new(&model.graph)?;
    let params = plan.upload(model, device)?;
    let shapes = plan.shapes(batch)?;
    let mut predicted_ms = 0.0;
    for step in 0..plan.len() {
        let key = plan.describe(step, &shapes);
        if let Some(ms) = table.0.get(&key).or(kept.0.get(&key)).copied() {
            predicted_ms += ms;
            table.0.insert(key, ms);
            continue;
        }
        host.checkpoint().await?;
        let inputs = plan.stand_ins(step, &params, &shapes, device)?;
        let ms = each(host, &|| {
            let made = plan.run_step(step, &inputs, &shapes, &mut Forward::default())?;
            made.into_iter().next().ok_or_else(|| Error::Unsupported("a node without an output".into()))
        })
        .await?;
        predicted_ms += ms;
        table.0.insert(key, ms);
    }
    let measured_ms = network(model, batch, device, host).await?;
    Ok(DeviceTimes { table, predicted_ms, measured_ms })
}

/// Milliseconds of a forward pass of a network on a batch.
///
/// # Errors
/// The network cannot be run on the device.
pub(crate) async fn network(model: &Model, batch: usize, device: &Device, host: &dyn Host) -> Result<f64> {
    let plan = Plan::new(&model.graph)?;
    let params = plan.upload(model, device)?;
    let shapes = plan.shapes(batch)?;
    let input = [&[batch][..], &plan.input_shape().unwrap_or_default()].concat();
    let input = Value::from_host(vec![0.5; input.iter().product()], &input, device)?;
    each(host, &|| {
        let outputs = plan.forward(&params, input.clone(), &shapes, &mut Forward::default(), &NoHook)?;
        outputs.into_iter().next().ok_or_else(|| Error::Unsupported("a network without an output".into()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::LocalFuture;
    use crate::model::{ConvOptions, GraphBuilder};
    use crate::protocol::JobProgress;
    use crate::train::tests::block_on;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    /// A clock by which time passes when it is asked alone, and something that keeps.
    #[derive(Default)]
    struct Still {
        now: Cell<f64>,
        kept: RefCell<BTreeMap<String, String>>,
    }

    impl Host for Still {
        fn now_ms(&self) -> f64 {
            self.now.set(self.now.get() + 1.0);
            self.now.get()
        }
        fn progress(&self, _progress: JobProgress) {}
        fn checkpoint(&self) -> LocalFuture<'_, Result<()>> {
            Box::pin(std::future::ready(Ok(())))
        }
        fn recall<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Option<String>> {
            Box::pin(std::future::ready(self.kept.borrow().get(name).cloned()))
        }
        fn keep<'a>(&'a self, name: &'a str, text: String) -> LocalFuture<'a, ()> {
            self.kept.borrow_mut().insert(name.into(), text);
            Box::pin(std::future::ready(()))
        }
    }

    fn network_of(widths: &[usize]) -> Model {
        let mut b = GraphBuilder::new("n", &[1, 8, 8]);
        let mut x = b.input();
        for width in widths {
            let y = b.conv(&x, *width, 3, ConvOptions::default()).unwrap();
            let short = b.unary("Relu", &y).unwrap();
            x = b.add(&y, &short).unwrap();
        }
        let x = b.unary("GlobalAveragePool", &x).unwrap();
        let x = b.unary("Flatten", &x).unwrap();
        let y = b.linear(&x, 10).unwrap();
        Model::init(b.finish(&y).unwrap(), 1)
    }

    #[test]
    fn every_kind_of_node_is_measured_once() {
        let (host, device, none) = (Still::default(), Device::flex(), LatencyTable::default());
        let first =
            block_on(measure(&network_of(&[4, 4]), 2, (LatencyTable::default(), &none), &device, &host))
                .unwrap();
        let kinds = first.table.0.len();
        // Two convolutions, one Relu and one Add of one size, pooling, Flatten, the layer's product.
        assert!((7..=8).contains(&kinds), "{:?}", first.table);
        let again =
            block_on(measure(&network_of(&[4, 4]), 2, (first.table.clone(), &none), &device, &host)).unwrap();
        assert_eq!(again.table, first.table, "nothing new");
        assert_eq!(again.predicted_ms, first.predicted_ms);
        let wider =
            block_on(measure(&network_of(&[4, 8]), 2, (none.clone(), &first.table), &device, &host)).unwrap();
        assert!(wider.table.0.len() > kinds);
        let shared: Vec<_> =
            wider.table.0.iter().filter(|(key, _)| first.table.0.contains_key(*key)).collect();
        assert!(shared.len() >= 3, "{shared:?}");
        assert!(shared.iter().all(|(key, ms)| first.table.0[*key] == **ms), "what was kept is taken over");
    }

    #[test]
    fn nodes_alone_give_what_they_give_in_the_network() {
        let (model, device) = (network_of(&[3]), Device::flex());
        let plan = Plan::new(&model.graph).unwrap();
        let (params, shapes) = (plan.upload(&model, &device).unwrap(), plan.shapes(2).unwrap());
        for step in 0..plan.len() {
            let inputs = plan.stand_ins(step, &params, &shapes, &device).unwrap();
            let made = plan.run_step(step, &inputs, &shapes, &mut Forward::default()).unwrap();
            let values = block_on(made[0].clone().to_host()).unwrap();
            assert!(
                !values.is_empty() && values.iter().all(|v| v.is_finite()),
                "{}",
                plan.describe(step, &shapes)
            );
        }
    }

    #[test]
    fn a_table_comes_back_as_it_was_kept() {
        let host = Still::default();
        let table = LatencyTable(BTreeMap::from([("Conv: 1×8×8 → 2".to_owned(), 0.25)]));
        assert_eq!(block_on(recall(&host, "x")), LatencyTable::default());
        block_on(keep(&host, "x", &table));
        assert_eq!(block_on(recall(&host, "x")), table);
        host.kept.borrow_mut().insert("x".into(), "spoiled".into());
        assert_eq!(block_on(recall(&host, "x")), LatencyTable::default());
    }

    #[test]
    fn on_the_cpu_it_says_what_to_do() {
        let (host, data) = (Still::default(), BTreeMap::new());
        let ctx = JobCtx { data: &data, host: &host, device: Device::flex() };
        let task = DeviceTimesTask {
            model: Box::new(network_of(&[2])),
            batch: 1,
            table: LatencyTable::default(),
            kept: true,
        };
        assert!(block_on(task.run(&ctx)).unwrap_err().to_string().contains("GPU engine"));
    }
}
