//! Builds graphs by hand: spaces, labs and tests use it. Names are made; shapes are tracked.

use super::{Attr, Attrs, Dim, Graph, Init, Node, Param, Port};
use crate::{Error, Result, ops};
use std::collections::BTreeMap;

/// A graph under construction. Methods take and return tensor names.
///
/// Shapes are inferred at every step with a batch of 1, so the first layer that does not fit is
/// the one an error names.
#[derive(Debug, Clone)]
pub struct GraphBuilder {
    graph: Graph,
    shapes: BTreeMap<String, Vec<usize>>,
    place: String,
    /// Of every layer its name within its place.
    aliases: BTreeMap<String, String>,
    places: Places,
}

/// Where the parameters of a graph stand, by their names: a name that stays the same whatever else
/// the graph holds, while the parameters' own names count the graph's layers.
pub type Places = BTreeMap<String, String>;

/// Options of a convolution beyond its channels and kernel.
#[derive(Debug, Clone, Copy)]
pub struct ConvOptions {
    /// Stride, both axes.
    pub stride: usize,
    /// Groups; as many as input channels is depthwise.
    pub groups: usize,
    /// Dilation, both axes.
    pub dilation: usize,
    /// Whether there is a bias.
    pub bias: bool,
}

impl Default for ConvOptions {
    fn default() -> Self {
        Self { stride: 1, groups: 1, dilation: 1, bias: false }
    }
}

impl AsMut<Self> for GraphBuilder {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl GraphBuilder {
    /// A graph with one input `x`; `shape` without the batch axis.
    pub fn new(name: &str, shape: &[usize]) -> Self {
        let mut dims = vec![Dim::Batch];
        dims.extend(shape.iter().map(|n| Dim::Fixed(*n)));
        let graph = Graph {
            name: name.into(),
            inputs: vec![Port { name: "x".into(), shape: dims }],
            ..Graph::default()
        };
        let mut full = vec![1];
        full.extend(shape);
        Self {
            graph,
            shapes: [("x".to_owned(), full)].into(),
            place: String::new(),
            aliases: BTreeMap::new(),
            places: Places::new(),
        }
    }

    /// Says where the next layers stand, e.g. "stage 1.block 2": graphs of one family give the same
    /// name to the same place.
    pub fn place(&mut self, place: impl Into<String>) {
        self.place = place.into();
    }

    /// The input tensor.
    pub fn input(&self) -> String {
        "x".into()
    }

    /// Shape of a tensor at a batch of 1; empty where there is none of that name.
    pub fn shape(&self, tensor: &str) -> &[usize] {
        self.shapes.get(tensor).map_or(&[], Vec::as_slice)
    }

    /// Nodes so far.
    pub fn len(&self) -> usize {
        self.graph.nodes.len()
    }

    /// Whether there is no node yet.
    pub fn is_empty(&self) -> bool {
        self.graph.nodes.is_empty()
    }

    /// Names of the nodes from the one of number `from` on.
    pub fn names(&self, from: usize) -> Vec<String> {
        self.graph.nodes.iter().skip(from).map(|n| n.name.clone()).collect()
    }

    /// Adds a parameter.
    pub fn param(&mut self, name: String, shape: Vec<usize>, init: Init, trainable: bool) -> String {
        self.shapes.insert(name.clone(), shape.clone());
        let (layer, part) = name.split_once('.').unwrap_or((&name, ""));
        if !self.aliases.contains_key(layer) {
            let kind = format!("{}.{}", self.place, layer.trim_end_matches(|c: char| c.is_ascii_digit()));
            let before = self.aliases.values().filter(|a| a.rsplit_once(' ').is_some_and(|(k, _)| k == kind));
            let alias = format!("{kind} {}", before.count());
            self.aliases.insert(layer.to_owned(), alias);
        }
        let place = self.aliases.get(layer).map(|alias| format!("{alias}.{part}"));
        self.places.insert(name.clone(), place.unwrap_or_default());
        self.graph.params.insert(name.clone(), Param { shape, init, trainable });
        name
    }

