//! Training on losses that are not of classes: a graph, its optimizer, and whatever loss a method makes of the
//! graph's outputs. For segmentation and detection, whose labels are more than a class for each sample.

use super::TrainConfig;
use super::interpret::{NoHook, Plan, Shapes};
use super::optimize::Flat;
use crate::model::{Model, Storage};
use crate::ops::{Forward, Value};
use crate::{Result, map_value};
use burn::tensor::{Device, Tensor};
use std::collections::BTreeMap;

/// A model in training.
pub struct Custom<'a> {
    plan: Plan,
    model: Model,
    config: &'a TrainConfig,
    device: &'a Device,
    /// Trainable parameters; `None` where the graph has none.
    flat: Option<Flat>,
    /// Every parameter as the forward pass takes it. The trainable ones are current after
    /// [`Custom::refresh`].
    params: Vec<Value>,
    shapes: BTreeMap<usize, Shapes>,
    /// MACs spent: forward MACs × samples × 3.
    pub macs: u64,
}

impl<'a> Custom<'a> {
    /// A model on a device. Of the configuration, optimizer and weight decay apply.
    ///
    /// # Errors
    /// The model is not sound.
    pub fn new(model: Model, config: &'a TrainConfig, device: &'a Device) -> Result<Self> {
        config.check()?;
        model.check()?;
        let plan = Plan::new(&model.graph)?;
        let params = plan.upload(&model, device)?;
        let flat = Flat::of(&model, &plan, device);
        Ok(Self { plan, model, config, device, flat, params, shapes: BTreeMap::new(), macs: 0 })
    }

    /// The graph, made ready to run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Every parameter in the order of [`Plan::params`], as [`Custom::refresh`] left it.
    pub fn params(&self) -> &[Value] {
        &self.params
    }

    /// Some samples, one after the other, as the graph's input.
    fn input(&mut self, samples: &[&[f32]]) -> Result<Value> {
        if !self.shapes.contains_key(&samples.len()) {
            self.shapes.insert(samples.len(), self.plan.shapes(samples.len())?);
        }
        let mut shape = vec![samples.len()];
        shape.extend(self.plan.input_shape().unwrap_or_default());
        Value::from_host(samples.concat(), &shape, self.device)
    }

    /// One step down the gradient of `loss`, which is made of the graph's outputs; gives its value.
    ///
    /// # Errors
    /// The samples do not fit, or the loss cannot be made.
    pub fn step(
        &mut self,
        samples: &[&[f32]],
        rate: f32,
        loss: &dyn Fn(&[Value]) -> Result<Tensor<1>>,
    ) -> Result<Tensor<1>> {
        let input = self.input(samples)?;
        let leaves = self.flat.as_ref().map_or(Ok(Vec::new()), Flat::leaves)?;
        let mut next = leaves.iter();
        let params =
            self.params.iter().zip(self.plan.trainable()).map(|(fixed, trainable)| match trainable {
                true => next.next().unwrap_or(fixed).clone(),
                false => fixed.clone(),
            });
        let params: Vec<Value> = params.collect();
        let mut ctx = Forward { training: true, ..Forward::default() };
        let Some(shapes) = self.shapes.get(&samples.len()) else {
            return Ok(Tensor::zeros([1], self.device));
        };
        let outputs = self.plan.forward(&params, input, shapes, &mut ctx, &NoHook)?;
        drop(params);
        let loss = loss(&outputs)?;
        let told = loss.clone().inner();
        if let Some(flat) = self.flat.as_mut().filter(|_| loss.is_tracked()) {
            flat.step(&leaves, loss.backward(), self.config, rate);
        }
        for (name, value) in ctx.statistics {
            if let Ok(i) = self.plan.params().binary_search(&name) {
                self.params[i] = map_value!(value, t => t.inner());
            }
        }
        self.macs += 3 * samples.len() as u64 * self.plan.macs();
        Ok(told)
    }

    /// Brings the trainable parameters up to date for [`Custom::outputs`].
    ///
    /// # Errors
    /// A parameter's rank is above 5.
    pub fn refresh(&mut self) -> Result<()> {
        let Some(flat) = &self.flat else { return Ok(()) };
        let mut tensors = flat.tensors()?.into_iter();
        for (param, _) in self.params.iter_mut().zip(self.plan.trainable()).filter(|(_, t)| **t) {
            if let Some(value) = tensors.next() {
                *param = value;
            }
        }
        Ok(())
    }

    /// The graph's outputs on some samples, with running statistics; each row-major, batch first.
    ///
    /// # Errors
    /// The samples do not fit.
    pub async fn outputs(&mut self, samples: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let input = self.input(samples)?;
        let Some(shapes) = self.shapes.get(&samples.len()) else { return Ok(Vec::new()) };
        let outputs = self.plan.forward(&self.params, input, shapes, &mut Forward::default(), &NoHook)?;
        let mut host = Vec::with_capacity(outputs.len());
        for output in &outputs {
            host.push(output.to_host().await?);
        }
        Ok(host)
    }

    /// The model with the weights that it has now.
    ///
    /// # Errors
    /// The device failed.
    pub async fn finish(mut self) -> Result<Model> {
        self.refresh()?;
        for (name, value) in self.plan.params().iter().zip(&self.params) {
            let values = value.to_host().await?;
            if let Some(weight) = self.model.weights.get_mut(name) {
                weight.storage = Storage::F32(values);
            }
        }
        Ok(self.model)
    }
}
