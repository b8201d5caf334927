//! Segmentation of scenes of shapes with the blocks of a mobile network and one of two decoders: LR-ASPP
//! (Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv:1905.02244, section 6.4) and R-ASPP (Sandler
//! et al., "MobileNetV2", CVPR 2018, section 6.3). Both scale by repeating pixels, where the papers
//! interpolate.

use super::TrainConfig;
use super::custom::Custom;
use crate::data::generated::scenes::{self, Scene};
use crate::job::{JobCtx, Task};
use crate::model::{Attrs, ConvOptions, Graph, GraphBuilder, Model};
use crate::ops::Value;
use crate::protocol::JobProgress;
use crate::rng::{self, Rng};
use crate::space::mobile::{Net, conv};
use crate::{Error, Result};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Scenes to learn from and to test on.
const SCENES: [usize; 2] = [400, 200];
/// Their side, in pixels.
pub const SIDE: usize = 16;
/// Shapes in one at most.
const SHAPES: usize = 3;
/// Channels of a decoder.
const DECODER: usize = 16;

/// The blocks of a network with a decoder: LR-ASPP, or else R-ASPP. Gives `[batch, classes, SIDE, SIDE]`.
///
/// # Errors
/// A layer does not fit.
pub fn segmenter(net: &Net, lite: bool) -> Result<Graph> {
    let classes = scenes::CLASSES.len();
    let name = if lite { "LR-ASPP" } else { "R-ASPP" };
    let mut b = GraphBuilder::new(&format!("{name} on {}", net.name), &[1, SIDE, SIDE]);
    let outputs = net.features(&mut b)?;
    let high = outputs.last().cloned().unwrap_or_else(|| b.input());
    // The last output at twice the resolution of the last block's.
    let side = |b: &GraphBuilder, x: &str| b.shape(x).get(2).copied().unwrap_or(1);
    let twice = 2 * side(&b, &high);
    let low = outputs.iter().rev().find(|x| side(&b, x) == twice).cloned().unwrap_or_else(|| high.clone());
    b.place("decoder");
    let (plain, bias) = (ConvOptions::default(), ConvOptions { bias: true, ..ConvOptions::default() });
    let x = conv(&mut b, &high, DECODER, 1, plain, Some(false))?;
    let pooled = b.unary("GlobalAveragePool", &high)?;
    let logits = if lite {
        let gate = b.conv(&pooled, DECODER, 1, plain)?;
        let gate = b.unary("Sigmoid", &gate)?;
        let x = b.node("Mul", &[&x, &gate], Attrs::new(), 1)?.swap_remove(0);
        let x = b.resized(&x, twice)?;
        let from_high = b.conv(&x, classes, 1, bias)?;
        let from_low = b.conv(&low, classes, 1, bias)?;
        b.add(&from_high, &from_low)?
    } else {
        let pooled = conv(&mut b, &pooled, DECODER, 1, plain, Some(false))?;
        let pooled = b.resized(&pooled, twice / 2)?;
        let x = b.concat(&[&x, &pooled], 1)?;
        let x = conv(&mut b, &x, DECODER, 1, plain, Some(false))?;
        b.conv(&x, classes, 1, bias)?
    };
    let y = b.resized(&logits, SIDE)?;
    b.finish(&y)
}

/// Trains a segmentation network on scenes of shapes and tests it, as a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentTask {
    /// For the progress line.
    pub label: String,
    /// The network whose blocks it has.
    pub net: Net,
    /// LR-ASPP; else R-ASPP.
    pub lite: bool,
    /// Passes over the training scenes.
    pub epochs: u32,
    /// The seed, also of the scenes.
    pub seed: u64,
}

/// The mean over classes of intersection over union, of `counts[truth][answer]`; classes that are neither
/// there nor answered do not count.
fn mean_iou(counts: &[Vec<u64>]) -> f64 {
    let each = (0..counts.len()).filter_map(|c| {
        let hit = counts[c][c];
        let union = counts[c].iter().sum::<u64>() + counts.iter().map(|row| row[c]).sum::<u64>() - hit;
        (union > 0).then(|| hit as f64 / union as f64)
    });
    {
        let each: Vec<f64> = each.collect();
        each.iter().sum::<f64>() / each.len().max(1) as f64
    }
}

/// The pixels' classes as one-hot targets, `[batch, classes, SIDE, SIDE]`.
fn one_hot(scenes: &[&Scene]) -> Vec<f32> {
    let of =
        |s: &&Scene, c: usize| s.mask.iter().map(|m| f32::from(usize::from(*m) == c)).collect::<Vec<_>>();
    scenes.iter().flat_map(|s| (0..scenes::CLASSES.len()).flat_map(move |c| of(s, c))).collect()
}

