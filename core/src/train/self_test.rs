//! A device held against the CPU before it is trusted: every operator, forward and backward, and whole
//! training steps.
//!
//! A GPU's driver, its shader compiler or the code that writes the shaders may be wrong, and say nothing: an
//! invalid shader leaves its output as it was. So every output must be the CPU's, up to rounding.

use super::{Optimizer, Schedule, Start, TrainConfig, TrainTask};
use crate::data::Dataset;
use crate::job::{Host, JobCtx, Task};
use crate::model::{ConvOptions, Graph, GraphBuilder};
use crate::ops::cases::{self, Case, Measured};
use crate::ops::{Forward, Value};
use crate::rng::Rng;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What two devices may differ by: so much, and so much of the value. WGSL promises a few units in the last
/// place for most functions, but only about 2^-11 for some (tanh); a wrong kernel is off by a lot more.
pub const TOLERANCE: f32 = 1e-3;

/// Results that are read back together: a device answers a few large questions sooner than many small ones.
const BATCH: usize = 64;

/// What the self-test did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Report {
    /// Cases of operators.
    pub cases: usize,
    /// Numbers compared.
    pub values: usize,
    /// The largest difference, in units of what was allowed.
    pub worst: f32,
}

/// Holds a device against the CPU. `host` gives others a chance in between.
///
/// # Errors
/// Names the operator that is wrong, and by how much. The device must not be used then.
pub async fn self_test(device: &Device, host: &dyn Host) -> Result<Report> {
    let mut report = Report::default();
    let cpu = Device::flex();
    let mut pending = Vec::new();
    for case in cases::all() {
        operator(&case, false, &cpu, device, &mut pending).await?;
        if case.op == "BatchNormalization" {
            operator(&case, true, &cpu, device, &mut pending).await?;
        }
        report.cases += 1;
        if pending.len() >= BATCH {
            report.settle(std::mem::take(&mut pending)).await?;
            host.checkpoint().await?;
        }
    }
    report.settle(pending).await?;
    for optimizer in [Optimizer::AdamW, Optimizer::Sgd { momentum: 0.9 }] {
        training(optimizer, &cpu, device, host, &mut report).await?;
    }
    Ok(report)
}

/// Asks a device for something simple: whether it still computes at all.
///
/// # Errors
/// It does not, or wrongly.
pub async fn answers(device: &Device) -> Result<()> {
    let sum = Tensor::<1>::from_data(TensorData::new(vec![1.0f32, 2.0, 3.0], [3]), device).square();
    Report::default().values("the sum of a few squares", &[14.0], &Value::R1(sum.sum()).to_host().await?)
}

/// A result of a device, to be compared with the CPU's.
struct Pending {
    what: String,
    want: Vec<f32>,
    got: Value,
}

impl Pending {
    async fn new(what: String, want: &Value, got: &Value) -> Result<Self> {
        if want.dims() != got.dims() {
            return Err(Error::Numeric(format!(
                "{what} has the shape {:?}; the CPU makes {:?}",
                got.dims(),
                want.dims()
            )));
        }
        Ok(Self { what, want: want.to_host().await?, got: got.clone() })
    }
}

/// One operator on both devices.
async fn operator(
    case: &Case,
    training: bool,
    cpu: &Device,
    device: &Device,
    pending: &mut Vec<Pending>,
) -> Result<()> {
    let run = |device: &Device| -> Result<(Measured, Forward)> {
        let mut ctx = Forward { training, ..Forward::default() };
        let measured = cases::measure(case, &case.values(1), 1, device, &mut ctx)?;
        Ok((measured, ctx))
    };
    let ((want, want_ctx), (got, got_ctx)) = (run(cpu)?, run(device)?);
    let label = case.label();
    for (i, (want, got)) in want.outputs.iter().zip(&got.outputs).enumerate() {
        pending.push(Pending::new(format!("output {i} of {label}"), want, got).await?);
    }
    for ((i, want), (_, got)) in want.gradients.iter().zip(&got.gradients) {
        let what = format!("the gradient of input {i} of {label}");
        match (want, got) {
            (Some(want), Some(got)) => pending.push(Pending::new(what, want, got).await?),
            (None, None) => {}
            _ => return Err(Error::Numeric(format!("{what} is missing on one device"))),
        }
    }
    for (name, want) in &want_ctx.statistics {
        let what = format!("the running statistic {name} of {label}");
        match got_ctx.statistics.get(name) {
            Some(got) => pending.push(Pending::new(what, want, got).await?),
            None => return Err(Error::Numeric(format!("{what} is missing"))),
        }
    }
    Ok(())
}

/// A few images of noise in two classes.
fn noise() -> Dataset {
    let mut rng = Rng::stream(0, "self-test");
    Dataset {
        name: "noise".into(),
        shape: vec![1, 4, 4],
        inputs: (0..16 * 16).map(|_| rng.uniform(0.0, 1.0)).collect(),
        labels: (0..16).map(|i| i % 2).collect(),
        classes: vec!["a".into(), "b".into()],
        train: (0..8).collect(),
        validation: (8..12).collect(),
        test: (12..16).collect(),
        table: None,
    }
}

