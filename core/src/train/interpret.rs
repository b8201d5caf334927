//! A graph as a forward pass on Burn tensors: names are resolved to slots once, a step then only
//! indexes.

use crate::engine::table;
use crate::model::{Dim, Graph, Model, Node};
use crate::ops::{self, Call, Forward, Operator, Value};
use crate::{Error, Result};
use burn::tensor::{Device, Tensor};
use std::collections::BTreeMap;

/// What may look at, and replace, values on their way: fake quantization and calibration.
pub trait Hook {
    /// A parameter before it is used; `index` is its place in [`Plan::params`].
    ///
    /// # Errors
    /// What cannot be done with it.
    fn weight(&self, index: usize, value: Value) -> Result<Value> {
        let _ = index;
        Ok(value)
    }

    /// An activation just made (or the input), by its tensor name.
    ///
    /// # Errors
    /// What cannot be done with it.
    fn activation(&self, name: &str, value: Value) -> Result<Value> {
        let _ = name;
        Ok(value)
    }
}

/// The hook that does nothing.
pub struct NoHook;
impl Hook for NoHook {}

/// A training step's place in the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Steps taken so far.
    pub step: u32,
    /// Steps in all, when training is not stopped early.
    pub steps: u32,
}

/// A trainable parameter on the host, open to changes between steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Its name in the graph.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
    /// Which values training may change, where a mask is in force; the others are set to zero and
    /// stay there.
    pub keep: Option<Vec<bool>>,
}

/// What a training step has computed when its loss is taken.
pub struct Passed<'a> {
    /// The input it was taken on, shifted where images are.
    pub input: &'a Value,
    /// Every parameter in the order of [`Plan::params`]; the trainable ones are on the tape.
    pub params: &'a [Value],
    /// The graph's outputs, on the tape.
    pub outputs: &'a [Value],
}

/// What a method adds to the training loop. As a [`Hook`] it stands in every forward pass, of
/// training and of validation alike; between steps it may change weights and masks on the host.
pub trait Callback: Hook {
    /// Before anything else: the place to resolve names to the indices of [`Hook::weight`].
    ///
    /// # Errors
    /// The graph is not one that the method can train.
    fn begin(&mut self, plan: &Plan) -> Result<()> {
        let _ = plan;
        Ok(())
    }

    /// What is added to the loss of a training step, `[1]`: a penalty on parameters, the distance to a
    /// teacher. The curves show the loss without it.
    ///
    /// # Errors
    /// What cannot be done with them.
    fn objective(&self, passed: &Passed<'_>) -> Result<Option<Tensor<1>>> {
        let _ = passed;
        Ok(None)
    }

    /// Whether [`Callback::edit`] is wanted before the step at this moment. It is also asked after
    /// the last step (`step == steps`). Each edit reads all weights back: ask for few.
    fn due(&self, at: Moment) -> bool {
        let _ = at;
        false
    }

    /// Changes values and masks of the trainable parameters (in the order of their names). The
    /// optimizer's moments stay as they are.
    ///
    /// # Errors
    /// What cannot be done with them.
    fn edit(&mut self, at: Moment, weights: &mut [Held]) -> Result<()> {
        let _ = (at, weights);
        Ok(())
    }
}

impl Callback for NoHook {}

struct Step {
    node: Node,
    op: &'static dyn Operator,
    inputs: Vec<Option<Source>>,
    outputs: Vec<Option<usize>>,
}

#[derive(Clone, Copy)]
struct Source {
    slot: usize,
    /// Whether nobody reads the slot after this: the value is moved, so that memory is freed and
    /// Burn may work in place.
    last: bool,
}

/// A graph made ready to run.
pub struct Plan {
    graph: Graph,
    steps: Vec<Step>,
    params: Vec<String>,
    trainable: Vec<bool>,
    slots: BTreeMap<String, usize>,
    outputs: Vec<usize>,
    macs: u64,
}

/// Every tensor's shape at one batch size, by slot.
pub struct Shapes {
    /// The batch size.
    pub batch: usize,
    slots: Vec<Vec<usize>>,
}