    /// Adds any operator with `outputs` outputs.
    ///
    /// # Errors
    /// The operator is unknown or its inputs do not fit.
    pub fn node(&mut self, op: &str, inputs: &[&str], attrs: Attrs, outputs: usize) -> Result<Vec<String>> {
        let name = self.fresh(op);
        self.named(name, op, inputs, attrs, outputs)
    }

    fn fresh(&self, op: &str) -> String {
        let n = self.graph.nodes.iter().filter(|node| node.op == op).count();
        format!("{}{n}", op.to_lowercase())
    }

    fn named(
        &mut self,
        name: String,
        op: &str,
        inputs: &[&str],
        attrs: Attrs,
        outputs: usize,
    ) -> Result<Vec<String>> {
        let names: Vec<String> = match outputs {
            1 => vec![name.clone()],
            n => (0..n).map(|i| format!("{name}.{i}")).collect(),
        };
        let node = Node {
            name,
            op: op.into(),
            inputs: inputs.iter().map(|s| (*s).into()).collect(),
            outputs: names.clone(),
            attrs,
        };
        let operator = ops::get(op).ok_or_else(|| Error::shape(&node, "this operator is not known here"))?;
        ops::check_arity(operator, &node)?;
        let shapes: Vec<&[usize]> = inputs.iter().map(|i| self.shape(i)).collect();
        let inferred = operator.infer(&node, &shapes)?;
        for (tensor, shape) in names.iter().zip(inferred) {
            self.shapes.insert(tensor.clone(), shape);
        }
        self.graph.nodes.push(node);
        Ok(names)
    }

    fn one(&mut self, op: &str, inputs: &[&str], attrs: Attrs) -> Result<String> {
        Ok(self.node(op, inputs, attrs, 1)?.swap_remove(0))
    }

    /// 2-D convolution, "same" padding (the output is the input's size divided by the stride,
    /// rounded up, for odd kernels).
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn conv(&mut self, x: &str, channels: usize, kernel: usize, options: ConvOptions) -> Result<String> {
        let name = self.fresh("Conv");
        let in_channels = self.shape(x).get(1).copied().unwrap_or(0);
        let per_group = in_channels / options.groups.max(1);
        let fan_in = per_group * kernel * kernel;
        let weight = self.param(
            format!("{name}.weight"),
            vec![channels, per_group, kernel, kernel],
            Init::He { fan_in },
            true,
        );
        let pad = (options.dilation * (kernel - 1) / 2) as i64;
        let attrs = Attrs::from([
            ("kernel_shape".into(), Attr::Ints(vec![kernel as i64; 2])),
            ("strides".into(), Attr::Ints(vec![options.stride as i64; 2])),
            ("dilations".into(), Attr::Ints(vec![options.dilation as i64; 2])),
            ("pads".into(), Attr::Ints(vec![pad; 4])),
            ("group".into(), Attr::Int(options.groups as i64)),
        ]);
        if options.bias {
            let bias = self.param(format!("{name}.bias"), vec![channels], Init::Constant(0.0), true);
            Ok(self.named(name, "Conv", &[x, &weight, &bias], attrs, 1)?.swap_remove(0))
        } else {
            Ok(self.named(name, "Conv", &[x, &weight], attrs, 1)?.swap_remove(0))
        }
    }

    /// Fully connected layer with bias on N, features.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn linear(&mut self, x: &str, features: usize) -> Result<String> {
        let name = self.fresh("Gemm");
        let fan_in = self.shape(x).get(1).copied().unwrap_or(0);
        let weight = self.param(format!("{name}.weight"), vec![features, fan_in], Init::He { fan_in }, true);
        let bias = self.param(format!("{name}.bias"), vec![features], Init::Constant(0.0), true);
        let attrs = Attrs::from([("transB".into(), Attr::Int(1))]);
        Ok(self.named(name, "Gemm", &[x, &weight, &bias], attrs, 1)?.swap_remove(0))
    }

