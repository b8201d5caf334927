//! What the page shows of a graph, layer by layer. It is computed where the operators are and travels with the
//! graph, since the page has no operators.

use super::{Dim, Graph};
use serde::{Deserialize, Serialize};

/// What an operator is to a drawing: its hue and weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Convolution.
    Conv,
    /// Matrix products.
    Linear,
    /// Normalization.
    Norm,
    /// Elementwise nonlinearity.
    Activation,
    /// Pooling and reductions.
    Pool,
    /// Where branches meet or part.
    Merge,
    /// Moves data without computing.
    Shape,
}

/// What one node is, makes and costs, for one sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// How it is drawn.
    pub kind: Kind,
    /// Shape of its first output, with a batch of 1.
    pub shape: Vec<usize>,
    /// Trainable parameters.
    pub params: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of all its outputs, in f32.
    pub bytes: u64,
}

/// The layers of a graph, in its order, and what they cost together, for one sample.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anatomy {
    /// One for each node; none where the graph's shapes do not fit together.
    pub layers: Vec<Layer>,
    /// Trainable parameters; one that several layers share counts once.
    pub params: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Largest sum of bytes of activations alive at once, in f32.
    pub peak_bytes: u64,
}

impl Anatomy {
    /// Of a graph; empty where the graph is not sound.
    pub fn of(graph: &Graph) -> Self {
        let Ok(analysis) = graph.analyze(1) else { return Self::default() };
        let shape = |name: &String| analysis.shapes.get(name).cloned().unwrap_or_default();
        let layers = graph.nodes.iter().zip(&analysis.nodes).map(|(node, cost)| Layer {
            kind: crate::ops::get(&node.op).map_or(Kind::Shape, |op| op.kind()),
            shape: node.outputs.first().map(shape).unwrap_or_default(),
            params: cost.params,
            macs: cost.macs,
            bytes: node.outputs.iter().map(|o| 4 * shape(o).iter().product::<usize>() as u64).sum(),
        });
        Self {
            layers: layers.collect(),
            params: analysis.total.params,
            macs: analysis.total.macs,
            peak_bytes: analysis.peak_activation_bytes,
        }
    }
}

/// The shape of an input with a batch of 1.
pub fn one_sample(shape: &[Dim]) -> Vec<usize> {
    shape.iter().map(|d| if let Dim::Fixed(n) = d { *n } else { 1 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConvOptions, GraphBuilder};

    #[test]
    fn layers_say_what_the_analysis_says() {
        let mut b = GraphBuilder::new("g", &[1, 8, 8]);
        let y = b.conv("x", 4, 3, ConvOptions { stride: 2, ..ConvOptions::default() }).unwrap();
        let z = b.unary("Relu", &y).unwrap();
        let mut g = b.finish(&z).unwrap();
        let a = Anatomy::of(&g);
        let conv = Layer {
            kind: Kind::Conv,
            shape: vec![1, 4, 4, 4],
            params: 4 * 9,
            macs: 4 * 9 * 16,
            bytes: 4 * 64,
        };
        assert_eq!(a.layers[0], conv);
        assert_eq!((a.layers[1].kind, a.layers[1].params), (Kind::Activation, 0));
        assert_eq!((a.params, a.macs, a.peak_bytes), (36, 576, 4 * (64 + 64)));
        assert_eq!(one_sample(&g.inputs[0].shape), [1, 1, 8, 8]);
        g.outputs = vec!["nothing".into()];
        assert_eq!(Anatomy::of(&g), Anatomy::default());
    }
}
