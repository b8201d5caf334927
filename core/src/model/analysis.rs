//! What a graph costs: shapes, parameters, MACs, bytes moved, activation memory.

use super::{Dim, Graph};
use crate::{Error, Result, ops};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one node, or a whole graph, costs at a given batch size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Trainable parameters.
    pub params: u64,
    /// Bytes read and written: inputs, weights and outputs, once each, in f32.
    pub moved_bytes: u64,
}

impl std::ops::Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            macs: self.macs.saturating_add(other.macs),
            params: self.params + other.params,
            moved_bytes: self.moved_bytes.saturating_add(other.moved_bytes),
        }
    }
}

/// Shapes and costs of a graph at one batch size.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Analysis {
    /// Shape of every tensor, weights included.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// Cost of every node, in the graph's order.
    pub nodes: Vec<Cost>,
    /// Their sum.
    pub total: Cost,
    /// Largest sum of bytes of activations alive at once, in f32, inputs included, when nodes run
    /// in the graph's order and nothing is overwritten in place.
    pub peak_activation_bytes: u64,
}

/// No tensor has more values: 8 GiB of f32, twice what a browser can address. Products of
/// lengths stay far from overflow below it.
const MOST_VALUES: u64 = 1 << 31;

/// Whether a tensor can be held at all.
fn holdable(shape: &[usize]) -> bool {
    // A length of 0 does not excuse the others: they are multiplied on their own too.
    let volume = shape.iter().try_fold(1u64, |a, n| a.checked_mul((*n as u64).max(1)));
    volume.is_some_and(|v| v <= MOST_VALUES)
}

impl Graph {
    /// Infers every shape and counts every cost, at a batch size.
    ///
    /// # Errors
    /// Names the node and the shapes that do not fit, an unknown operator, a missing tensor.
    pub fn analyze(&self, batch: usize) -> Result<Analysis> {
        let mut shapes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for port in &self.inputs {
            let shape = port.shape.iter().map(|d| match d {
                Dim::Batch => batch,
                Dim::Fixed(n) => *n,
            });
            shapes.insert(port.name.clone(), shape.collect());
        }
        for (name, param) in &self.params {
            shapes.insert(name.clone(), param.shape.clone());
        }
        if let Some((name, shape)) = shapes.iter().find(|(_, shape)| !holdable(shape)) {
            return Err(Error::Graph {
                graph: self.name.clone(),
                message: format!("the tensor “{name}” of shape {shape:?} is larger than can be held"),
            });
        }
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let op = ops::get(&node.op).ok_or_else(|| {
                Error::shape(
                    node,
                    "this operator is not known here; the list is in the documentation of `ops`",
                )
            })?;
            let mut inputs: Vec<&[usize]> = Vec::with_capacity(node.inputs.len());
            for input in &node.inputs {
                match shapes.get(input) {
                    Some(shape) => inputs.push(shape),
                    None if input.is_empty() => inputs.push(&[]),
                    None => {
                        return Err(Error::Graph {
                            graph: self.name.clone(),
                            message: format!(
                                "node “{}” reads the tensor “{input}” before anything makes it",
                                node.name
                            ),
                        });
                    }
                }
            }
            ops::check_arity(op, node)?;
            let outputs = op.infer(node, &inputs)?;
            if outputs.len() < node.outputs.len() {
                return Err(Error::shape(
                    node,
                    format!("it has {} outputs; this operator makes {}", node.outputs.len(), outputs.len()),
                ));
            }
            if let Some(shape) = outputs.iter().find(|s| !holdable(s)) {
                return Err(Error::shape(node, format!("its output {shape:?} is larger than can be held")));
            }
            let volume = |s: &[usize]| s.iter().product::<usize>() as u64;
            let out_refs: Vec<&[usize]> = outputs.iter().map(Vec::as_slice).collect();
            let moved: u64 =
                inputs.iter().filter(|s| !s.is_empty()).chain(&out_refs).map(|s| volume(s)).sum();
            let params = node.inputs.iter().filter_map(|i| self.params.get(i)).filter(|p| p.trainable);
            nodes.push(Cost {
                macs: op.macs(node, &inputs, &out_refs),
                params: params.map(|p| volume(&p.shape)).sum(),
                moved_bytes: moved * 4,
            });
            for (name, shape) in node.outputs.iter().zip(outputs) {
                if !name.is_empty() {
                    shapes.insert(name.clone(), shape);
                }
            }
        }
        if let Some(missing) = self.outputs.iter().find(|o| !shapes.contains_key(*o)) {
            return Err(Error::Graph {
                graph: self.name.clone(),
                message: format!("its output “{missing}” is made by nothing"),
            });
        }
        // A parameter that several nodes share counts once in the total.
        let mut total = nodes.iter().copied().fold(Cost::default(), |a, b| a + b);
        total.params = self.trainable_params();
        let peak_activation_bytes = self.peak(&shapes);
        Ok(Analysis { shapes, nodes, total, peak_activation_bytes })
    }

    fn peak(&self, shapes: &BTreeMap<String, Vec<usize>>) -> u64 {
        let mut last_use: BTreeMap<&str, usize> = BTreeMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            for name in node.inputs.iter().chain(&node.outputs).filter(|n| !self.params.contains_key(*n)) {
                last_use.insert(name, i);
            }
        }
        for output in &self.outputs {
            last_use.insert(output, self.nodes.len());
        }
        let bytes = |name: &str| shapes.get(name).map_or(0, |s| 4 * s.iter().product::<usize>() as u64);
        let mut alive: BTreeMap<&str, u64> =
            self.inputs.iter().map(|p| (p.name.as_str(), bytes(&p.name))).collect();
        let mut peak: u64 = alive.values().sum();
        for (i, node) in self.nodes.iter().enumerate() {
            for output in node.outputs.iter().filter(|o| !o.is_empty()) {
                alive.insert(output, bytes(output));
            }
            peak = peak.max(alive.values().sum());
            alive.retain(|name, _| last_use.get(name).is_some_and(|last| *last > i));
        }
        peak
    }
}
