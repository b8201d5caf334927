//! The training loop.

use super::batches::Batches;
use super::evaluate::{Passes, check, judge, upload};
use super::fake_quant::{self, FakeQuant};
use super::interpret::{Callback, Held, Hook, Moment, NoHook, Passed, Plan, Shapes};
use super::optimize::Flat;
use super::{Epoch, Start, TrainConfig, TrainTask, Trained, loss, schedule};
use crate::data::{Dataset, Split};
use crate::job::{Host, JobCtx, Task};
use crate::model::{Model, Storage};
use crate::ops::{Forward, Value};
use crate::protocol::JobProgress;
use crate::{Error, Result, map_value};
use burn::tensor::{Device, Tensor, TensorData};

impl Task for TrainTask {
    const NAME: &'static str = "train";
    type Output = Trained;

    fn label(&self) -> String {
        self.label.clone()
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Trained> {
        self.run_with(ctx, &mut NoHook).await
    }
}

impl TrainTask {
    /// Trains with what a method adds to the loop.
    ///
    /// # Errors
    /// A configuration, data set, graph or weight that does not fit; a loss that stops being a
    /// number; whatever the method's callback refuses.
    pub async fn run_with(self, ctx: &JobCtx<'_>, method: &mut dyn Callback) -> Result<Trained> {
        let data = ctx.dataset(&self.data)?;
        self.config.check()?;
        let graph = match &self.start {
            Start::Fresh(graph) => graph,
            Start::Model(model) => &model.graph,
        };
        check(graph, &data)?;
        let model = match self.start {
            Start::Fresh(graph) => Model::init(graph, self.seed),
            Start::Model(model) => *model,
        };
        model.check()?;
        let model = if self.config.quantize.is_some() { fake_quant::prepare(&model)? } else { model };
        let mut trainer = Trainer::new(model, &data, &self.config, &ctx.device, ctx.host)?;
        method.begin(&trainer.plan)?;
        let history = trainer.fit(self.seed, method).await?;
        trainer.finish(history, self.test, method).await
    }
}

pub(super) struct Trainer<'a> {
    pub(super) plan: Plan,
    model: Model,
    data: &'a Dataset,
    config: &'a TrainConfig,
    device: &'a Device,
    host: &'a dyn Host,
    /// Trainable parameters; `None` where the graph has none.
    flat: Option<Flat>,
    /// Every parameter as the forward pass takes it, without autodiff. The trainable ones are
    /// only current after [`Trainer::refresh`].
    params: Vec<Value>,
    fake: Option<FakeQuant>,
    macs: u64,
}

/// One hook after the other.
struct Both<'a>(&'a dyn Callback, &'a dyn Hook);

impl Hook for Both<'_> {
    fn weight(&self, index: usize, value: Value) -> Result<Value> {
        self.1.weight(index, self.0.weight(index, value)?)
    }
    fn activation(&self, name: &str, value: Value) -> Result<Value> {
        self.1.activation(name, self.0.activation(name, value)?)
    }
}

/// What early stopping goes back to.
struct Best {
    loss: f32,
    epoch: usize,
    values: Option<Tensor<1>>,
    /// Running statistics and other parameters that are not trained by gradients.
    params: Vec<Value>,
}

impl<'a> Trainer<'a> {
    pub(super) fn new(
        model: Model,
        data: &'a Dataset,
        config: &'a TrainConfig,
        device: &'a Device,
        host: &'a dyn Host,
    ) -> Result<Self> {
        let plan = Plan::new(&model.graph)?;
        let params = plan.upload(&model, device)?;
        let flat = Flat::of(&model, &plan, device);
        let fake = match config.quantize {
            Some(scheme) => Some(FakeQuant::new(&model, plan.params(), data, scheme)?),
            None => None,
        };
        Ok(Self { plan, model, data, config, device, host, flat, params, fake, macs: 0 })
    }

    /// What stands in every forward pass: the method first, then fake quantization.
    fn hook<'b>(&'b self, method: &'b dyn Callback) -> Both<'b> {
        Both(method, self.fake.as_ref().map_or(&NoHook, |fake| fake))
    }

    /// Calibrates fake quantization with the weights as they are now.
    async fn calibrate(&mut self) -> Result<()> {
        if self.fake.is_none() {
            return Ok(());
        }
        self.download().await?;
        match &mut self.fake {
            Some(fake) => fake.calibrate(&self.model),
            None => Ok(()),
        }
    }

