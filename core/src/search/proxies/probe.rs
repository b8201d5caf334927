//! What every proxy looks at: a network with fresh weights, and one batch of real data.

use crate::data::Dataset;
use crate::model::{Graph, Model};
use crate::ops::{Forward, Value};
use crate::rng::Rng;
use crate::train::interpret::{Hook, NoHook, Plan, Shapes};
use crate::train::{Loss, evaluate, loss};
use crate::{Error, Result, map_value};
use burn::tensor::{Device, Tensor, TensorData};
use std::cell::RefCell;
use std::rc::Rc;

/// The sum of products, in f64.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The sum of absolute products, in f64.
pub fn saliency(weights: &[f32], gradient: &[f32]) -> f64 {
    weights.iter().zip(gradient).map(|(w, g)| (f64::from(*w) * f64::from(*g)).abs()).sum()
}

/// The Euclidean norm.
pub fn norm(values: &[f32]) -> f64 {
    dot(values, values).sqrt()
}

/// One value list for each parameter, in the order of [`Plan::params`].
type Lists = Vec<Vec<f32>>;

/// A network at its start, and a batch.
pub struct Probe {
    plan: Plan,
    shapes: Shapes,
    values: Lists,
    seed: u64,
    inputs: Vec<f32>,
    shape: Vec<usize>,
    labels: Vec<u32>,
    classes: usize,
    device: Device,
    gradients: RefCell<Option<Rc<Lists>>>,
}

impl Probe {
    /// Fresh weights and a batch of the training split, both from named substreams of `seed`. Where the split is
    /// smaller than `samples`, it is the batch.
    ///
    /// # Errors
    /// The graph cannot learn this data, or there are fewer than two samples to look at.
    pub fn new(graph: Graph, data: &Dataset, samples: usize, seed: u64, device: &Device) -> Result<Self> {
        evaluate::check(&graph, data)?;
        let mut order = data.train.clone();
        Rng::stream(seed, "proxy batch").shuffle(&mut order);
        order.truncate(samples);
        if order.len() < 2 {
            return Err(Error::Data {
                name: data.name.clone(),
                message: format!("a proxy compares at least two training samples; here are {}", order.len()),
            });
        }
        let (inputs, labels) = data.gather(&order);
        let plan = Plan::new(&graph)?;
        let shapes = plan.shapes(labels.len())?;
        let mut shape = vec![labels.len()];
        shape.extend(&data.shape);
        let model = Model::init(graph, seed);
        let values = plan.params().iter().map(|name| model.values(name)).collect();
        let (classes, device) = (data.classes.len(), device.clone());
        Ok(Self {
            plan,
            shapes,
            values,
            seed,
            inputs,
            shape,
            labels,
            classes,
            device,
            gradients: RefCell::default(),
        })
    }

    /// Another graph, with the first samples of the batch; parameters of the same name start the same.
    ///
    /// # Errors
    /// The graph is not sound.
    pub fn over(&self, graph: Graph, samples: usize) -> Result<Self> {
        let samples = samples.clamp(1, self.samples());
        let plan = Plan::new(&graph)?;
        let shapes = plan.shapes(samples)?;
        let model = Model::init(graph, self.seed);
        let mut shape = self.shape.clone();
        shape[0] = samples;
        Ok(Self {
            values: plan.params().iter().map(|name| model.values(name)).collect(),
            plan,
            shapes,
            seed: self.seed,
            inputs: self.inputs[..shape.iter().product()].to_vec(),
            shape,
            labels: self.labels[..samples].to_vec(),
            classes: self.classes,
            device: self.device.clone(),
            gradients: RefCell::default(),
        })
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        self.plan.graph()
    }

    /// Multiply-accumulates of one sample.
    pub fn macs(&self) -> u64 {
        self.plan.macs()
    }

    /// Samples in the batch; at least two, but for [`Probe::over`].
    pub fn samples(&self) -> usize {
        self.labels.len()
    }