impl Task for SegmentTask {
    const NAME: &'static str = "segment";
    /// The mean intersection over union on the test scenes, 0 to 1; and the model.
    type Output = (f64, Model);

    fn label(&self) -> String {
        self.label.clone()
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Self::Output> {
        let all = scenes::draw(rng::derive(self.seed, "scenes"), SCENES[0] + SCENES[1], SIDE, SHAPES);
        let (train, test) = all.split_at(SCENES[0]);
        let config = TrainConfig { epochs: self.epochs, batch: 16, rate: 0.01, ..TrainConfig::default() };
        let classes = scenes::CLASSES.len();
        let model = Model::init(segmenter(&self.net, self.lite)?, self.seed);
        let mut custom = Custom::new(model, &config, &ctx.device)?;
        let mut order: Vec<usize> = (0..train.len()).collect();
        let mut rng = Rng::stream(self.seed, "order");
        let steps = (train.len() / config.batch as usize) as u32;
        for epoch in 0..self.epochs {
            rng.shuffle(&mut order);
            let mut last = None;
            for (i, part) in order.chunks_exact(config.batch as usize).enumerate() {
                ctx.host.checkpoint().await?;
                let batch: Vec<&Scene> = part.iter().map(|i| &train[*i]).collect();
                let shape = [batch.len(), classes, SIDE, SIDE];
                let targets: Tensor<4> =
                    Tensor::from_data(TensorData::new(one_hot(&batch), shape), &ctx.device);
                let pixels = (batch.len() * SIDE * SIDE) as f32;
                let loss = |outputs: &[Value]| match outputs.first() {
                    Some(Value::R4(logits)) => {
                        Ok((log_softmax(logits.clone(), 1) * targets.clone()).sum().div_scalar(-pixels))
                    }
                    _ => Err(Error::Unsupported("a segmentation has an output of rank 4".into())),
                };
                let samples: Vec<&[f32]> = batch.iter().map(|s| s.pixels.as_slice()).collect();
                let rate = super::schedule::rate(&config, epoch * steps + i as u32, steps);
                last = Some(custom.step(&samples, rate, &loss)?);
            }
            if let Some(last) = last {
                let loss = Value::R1(last).to_host().await?.first().copied().unwrap_or(f32::NAN);
                if !loss.is_finite() {
                    return Err(Error::Numeric("the loss of the segmentation stopped being a number".into()));
                }
                let fraction = f64::from(epoch + 1) / f64::from(self.epochs);
                ctx.host.progress(JobProgress { fraction, values: vec![("loss".into(), loss.into())] });
            }
        }
        custom.refresh()?;
        let mut counts = vec![vec![0u64; classes]; classes];
        for part in test.chunks(50) {
            ctx.host.checkpoint().await?;
            let samples: Vec<&[f32]> = part.iter().map(|s| s.pixels.as_slice()).collect();
            let logits = custom.outputs(&samples).await?.swap_remove(0);
            for (scene, logits) in part.iter().zip(logits.chunks_exact(classes * SIDE * SIDE)) {
                for (i, truth) in scene.mask.iter().enumerate() {
                    let at = |c: usize| logits[c * SIDE * SIDE + i];
                    let answer = (0..classes).fold(0, |best, c| if at(c) > at(best) { c } else { best });
                    counts[usize::from(*truth)][answer] += 1;
                }
            }
        }
        Ok((mean_iou(&counts), custom.finish().await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Device, NullHost};
    use crate::params::Config;
    use crate::space::{Genome, mobile};
    use crate::train::tests::block_on;
    use std::collections::BTreeMap;

    fn run(task: SegmentTask) -> (f64, Model) {
        let data = BTreeMap::new();
        let ctx = JobCtx { data: &data, host: &NullHost, device: Device::flex() };
        block_on(task.run(&ctx)).unwrap()
    }

    fn net() -> Net {
        mobile::net(&Config::default(), &Genome(vec![0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1]))
    }

    #[test]
    fn intersection_over_union_by_hand() {
        // Class 0: 6 of 6 + 2 + 1; class 1: 3 of 3 + 1 + 2; class 2 is not there.
        let counts = vec![vec![6, 2, 0], vec![1, 3, 0], vec![0, 0, 0]];
        assert!((mean_iou(&counts) - (6.0 / 9.0 + 3.0 / 6.0) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_segmenter_learns_where_shapes_are() {
        let task = |epochs| SegmentTask { label: "t".into(), net: net(), lite: true, epochs, seed: 3 };
        let (untrained, _) = run(task(0));
        let (iou, model) = run(task(2));
        assert!(iou > untrained + 0.1, "{untrained} {iou}");
        assert_eq!(model.graph.analyze(2).unwrap().shapes[&model.graph.outputs[0]], [2, 4, SIDE, SIDE]);
        assert!(segmenter(&net(), false).unwrap().analyze(1).unwrap().total.params > 0);
    }
}