    /// Reads every parameter back into the model.
    pub(super) async fn download(&mut self) -> Result<()> {
        self.refresh()?;
        for (name, value) in self.plan.params().iter().zip(&self.params) {
            let values = value.to_host().await?;
            if let Some(weight) = self.model.weights.get_mut(name) {
                weight.storage = Storage::F32(values);
            }
        }
        Ok(())
    }

    /// Trains for the configured epochs; leaves the weights that count in place.
    async fn fit(&mut self, seed: u64, method: &mut dyn Callback) -> Result<Vec<Epoch>> {
        let mut batches = Batches::new(self.data, self.config.batch, self.config.shift, seed);
        let shapes = self.plan.shapes(batches.size())?;
        let mut history: Vec<Epoch> = Vec::new();
        let mut best: Option<Best> = None;
        let steps = self.config.epochs * batches.per_epoch() as u32;
        for epoch in 0..self.config.epochs {
            self.calibrate().await?;
            let (train_loss, train_accuracy) = self.epoch(epoch, &mut batches, &shapes, method).await?;
            if epoch + 1 == self.config.epochs {
                self.edit(Moment { step: steps, steps }, method).await?;
            }
            self.refresh()?;
            let (val_loss, val_accuracy) = self.validate(Split::Validation, method).await?;
            if !val_loss.is_finite() {
                return Err(self.not_a_number(epoch, batches.per_epoch(), batches.per_epoch()));
            }
            history.push(Epoch { train_loss, train_accuracy, val_loss, val_accuracy });
            self.report(epoch, &history);
            if self.config.patience > 0 {
                let better = best.as_ref().is_none_or(|b| val_loss < b.loss);
                if better {
                    best = Some(Best {
                        loss: val_loss,
                        epoch: history.len(),
                        values: self.flat.as_ref().map(Flat::snapshot),
                        params: self.params.clone(),
                    });
                } else if best
                    .as_ref()
                    .is_some_and(|b| history.len() - b.epoch >= self.config.patience as usize)
                {
                    break;
                }
            }
        }
        if let Some(best) = best {
            self.params = best.params;
            if let (Some(flat), Some(values)) = (&mut self.flat, best.values) {
                flat.restore(values);
            }
        }
        if self.config.recalibrate > 0 {
            self.recalibrate(&mut batches, &shapes, method).await?;
        }
        Ok(history)
    }

    /// One pass over the training split: mean loss and accuracy over its steps, both without
    /// smoothing, so that they compare with the validation's.
    async fn epoch(
        &mut self,
        epoch: u32,
        batches: &mut Batches<'_>,
        shapes: &Shapes,
        method: &mut dyn Callback,
    ) -> Result<(f32, f32)> {
        batches.shuffle();
        let steps = batches.per_epoch();
        let classes = self.data.classes.len();
        // Read back together at the end: on a GPU each read waits for the device.
        let (mut outputs, mut truths) = (Vec::with_capacity(steps), Vec::new());
        for i in 0..steps {
            self.host.checkpoint().await?;
            let step = epoch * steps as u32 + i as u32;
            self.edit(Moment { step, steps: self.config.epochs * steps as u32 }, method).await?;
            let (inputs, labels) = batches.get(i);
            let rate = schedule::rate(self.config, step, steps as u32);
            outputs.push(self.step(inputs, &labels, shapes, rate, method)?);
            truths.extend(labels);
        }
        let all = Value::R2(Tensor::cat(outputs, 0)).to_host().await?;
        let per_step = shapes.batch * classes;
        for (i, (logits, labels)) in
            all.chunks_exact(per_step).zip(truths.chunks_exact(shapes.batch)).enumerate()
        {
            if !loss::tally(self.config.loss, logits, labels, classes).0.is_finite() {
                return Err(self.not_a_number(epoch, i, steps));
            }
        }
        let (sum, right) = loss::tally(self.config.loss, &all, &truths, classes);
        let count = truths.len().max(1) as f64;
        Ok(((sum / count) as f32, (right as f64 / count) as f32))
    }