    /// Where tensors live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The values of every parameter, in the order of [`Plan::params`].
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }

    /// Changes every value of every parameter.
    pub fn change(&mut self, by: impl Fn(f32) -> f32) {
        self.values.iter_mut().flatten().for_each(|v| *v = by(*v));
        self.gradients.take();
    }

    /// The indices of the parameters that are weights: trainable, with two axes or more.
    pub fn weights(&self) -> impl Iterator<Item = usize> {
        let params = self.plan.params().iter().zip(self.plan.trainable()).enumerate();
        let matrix = |name: &str| self.graph().params.get(name).is_some_and(|p| p.shape.len() > 1);
        params.filter(move |(_, (name, trainable))| **trainable && matrix(name)).map(|(i, _)| i)
    }

    fn upload(&self, values: &[Vec<f32>]) -> Result<Vec<Value>> {
        let shape = |name: &String| self.graph().params.get(name).map_or(&[][..], |p| p.shape.as_slice());
        let params = self.plan.params().iter().zip(values);
        params.map(|(name, v)| Value::from_host(v.clone(), shape(name), &self.device)).collect()
    }

    /// The parameters on the device, without autodiff.
    ///
    /// # Errors
    /// A parameter's rank is above 5.
    pub fn params(&self) -> Result<Vec<Value>> {
        self.upload(&self.values)
    }

    /// Parameters of these values on the device; the weights among them are leaves whose gradients are kept.
    ///
    /// # Errors
    /// A parameter's rank is above 5.
    pub fn leaves(&self, values: &[Vec<f32>]) -> Result<Vec<Value>> {
        let mut params = self.upload(values)?;
        for i in self.weights() {
            params[i] = map_value!(params[i].clone(), t => t.autodiff().require_grad());
        }
        Ok(params)
    }

    /// The batch on the device, `[samples, ...shape]`.
    ///
    /// # Errors
    /// The data's rank is above 5.
    pub fn input(&self) -> Result<Value> {
        Value::from_host(self.inputs.clone(), &self.shape, &self.device)
    }

    /// The logits, `[samples, classes]`, with batch norms as in training.
    ///
    /// # Errors
    /// What an operator or the hook cannot do, or the output is no matrix.
    pub fn logits(&self, params: &[Value], input: Value, hook: &dyn Hook) -> Result<Tensor<2>> {
        let mut ctx = Forward { training: true, ..Forward::default() };
        let outputs = self.plan.forward(params, input, &self.shapes, &mut ctx, hook)?;
        outputs.first().and_then(Value::r2).ok_or_else(|| Error::Graph {
            graph: self.graph().name.clone(),
            message: "its output is no matrix of samples by classes".into(),
        })
    }

    /// The mean cross-entropy of the batch, `[1]`.
    pub fn loss(&self, logits: Tensor<2>) -> Tensor<1> {
        let targets = loss::targets(&self.labels, self.classes, 0.0);
        let targets = TensorData::new(targets, [self.labels.len(), self.classes]);
        loss::loss(Loss::CrossEntropy, logits, Tensor::from_data(targets, &self.device))
    }

    /// The gradients of a number, `[1]`, by leaves of [`Probe::leaves`]; empty for what is no leaf, zeros for a weight
    /// that it does not depend on.
    ///
    /// # Errors
    /// The device failed.
    pub async fn read(&self, leaves: &[Value], total: Tensor<1>) -> Result<Vec<Vec<f32>>> {
        let mut read = vec![Vec::new(); leaves.len()];
        for i in self.weights() {
            read[i] = vec![0.0; self.values[i].len()];
        }
        if !total.is_tracked() {
            return Ok(read);
        }
        let gradients = total.backward();
        for i in self.weights() {
            if let Some(gradient) = leaves[i].gradient(&gradients) {
                read[i] = gradient.to_host().await?;
            }
        }
        Ok(read)
    }

    /// The gradients of the batch's loss by the weights, at other values of the parameters.
    ///
    /// # Errors
    /// What an operator cannot do, or the device failed.
    pub async fn gradients_at(&self, values: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
        let leaves = self.leaves(values)?;
        let logits = self.logits(&leaves, self.input()?, &NoHook)?;
        self.read(&leaves, self.loss(logits)).await
    }

    /// The gradients of the batch's loss by the weights, in the order of [`Probe::values`]; empty for what is no
    /// weight. Computed once.
    ///
    /// # Errors
    /// As [`Probe::gradients_at`].
    pub async fn gradients(&self) -> Result<Rc<Vec<Vec<f32>>>> {
        if let Some(known) = self.gradients.borrow().clone() {
            return Ok(known);
        }
        let gradients = Rc::new(self.gradients_at(&self.values).await?);
        self.gradients.replace(Some(gradients.clone()));
        Ok(gradients)
    }
}
