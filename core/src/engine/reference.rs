//! The simplest interpreter: every node by its operator's scalar code, in f32, weights
//! dequantized. It is the truth that plans are compared with, and what calibration and pruning
//! use to see a network's activations. Activation grids play no part here.

use crate::model::{Analysis, Dim, Model};
use crate::{Error, Result, ops};
use std::collections::BTreeMap;

/// A model made ready for the interpreter: checked, its weights as f32.
#[derive(Debug, Clone)]
pub struct Reference<'m> {
    model: &'m Model,
    weights: BTreeMap<&'m str, Vec<f32>>,
}

impl<'m> Reference<'m> {
    /// Checks the model and dequantizes its weights.
    ///
    /// # Errors
    /// The model is not sound; see [`Model::check`].
    pub fn new(model: &'m Model) -> Result<Self> {
        model.check()?;
        let mut weights = BTreeMap::new();
        for (name, weight) in &model.weights {
            let values = weight.to_f32();
            if values.len() != weight.len() {
                return Err(Error::Graph {
                    graph: model.graph.name.clone(),
                    message: format!(
                        "the weight “{name}” has {} values where {} belong",
                        values.len(),
                        weight.len()
                    ),
                });
            }
            weights.insert(name.as_str(), values);
        }
        Ok(Self { model, weights })
    }

    /// The values of the graph's outputs, in the graph's order. `inputs` holds one slice per
    /// graph input, row-major, any number of samples; the batch size follows from the length.
    ///
    /// # Errors
    /// The inputs do not fit the graph.
    pub fn outputs(&self, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let outputs = &self.model.graph.outputs;
        let mut values = self.trace(inputs, &|name| outputs.iter().any(|o| o == name))?;
        // An output may be listed twice; only the last listing may take the values away.
        let last = |i: usize, name: &String| outputs[i + 1..].iter().all(|o| o != name);
        Ok(outputs
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let found = if last(i, name) { values.remove(name) } else { values.get(name).cloned() };
                found.unwrap_or_default()
            })
            .collect())
    }

    /// The values of every activation (graph inputs included) whose name `keep` accepts. What is
    /// not kept is dropped after its last use.
    ///
    /// # Errors
    /// The inputs do not fit the graph.
    pub fn trace(
        &self,
        inputs: &[&[f32]],
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Vec<f32>>> {
        let graph = &self.model.graph;
        let analysis = graph.analyze(batch_of(self.model, inputs)?)?;
        let mut values: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
        for (port, given) in graph.inputs.iter().zip(inputs) {
            let want: usize = shape(&analysis, &port.name).iter().product();
            if given.len() != want {
                return Err(wrong_input(&graph.name, &port.name, given.len(), want));
            }
            values.insert(&port.name, given.to_vec());
        }
        let mut last_use: BTreeMap<&str, usize> = BTreeMap::new();
        for (i, node) in graph.nodes.iter().enumerate() {
            last_use.extend(node.inputs.iter().map(|name| (name.as_str(), i)));
        }
        for (i, node) in graph.nodes.iter().enumerate() {
            let Some(op) = ops::get(&node.op) else {
                return Err(Error::shape(node, "this operator is not known here"));
            };
            let in_shapes: Vec<&[usize]> = node.inputs.iter().map(|n| shape(&analysis, n)).collect();
            let inferred = op.infer(node, &in_shapes)?;
            let out_shapes: Vec<&[usize]> = inferred.iter().map(Vec::as_slice).collect();
            let mut outputs: Vec<Vec<f32>> =
                out_shapes.iter().map(|s| vec![0.0; s.iter().product()]).collect();
            {
                let read: Vec<&[f32]> = node.inputs.iter().map(|n| self.read(&values, n)).collect();
                let mut slots: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
                let call = ops::Call { node, inputs: &in_shapes, outputs: &out_shapes };
                op.eval(&call, &read, &mut slots);
            }
            for (name, made) in node.outputs.iter().zip(outputs) {
                if !name.is_empty() {
                    values.insert(name, made);
                }
            }
            let done = |name: &String| last_use.get(name.as_str()) == Some(&i) && !keep(name);
            for name in node.inputs.iter().filter(|n| done(n) && !graph.outputs.contains(n)) {
                values.remove(name.as_str());
            }
        }
        Ok(values.into_iter().filter(|(name, _)| keep(name)).map(|(n, v)| (n.to_owned(), v)).collect())
    }

    fn read<'a>(&'a self, values: &'a BTreeMap<&str, Vec<f32>>, name: &str) -> &'a [f32] {
        values.get(name).or_else(|| self.weights.get(name)).map_or(&[], Vec::as_slice)
    }
}