impl Plan {
    /// Resolves the graph's names.
    ///
    /// # Errors
    /// The graph is not sound, or has other than one input.
    pub fn new(graph: &Graph) -> Result<Self> {
        let analysis = graph.analyze(1)?;
        if let Some((name, shape)) = analysis.shapes.iter().find(|(_, shape)| shape.contains(&0)) {
            return Err(Error::Graph {
                graph: graph.name.clone(),
                message: format!(
                    "the tensor “{name}” of shape {shape:?} has no values, and cannot be trained through"
                ),
            });
        }
        let macs = analysis.total.macs;
        let [input] = graph.inputs.as_slice() else {
            return Err(Error::Graph {
                graph: graph.name.clone(),
                message: format!("training takes graphs of one input; this one has {}", graph.inputs.len()),
            });
        };
        let params: Vec<String> = graph.params.keys().cloned().collect();
        let mut slots: BTreeMap<String, usize> =
            params.iter().cloned().enumerate().map(|(i, name)| (name, i)).collect();
        let mut slot = |name: &str| {
            let next = slots.len();
            *slots.entry(name.to_owned()).or_insert(next)
        };
        slot(&input.name);
        let mut steps = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let op =
                ops::get(&node.op).ok_or_else(|| Error::shape(node, "this operator is not known here"))?;
            let mut named = |names: &[String]| -> Vec<Option<usize>> {
                names.iter().map(|n| (!n.is_empty()).then(|| slot(n))).collect()
            };
            let inputs = named(&node.inputs);
            let outputs = named(&node.outputs);
            let inputs = inputs.into_iter().map(|s| s.map(|slot| Source { slot, last: false })).collect();
            steps.push(Step { node: node.clone(), op, inputs, outputs });
        }
        let outputs: Vec<usize> = graph.outputs.iter().map(|n| slot(n)).collect();
        let trainable = graph.params.values().map(|p| p.trainable).collect();
        // Backwards: the first reader met is the last one to run.
        let mut read = vec![false; slots.len()];
        (0..params.len()).chain(outputs.iter().copied()).for_each(|i| read[i] = true);
        for step in steps.iter_mut().rev() {
            for source in step.inputs.iter_mut().rev().flatten() {
                source.last = !std::mem::replace(&mut read[source.slot], true);
            }
        }
        Ok(Self { graph: graph.clone(), steps, params, trainable, slots, outputs, macs })
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Multiply-accumulates of a forward pass of one sample.
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// Names of the parameters (sorted), in the order in which [`Plan::forward`] takes them.
    pub fn params(&self) -> &[String] {
        &self.params
    }

    /// Whether each parameter is trained by gradients.
    pub fn trainable(&self) -> &[bool] {
        &self.trainable
    }

    /// Uploads a model's weights, in order.
    ///
    /// # Errors
    /// A weight is missing or of a rank that Burn tensors do not have here.
    pub fn upload(&self, model: &Model, device: &Device) -> Result<Vec<Value>> {
        let weight = |name: &String| {
            let weight = model.weights.get(name).ok_or_else(|| Error::Graph {
                graph: self.graph.name.clone(),
                message: format!("the weight “{name}” is missing"),
            })?;
            Value::from_host(weight.to_f32(), &weight.shape, device)
        };
        self.params.iter().map(weight).collect()
    }

    /// Shapes at a batch size. One computation serves every step of that size.
    ///
    /// # Errors
    /// The graph does not work at this batch size.
    pub fn shapes(&self, batch: usize) -> Result<Shapes> {
        let mut analysis = self.graph.analyze(batch)?;
        let mut slots = vec![Vec::new(); self.slots.len()];
        for (name, slot) in &self.slots {
            slots[*slot] = analysis.shapes.remove(name).unwrap_or_default();
        }
        Ok(Shapes { batch, slots })
    }

    /// The shape of one input sample, and whether the first axis is the batch.
    pub fn input_shape(&self) -> Option<Vec<usize>> {
        let (first, rest) = self.graph.inputs.first()?.shape.split_first()?;
        let fixed = |d: &Dim| if let Dim::Fixed(n) = d { Some(*n) } else { None };
        (*first == Dim::Batch).then(|| rest.iter().map(fixed).collect())?
    }