fn network() -> Result<Graph> {
    let mut b = GraphBuilder::new("self-test", &[1, 4, 4]);
    let x = b.input();
    let x = b.conv(&x, 4, 3, ConvOptions::default())?;
    let x = b.batch_norm(&x)?;
    let x = b.unary("Relu", &x)?;
    let x = b.unary("Flatten", &x)?;
    let y = b.linear(&x, 2)?;
    b.finish(&y)
}

/// Two training steps, optimizer and validation included, on both devices.
async fn training(
    optimizer: Optimizer,
    cpu: &Device,
    device: &Device,
    host: &dyn Host,
    report: &mut Report,
) -> Result<()> {
    let config = TrainConfig {
        epochs: 2,
        batch: 8,
        optimizer,
        schedule: Schedule::Constant,
        label_smoothing: 0.1,
        ..TrainConfig::default()
    };
    let task = TrainTask {
        label: "self-test".into(),
        start: Start::Fresh(network()?),
        data: "noise".into(),
        config,
        seed: 1,
        test: true,
    };
    let data = BTreeMap::from([("noise".to_owned(), Arc::new(noise()))]);
    let mut trained = Vec::with_capacity(2);
    for device in [cpu, device] {
        let ctx = JobCtx { data: &data, host, device: device.clone() };
        trained.push(task.clone().run(&ctx).await?);
    }
    let (want, got) = (&trained[0], &trained[1]);
    for (name, want) in &want.model.weights {
        let what = format!("the weight “{name}” after training with {optimizer:?}");
        let got = got.model.weights.get(name).map(|w| w.to_f32()).unwrap_or_default();
        report.values(&what, &want.to_f32(), &got)?;
    }
    for (want, got) in want.history.iter().zip(&got.history) {
        let losses = |e: &super::Epoch| [e.train_loss, e.val_loss];
        report.values(&format!("the loss when training with {optimizer:?}"), &losses(want), &losses(got))?;
    }
    Ok(())
}

impl Report {
    /// Reads results back, all at once, and compares them.
    async fn settle(&mut self, pending: Vec<Pending>) -> Result<()> {
        let mut flat = Vec::with_capacity(pending.len());
        for result in &pending {
            flat.extend(result.got.clone().reshape(&[result.want.len()])?.r1());
        }
        if flat.is_empty() {
            return Ok(());
        }
        let all = Value::R1(Tensor::cat(flat, 0)).to_host().await?;
        let mut rest = all.as_slice();
        for result in &pending {
            // Fewer than there should be are said to be so.
            let (got, tail) = rest.split_at(result.want.len().min(rest.len()));
            rest = tail;
            self.values(&result.what, &result.want, got)?;
        }
        Ok(())
    }

    fn values(&mut self, what: &str, want: &[f32], got: &[f32]) -> Result<()> {
        if want.len() != got.len() {
            return Err(Error::Numeric(format!(
                "{what} has {} values; the CPU makes {}",
                got.len(),
                want.len()
            )));
        }
        for (i, (want, got)) in want.iter().zip(got).enumerate() {
            let part = (want - got).abs() / (TOLERANCE * (1.0 + want.abs()));
            if part.is_nan() || part > 1.0 {
                return Err(Error::Numeric(format!(
                    "{what} is off by {:.2e}: value {i} is {got} and {want} on the CPU",
                    (want - got).abs()
                )));
            }
            self.worst = self.worst.max(part);
        }
        self.values += want.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::NullHost;
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn the_cpu_agrees_with_itself() {
        let device = Device::flex();
        let mut future = Box::pin(self_test(&device, &NullHost));
        let Poll::Ready(report) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("the CPU has nothing to wait for")
        };
        let report = report.unwrap();
        assert_eq!(report.cases, cases::all().len());
        assert!(report.values > 3000, "{report:?}");
        assert_eq!(report.worst, 0.0, "the same arithmetic twice");
        let mut future = Box::pin(answers(&device));
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())));
    }

    #[test]
    fn what_differs_is_named_with_its_numbers() {
        let mut report = Report::default();
        report.values("all", &[1.0, 1000.0], &[1.0005, 1000.5]).unwrap();
        for wrong in [[1.0, 2.5], [1.0, f32::NAN], [f32::INFINITY, 2.0]] {
            let error = report.values("output 0 of Relu", &[1.0, 2.0], &wrong).unwrap_err().to_string();
            assert!(error.contains("output 0 of Relu is off by"), "{error}");
            assert!(error.contains("on the CPU"), "{error}");
        }
        // What an array that was never written looks like.
        assert!(report.values("stale", &[0.3, -0.7], &[0.0, 0.0]).is_err());
        assert!(report.values("short", &[1.0], &[]).is_err());
    }
}