    /// Lets the method change weights and masks, where it wants to.
    async fn edit(&mut self, at: Moment, method: &mut dyn Callback) -> Result<()> {
        let Some(flat) = self.flat.as_mut().filter(|_| method.due(at)) else { return Ok(()) };
        let names = self.plan.params().iter().zip(self.plan.trainable()).filter(|(_, t)| **t);
        let names: Vec<&String> = names.map(|(name, _)| name).collect();
        let mut held: Vec<Held> = Vec::with_capacity(names.len());
        for (name, values) in names.into_iter().zip(flat.to_host().await?) {
            let Some(weight) = self.model.weights.get(name) else { continue };
            let keep = weight.mask.is_some().then(|| (0..weight.len()).map(|i| weight.kept(i)).collect());
            held.push(Held { name: name.clone(), shape: weight.shape.clone(), values, keep });
        }
        let lengths: Vec<usize> = held.iter().map(|h| h.values.len()).collect();
        method.edit(at, &mut held)?;
        for (h, length) in held.iter().zip(lengths) {
            if h.values.len() != length || h.keep.as_ref().is_some_and(|k| k.len() != length) {
                return Err(Error::Unsupported(format!(
                    "the weight “{}” changed its size in training",
                    h.name
                )));
            }
        }
        flat.replace(&held, self.device);
        for h in held {
            if let Some(weight) = self.model.weights.get_mut(&h.name) {
                weight.mask = h.keep.map(|keep| crate::prune::pack_mask(&keep));
            }
        }
        Ok(())
    }

    /// One step; gives the logits it was taken on.
    pub(super) fn step(
        &mut self,
        inputs: Vec<f32>,
        labels: &[u32],
        shapes: &Shapes,
        rate: f32,
        method: &dyn Callback,
    ) -> Result<Tensor<2>> {
        let classes = self.data.classes.len();
        let input = upload(inputs, labels.len(), self.data, self.device)?;
        let leaves = self.flat.as_ref().map_or(Ok(Vec::new()), Flat::leaves)?;
        let mut next = leaves.iter();
        let params: Vec<Value> = self
            .params
            .iter()
            .zip(self.plan.trainable())
            .map(|(fixed, trainable)| match trainable {
                true => next.next().unwrap_or(fixed).clone(),
                false => fixed.clone(),
            })
            .collect();
        let mut ctx = Forward { training: true, ..Forward::default() };
        let outputs = self.plan.forward(&params, input.clone(), shapes, &mut ctx, &self.hook(method))?;
        let logits = logits(&self.plan, &outputs)?;
        let extra = method.objective(&Passed { input: &input, params: &params, outputs: &outputs })?;
        drop((params, outputs, input));
        let seen = logits.clone().inner();
        if let Some(flat) = &mut self.flat {
            let targets = loss::targets(labels, classes, self.config.label_smoothing);
            let targets =
                Tensor::<2>::from_data(TensorData::new(targets, [labels.len(), classes]), self.device);
            let loss = loss::loss(self.config.loss, logits, targets);
            let loss = match extra {
                Some(extra) => loss + extra,
                None => loss,
            };
            // Without a path from a trainable parameter to the output there is nothing to learn.
            if loss.is_tracked() {
                flat.step(&leaves, loss.backward(), self.config, rate);
            }
        }
        self.absorb(ctx);
        self.macs += 3 * shapes.batch as u64 * self.plan.macs();
        Ok(seen)
    }

    /// Takes over new running statistics.
    fn absorb(&mut self, ctx: Forward) {
        for (name, value) in ctx.statistics {
            if let Ok(i) = self.plan.params().binary_search(&name) {
                self.params[i] = map_value!(value, t => t.inner());
            }
        }
    }

    /// Brings the trainable parameters in `params` up to date.
    fn refresh(&mut self) -> Result<()> {
        let Some(flat) = &self.flat else { return Ok(()) };
        let mut tensors = flat.tensors()?.into_iter();
        for (param, _) in self.params.iter_mut().zip(self.plan.trainable()).filter(|(_, t)| **t) {
            if let Some(value) = tensors.next() {
                *param = value;
            }
        }
        Ok(())
    }

    /// Loss (as configured) and accuracy on a split.
    async fn validate(&self, split: Split, method: &dyn Callback) -> Result<(f32, f32)> {
        let indices = self.data.split(split);
        let mut passes = Passes::new(&self.plan, self.device, self.host);
        let logits = passes.logits(&self.params, self.data, indices, &self.hook(method)).await?;
        let evaluation = judge(self.data, indices, &logits);
        let labels: Vec<u32> = indices.iter().map(|i| self.data.labels[*i as usize]).collect();
        let (sum, _) = loss::tally(self.config.loss, &logits, &labels, self.data.classes.len());
        Ok(((sum / indices.len().max(1) as f64) as f32, evaluation.accuracy))
    }