/// The first output of a model for one input; see [`Reference::outputs`].
///
/// # Errors
/// The model is not sound, or the input does not fit it.
pub fn run(model: &Model, input: &[f32]) -> Result<Vec<f32>> {
    let mut outputs = Reference::new(model)?.outputs(&[input])?;
    Ok(if outputs.is_empty() { Vec::new() } else { outputs.swap_remove(0) })
}

/// The number of samples in `inputs`, from the first input with a batch axis.
fn batch_of(model: &Model, inputs: &[&[f32]]) -> Result<usize> {
    let ports = &model.graph.inputs;
    if ports.len() != inputs.len() {
        return Err(Error::Graph {
            graph: model.graph.name.clone(),
            message: format!("it takes {} inputs, {} were given", ports.len(), inputs.len()),
        });
    }
    let batched = ports.iter().zip(inputs).find(|(p, _)| p.shape.contains(&Dim::Batch));
    let Some((port, given)) = batched else { return Ok(1) };
    let fixed = port.shape.iter().map(|d| if let Dim::Fixed(n) = d { *n } else { 1 });
    let per_sample: usize = fixed.product();
    if per_sample == 0 || given.is_empty() || given.len() % per_sample != 0 {
        return Err(wrong_input(&model.graph.name, &port.name, given.len(), per_sample));
    }
    Ok(given.len() / per_sample)
}

fn shape<'a>(analysis: &'a Analysis, name: &str) -> &'a [usize] {
    analysis.shapes.get(name).map_or(&[], Vec::as_slice)
}

/// The error for an input of a wrong length.
pub(super) fn wrong_input(graph: &str, name: &str, have: usize, want: usize) -> Error {
    Error::Graph {
        graph: graph.to_owned(),
        message: format!("the input “{name}” holds {have} values where a multiple of {want} belongs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConvOptions, GraphBuilder, Weight};

    fn model() -> Model {
        let mut b = GraphBuilder::new("g", &[1, 2, 2]);
        let x = b.input();
        let c = b.conv(&x, 1, 1, ConvOptions { bias: true, ..ConvOptions::default() }).unwrap();
        let r = b.unary("Relu", &c).unwrap();
        let y = b.add(&r, &x).unwrap();
        let mut model = Model::init(b.finish(&y).unwrap(), 0);
        model.weights.insert("conv0.weight".into(), Weight::dense(vec![1, 1, 1, 1], vec![-2.0]));
        model.weights.insert("conv0.bias".into(), Weight::dense(vec![1], vec![3.0]));
        model
    }

    #[test]
    fn runs_by_hand_computed_values_for_any_batch() {
        // y = max(3 − 2x, 0) + x
        let y = run(&model(), &[0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 1.5, 4.0]).unwrap();
        assert_eq!(y, [3.0, 2.0, 2.0, 3.0, 4.0, 2.5, 1.5, 4.0]);
    }

    #[test]
    fn traces_what_is_asked_for() {
        let model = model();
        let reference = Reference::new(&model).unwrap();
        let x = [0.0, 1.0, 2.0, 3.0];
        let all = reference.trace(&[&x], &|_| true).unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["add0", "conv0", "relu0", "x"]);
        assert_eq!(all["conv0"], [3.0, 1.0, -1.0, -3.0]);
        let one = reference.trace(&[&x], &|n| n == "relu0").unwrap();
        assert_eq!(one.into_iter().collect::<Vec<_>>(), [("relu0".to_owned(), vec![3.0, 1.0, 0.0, 0.0])]);
    }

    #[test]
    fn says_what_does_not_fit() {
        let message = run(&model(), &[1.0; 3]).unwrap_err().to_string();
        assert!(message.contains("“x” holds 3 values where a multiple of 4"), "{message}");
        let mut broken = model();
        broken.weights.remove("conv0.bias");
        assert!(run(&broken, &[1.0; 4]).unwrap_err().to_string().contains("“conv0.bias” is missing"));
    }
}