    /// Batch normalization over axis 1.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn batch_norm(&mut self, x: &str) -> Result<String> {
        self.batch_norm_from(x, 1.0)
    }

    /// Batch normalization whose scales start at `scale`. At 0, the last one of a residual branch
    /// makes the block an identity at first (Goyal et al., arXiv:1706.02677).
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn batch_norm_from(&mut self, x: &str, scale: f32) -> Result<String> {
        let name = self.fresh("BatchNormalization");
        let c = vec![self.shape(x).get(1).copied().unwrap_or(0)];
        let scale = self.param(format!("{name}.scale"), c.clone(), Init::Constant(scale), true);
        let bias = self.param(format!("{name}.bias"), c.clone(), Init::Constant(0.0), true);
        let mean = self.param(format!("{name}.mean"), c.clone(), Init::Constant(0.0), false);
        let var = self.param(format!("{name}.var"), c, Init::Constant(1.0), false);
        let inputs = [x, &scale, &bias, &mean, &var];
        Ok(self.named(name, "BatchNormalization", &inputs, Attrs::new(), 1)?.swap_remove(0))
    }

    /// Any operator of one input, one output and no attributes: Relu, HardSwish, Gelu, Sigmoid,
    /// Tanh, GlobalAveragePool, Flatten ...
    ///
    /// # Errors
    /// The operator is unknown or the shape does not fit.
    pub fn unary(&mut self, op: &str, x: &str) -> Result<String> {
        self.one(op, &[x], Attrs::new())
    }

    /// Elementwise sum.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn add(&mut self, a: &str, b: &str) -> Result<String> {
        self.one("Add", &[a, b], Attrs::new())
    }

    /// Concatenation along an axis.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn concat(&mut self, parts: &[&str], axis: i64) -> Result<String> {
        self.one("Concat", parts, Attrs::from([("axis".into(), Attr::Int(axis))]))
    }

    /// MaxPool or AveragePool with a square window and "same" padding for odd windows, none for
    /// even ones. Averages leave padding out.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn pool(&mut self, op: &str, x: &str, window: usize, stride: usize) -> Result<String> {
        let pad = if window % 2 == 1 { (window / 2) as i64 } else { 0 };
        self.one(
            op,
            &[x],
            Attrs::from([
                ("kernel_shape".into(), Attr::Ints(vec![window as i64; 2])),
                ("strides".into(), Attr::Ints(vec![stride as i64; 2])),
                ("pads".into(), Attr::Ints(vec![pad; 4])),
            ]),
        )
    }

    /// Images of `side` × `side` pixels, by repeating or leaving out pixels; those that are so already stay.
    ///
    /// # Errors
    /// `x` is not `[batch, channels, height, width]`.
    pub fn resized(&mut self, x: &str, side: usize) -> Result<String> {
        self.scaled_to(x, side, "nearest")
    }

    /// The same by linear interpolation.
    ///
    /// # Errors
    /// As those of [`Self::resized`].
    pub fn interpolated(&mut self, x: &str, side: usize) -> Result<String> {
        self.scaled_to(x, side, "linear")
    }

    fn scaled_to(&mut self, x: &str, side: usize, mode: &str) -> Result<String> {
        if matches!(self.shape(x), [_, _, h, w] if [*h, *w] == [side; 2]) {
            return Ok(x.to_owned());
        }
        let (axes, sizes) = (Attr::Ints(vec![2, 3]), Attr::Ints(vec![side as i64; 2]));
        let mut attrs = Attrs::from([("axes".into(), axes), ("sizes".into(), sizes)]);
        if mode != "nearest" {
            attrs.insert("mode".into(), mode.into());
        }
        self.one("Resize", &[x], attrs)
    }

    /// The finished graph.
    ///
    /// # Errors
    /// The graph as a whole is not sound.
    pub fn finish(self, output: &str) -> Result<Graph> {
        Ok(self.finish_placed(output)?.0)
    }

    /// The finished graph, and where each of its parameters stands (see [`GraphBuilder::place`]).
    ///
    /// # Errors
    /// The graph as a whole is not sound.
    pub fn finish_placed(mut self, output: &str) -> Result<(Graph, Places)> {
        self.graph.outputs = vec![output.into()];
        self.graph.analyze(1)?;
        Ok((self.graph, self.places))
    }
}