    /// Runs the graph: the input, of shape `[batch, ...]`, gives the outputs. `params` are in the
    /// order of [`Plan::params`].
    ///
    /// # Errors
    /// What an operator cannot do, naming the node.
    pub fn forward(
        &self,
        params: &[Value],
        input: Value,
        shapes: &Shapes,
        ctx: &mut Forward,
        hook: &dyn Hook,
    ) -> Result<Vec<Value>> {
        let mut values: Vec<Option<Value>> = vec![None; self.slots.len()];
        for (i, value) in params.iter().enumerate() {
            values[i] = Some(hook.weight(i, value.clone())?);
        }
        let Some(port) = self.graph.inputs.first() else { return Ok(Vec::new()) };
        values[self.params.len()] = Some(hook.activation(&port.name, input)?);
        for (i, step) in self.steps.iter().enumerate() {
            let inputs: Vec<Option<Value>> = step
                .inputs
                .iter()
                .map(|source| {
                    let source = (*source)?;
                    if source.last { values[source.slot].take() } else { values[source.slot].clone() }
                })
                .collect();
            let made = self.run_step(i, &inputs, shapes, ctx)?;
            drop(inputs);
            for ((slot, name), value) in step.outputs.iter().zip(&step.node.outputs).zip(made) {
                if let Some(slot) = slot {
                    values[*slot] = Some(hook.activation(name, value)?);
                }
            }
        }
        self.outputs
            .iter()
            .zip(&self.graph.outputs)
            .map(|(slot, name)| {
                values[*slot].clone().ok_or_else(|| Error::Graph {
                    graph: self.graph.name.clone(),
                    message: format!("its output “{name}” is made by nothing"),
                })
            })
            .collect()
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs one node, by its place, on its inputs.
    ///
    /// # Errors
    /// What the operator cannot do.
    pub fn run_step(
        &self,
        index: usize,
        inputs: &[Option<Value>],
        shapes: &Shapes,
        ctx: &mut Forward,
    ) -> Result<Vec<Value>> {
        let step = &self.steps[index];
        let [ins, outs] = Self::step_shapes(step, shapes);
        step.op.forward(&Call { node: &step.node, inputs: &ins, outputs: &outs }, inputs, ctx)
    }

    fn step_shapes<'s>(step: &Step, shapes: &'s Shapes) -> [Vec<&'s [usize]>; 2] {
        let shape = |slot: Option<usize>| slot.map_or(&[][..], |s| shapes.slots[s].as_slice());
        let inputs = step.inputs.iter().map(|s| shape(s.map(|s| s.slot))).collect();
        [inputs, step.outputs.iter().map(|s| shape(*s)).collect()]
    }

    /// What a node is: its operator, attributes and shapes; not which network it is part of, nor its weights' values.
    pub fn describe(&self, index: usize, shapes: &Shapes) -> String {
        let step = &self.steps[index];
        let [ins, outs] = Self::step_shapes(step, shapes).map(|all| {
            let each: Vec<String> = all.into_iter().map(table::product).collect();
            each.join(", ")
        });
        format!("{}{}: {ins} → {outs}", step.node.op, table::attributes(&step.node.attrs))
    }

    /// Inputs for a node alone: its parameters, and values of the right shape for what other nodes make.
    ///
    /// # Errors
    /// A shape has too many axes for a tensor.
    pub fn stand_ins(
        &self,
        index: usize,
        params: &[Value],
        shapes: &Shapes,
        device: &Device,
    ) -> Result<Vec<Option<Value>>> {
        let value = |source: &Option<Source>| match source {
            None => Ok(None),
            Some(Source { slot, .. }) => match params.get(*slot) {
                Some(param) => Ok(Some(param.clone())),
                None => {
                    let shape = &shapes.slots[*slot];
                    let len = shape.iter().product();
                    let values = (0..len).map(|i: usize| (i * 7 % 17) as f32 / 16.0).collect();
                    Value::from_host(values, shape, device).map(Some)
                }
            },
        };
        self.steps[index].inputs.iter().map(value).collect()
    }
}
