//! A layer in words: "Conv 3×3, 16 @ 4×4".

use super::format;
use espalier_core::model::{Anatomy, Graph, Kind, Layer, one_sample};
use std::sync::Arc;

/// A network to be drawn: its graph, and its layers as the engine saw them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawn {
    /// The graph.
    pub graph: Graph,
    /// Its layers; none where its shapes do not fit together.
    pub anatomy: Anatomy,
}

impl Drawn {
    /// To be shared.
    pub fn new(graph: Graph, anatomy: Anatomy) -> Arc<Self> {
        Arc::new(Self { graph, anatomy })
    }

    /// Whether there is something to draw.
    pub fn is_sound(&self) -> bool {
        !self.anatomy.layers.is_empty() && self.anatomy.layers.len() == self.graph.nodes.len()
    }

    /// What a node is to a drawing; unknown ones move data.
    pub fn kind(&self, node: usize) -> Kind {
        self.anatomy.layers.get(node).map_or(Kind::Shape, |l| l.kind)
    }

    /// Shape of a node's first output, with a batch of 1.
    pub fn shape(&self, node: usize) -> &[usize] {
        self.anatomy.layers.get(node).map_or(&[], |l| &l.shape)
    }
}

/// What a layer is, and what it makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerText {
    /// Kind of layer with its window, e.g. "Conv 3×3", "Linear".
    pub what: String,
    /// Its output, e.g. "16 @ 4×4", "10".
    pub size: String,
}

impl LayerText {
    /// Both, in one line.
    pub fn line(&self) -> String {
        if self.size.is_empty() { self.what.clone() } else { format!("{}, {}", self.what, self.size) }
    }
}

/// A layer in words: the node of that number.
pub fn describe(drawn: &Drawn, node: usize) -> LayerText {
    LayerText { what: what(drawn, node), size: size(drawn.shape(node)) }
}

/// The network's input in words.
pub fn input_size(drawn: &Drawn) -> String {
    drawn.graph.inputs.first().map_or_else(String::new, |port| size(&one_sample(&port.shape)))
}

/// A tensor without its batch axis as drawn: channels @ height × width, or its features.
pub fn size(shape: &[usize]) -> String {
    match shape {
        [_, c, h, w] => format!("{c} @ {h}×{w}"),
        [_, rest @ ..] => format::shape(rest),
        [] => String::new(),
    }
}

fn what(drawn: &Drawn, node: usize) -> String {
    let Some(node) = drawn.graph.nodes.get(node) else { return String::new() };
    let weight = node.inputs.get(1).and_then(|w| drawn.graph.params.get(w)).map(|p| p.shape.as_slice());
    let window = match (node.ints("kernel_shape"), weight) {
        (Some([h, w]), _) => Some(format!("{h}×{w}")),
        (_, Some([_, _, h, w])) => Some(format!("{h}×{w}")),
        _ => None,
    };
    let mut text = name(&node.op).to_owned();
    if node.op == "Conv" {
        let groups = node.int("group", 1);
        if groups > 1 {
            // One input channel for each output channel.
            let depthwise = weight.is_some_and(|w| w.get(1) == Some(&1));
            text = if depthwise { "Depthwise".into() } else { format!("Conv in {groups} groups") };
        }
    }
    if let Some(window) = window {
        text.push(' ');
        text.push_str(&window);
    }
    match node.ints("strides") {
        Some([s, t]) if *s > 1 && s == t => text.push_str(&format!(" /{s}")),
        Some([s, t]) if *s > 1 || *t > 1 => text.push_str(&format!(" /{s},{t}")),
        _ => {}
    }
    text
}

/// An operator's name as people say it.
fn name(op: &str) -> &str {
    match op {
        "Gemm" | "MatMul" => "Linear",
        "BatchNormalization" => "Batch norm",
        "LayerNormalization" => "Layer norm",
        "GlobalAveragePool" => "Global average",
        "AveragePool" => "Average",
        "MaxPool" => "Max",
        "HardSwish" => "Hard swish",
        "ReduceMean" => "Mean",
        other => other,
    }
}

/// The class that gives an element the hue of a kind of layer, as the custom property `--kind`.
pub const fn kind_class(kind: Kind) -> &'static str {
    match kind {
        Kind::Conv => "kind-conv",
        Kind::Linear => "kind-linear",
        Kind::Norm => "kind-norm",
        Kind::Activation => "kind-activation",
        Kind::Pool => "kind-pool",
        Kind::Merge => "kind-merge",
        Kind::Shape => "kind-shape",
    }
}

/// A network in one sentence, for those who do not see its drawing.
pub fn sentence(drawn: &Drawn) -> String {
    if !drawn.is_sound() {
        return format!("{}: this network's shapes do not fit together.", drawn.graph.name);
    }
    let tells = |l: &Layer| !matches!(l.kind, Kind::Norm | Kind::Activation | Kind::Shape);
    let layers: Vec<usize> =
        (0..drawn.graph.nodes.len()).filter(|i| drawn.anatomy.layers.get(*i).is_some_and(tells)).collect();
    let shown = layers.iter().take(12).map(|i| describe(drawn, *i).line()).collect::<Vec<_>>().join("; ");
    let more = if layers.len() > 12 { format!("; and {} more", layers.len() - 12) } else { String::new() };
    format!("{} layers: {shown}{more}.", layers.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use espalier_core::model::{ConvOptions, GraphBuilder};

    #[test]
    fn a_convolution_says_window_stride_and_output() {
        let mut b = GraphBuilder::new("g", &[1, 8, 8]);
        let y = b.conv("x", 16, 3, ConvOptions { stride: 2, ..ConvOptions::default() }).unwrap();
        let z = b.conv(&y, 16, 5, ConvOptions { groups: 16, ..ConvOptions::default() }).unwrap();
        let g = b.finish(&z).unwrap();
        let d = Drawn { anatomy: Anatomy::of(&g), graph: g };
        assert_eq!(describe(&d, 0).line(), "Conv 3×3 /2, 16 @ 4×4");
        assert_eq!(describe(&d, 1).line(), "Depthwise 5×5, 16 @ 4×4");
        assert_eq!(input_size(&d), "1 @ 8×8");
        assert!(sentence(&d).starts_with("2 layers: Conv 3×3 /2, 16 @ 4×4;"));
    }
}