    /// Takes the batch-norm statistics anew, as plain means over some batches ("precise batch
    /// norm": Wu and Johnson, "Rethinking Batch in BatchNorm", 2021, arXiv:2105.07576).
    async fn recalibrate(
        &mut self,
        batches: &mut Batches<'_>,
        shapes: &Shapes,
        method: &dyn Callback,
    ) -> Result<()> {
        self.refresh()?;
        // A pass leaves momentum · old + (1 − momentum) · batch; from old = 0, the batch's own
        // statistics follow by dividing.
        let mut shares: Vec<(usize, f32)> = Vec::new();
        for node in self.plan.graph().nodes.iter().filter(|n| n.op == "BatchNormalization") {
            let share = 1.0 - node.float("momentum", 0.9);
            for name in node.inputs.iter().skip(3) {
                if let Ok(i) = self.plan.params().binary_search(name) {
                    shares.push((i, share));
                }
            }
        }
        if shares.iter().any(|(_, share)| *share <= 0.0) {
            return Ok(());
        }
        let zeros = |value: &Value| map_value!(value.clone(), t => t.zeros_like());
        let mut sums: Vec<Value> = shares.iter().map(|(i, _)| zeros(&self.params[*i])).collect();
        batches.shuffle();
        let count = (self.config.recalibrate as usize).min(batches.per_epoch());
        for batch in 0..count {
            self.host.checkpoint().await?;
            let mut params = self.params.clone();
            shares.iter().for_each(|(i, _)| params[*i] = zeros(&self.params[*i]));
            let (inputs, labels) = batches.get(batch);
            let input = upload(inputs, labels.len(), self.data, self.device)?;
            let mut ctx = Forward { training: true, ..Forward::default() };
            self.plan.forward(&params, input, shapes, &mut ctx, &self.hook(method))?;
            for ((i, share), sum) in shares.iter().zip(&mut sums) {
                if let Some(Value::R1(seen)) = ctx.statistics.remove(&self.plan.params()[*i])
                    && let Value::R1(old) = sum
                {
                    *sum = Value::R1(old.clone() + seen.inner().div_scalar(share * count as f32));
                }
            }
        }
        for ((i, _), sum) in shares.iter().zip(sums) {
            self.params[*i] = sum;
        }
        Ok(())
    }

    async fn finish(mut self, history: Vec<Epoch>, test: bool, method: &dyn Callback) -> Result<Trained> {
        self.download().await?;
        self.calibrate().await?;
        // The last epoch judged these very weights, unless something has changed them since.
        let judged = self.config.patience == 0 && self.config.recalibrate == 0 && self.fake.is_none();
        let (val_loss, val_accuracy) = match history.last().filter(|_| judged) {
            Some(last) => (last.val_loss, last.val_accuracy),
            None => self.validate(Split::Validation, method).await?,
        };
        let test_accuracy = if test { Some(self.validate(Split::Test, method).await?.1) } else { None };
        let mut model = self.model;
        // Grids of activations belonged to the weights that were.
        model.activations.clear();
        Ok(Trained { model, history, val_loss, val_accuracy, test_accuracy, macs: self.macs })
    }

    fn report(&self, epoch: u32, history: &[Epoch]) {
        let Some(last) = history.last() else { return };
        let value = |name: &str, v: f32| (name.to_owned(), f64::from(v));
        self.host.progress(JobProgress {
            fraction: f64::from(epoch + 1) / f64::from(self.config.epochs.max(1)),
            values: vec![
                ("epoch".into(), f64::from(epoch + 1)),
                value("train loss", last.train_loss),
                value("val loss", last.val_loss),
                value("val accuracy", last.val_accuracy),
            ],
        });
    }

    fn not_a_number(&self, epoch: u32, step: usize, steps: usize) -> Error {
        Error::Numeric(format!(
            "the loss of “{}” stopped being a number in epoch {}, step {} of {steps}; a learning rate below {} usually helps",
            self.plan.graph().name,
            epoch + 1,
            (step + 1).min(steps),
            self.config.rate
        ))
    }
}

fn logits(plan: &Plan, outputs: &[Value]) -> Result<Tensor<2>> {
    outputs.first().and_then(Value::r2).ok_or_else(|| Error::Graph {
        graph: plan.graph().name.clone(),
        message: "its output is not of rank 2 (batch, classes)".into(),
    })
}
