//! DARTS cells: a normal and a reduction cell, in which every node sums two operations on earlier states.
//!
//! Liu, Simonyan and Yang, "DARTS: Differentiable Architecture Search" (ICLR 2019, arXiv:1806.09055). The
//! states of a cell are the outputs of the two cells before it, then its nodes; a node takes two
//! different states before it, each through an operation, and adds the results; the cell's output is
//! the concatenation of its nodes.
//!
//! Ours is small, for small images: two nodes to a cell (published: four), one cell to a stage. Images are
//! enlarged and a stem of stride 2 reads them. Of the published operations the 5×5 ones are left out: on
//! maps of 8 × 8 and 4 × 4 most of what they read is padding. Where resolution halves, identities and cell
//! inputs pass a 2 × 2 mean and a 1×1 convolution, in place of the published factorized reduction.

use super::nasnet_cell::{project, separable};
use super::{Gene, Genome, Space, check};
use crate::model::{ConvOptions, Graph, GraphBuilder};
use crate::params::{Config, ParamSpec};
use crate::registry::{Citation, Method};
use crate::{Error, Result};

/// See the module.
pub struct DartsCell;

pub(super) static METHOD: Method = Method {
    id: "darts-cell",
    name: "DARTS cells",
    sentence: "Two small cells, one that keeps the resolution and one that halves it; every node of a cell adds two operations on earlier states.",
    formula: "xᵢ = o(xⱼ) + o′(xₖ),  j < k < i;  cell = concat of all xᵢ",
    citation: Citation {
        authors: "Liu, Simonyan and Yang",
        title: "DARTS: Differentiable Architecture Search",
        year: 2019,
        venue: "ICLR, arXiv:1806.09055",
    },
    params: &[
        ParamSpec::int(
            "darts-cell.channels",
            "Channels",
            1,
            64,
            8,
            "Channels of every node in the first stage; each next stage has twice as many (published: 16).",
        )
        .unit("channels"),
        ParamSpec::int("darts-cell.nodes", "Nodes a cell", 1, 4, 2, "Nodes of each cell (published: 4)."),
        ParamSpec::int(
            "darts-cell.cells",
            "Cells a stage",
            1,
            6,
            1,
            "How often the normal cell is repeated in a stage (published: 2, and 6 after the search).",
        ),
        ParamSpec::int(
            "darts-cell.stages",
            "Stages",
            1,
            4,
            2,
            "Stages of normal cells; a reduction cell that halves the resolution stands between them (published: 3).",
        ),
        ParamSpec::int(
            "darts-cell.resolution",
            "Resolution",
            4,
            64,
            16,
            "Height and width to which images are brought; the stem halves them.",
        )
        .unit("pixels"),
    ],
};

/// The operations; the index is the gene's choice.
pub const OPS: [&str; 5] = ["max pool 3×3", "mean pool 3×3", "skip", "separable 3×3", "dilated 3×3"];
/// The same, in two or three letters, for labels.
const SHORT: [&str; 5] = ["max", "avg", "id", "s3", "d3"];
/// A cell's inputs.
const INPUTS: usize = 2;

/// What the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub channels: usize,
    pub nodes: usize,
    pub cells: usize,
    pub stages: usize,
    pub resolution: usize,
}

impl Shape {
    pub fn new(config: &Config) -> Self {
        let count = |key| config.count(METHOD.params, key).max(1);
        Self {
            channels: count("darts-cell.channels"),
            nodes: count("darts-cell.nodes"),
            cells: count("darts-cell.cells"),
            stages: count("darts-cell.stages"),
            resolution: count("darts-cell.resolution"),
        }
    }

    /// The kinds of cell that the network has.
    pub fn kinds(self) -> &'static [&'static str] {
        if self.stages > 1 { &["normal", "reduction"] } else { &["normal"] }
    }

    /// The edges of a cell as (state, node), in order of nodes.
    #[cfg(any(feature = "compute", test))]
    pub fn edges(self) -> Vec<(usize, usize)> {
        (0..self.nodes).flat_map(|node| (0..node + INPUTS).map(move |state| (state, node))).collect()
    }
}

/// A state's name.
pub(crate) fn state(state: usize) -> String {
    match state {
        0 => "cell before the last".into(),
        1 => "last cell".into(),
        n => format!("node {}", n - 1),
    }
}

/// The pairs of different states before a node.
pub(crate) fn pairs(node: usize) -> Vec<(usize, usize)> {
    let states = node + INPUTS;
    (0..states).flat_map(|a| (a + 1..states).map(move |b| (a, b))).collect()
}

/// What an operation makes of `x`; `halve` where the cell halves the resolution and `x` has the old one.
///
/// # Errors
/// The shapes do not fit.
pub(crate) fn operation(b: &mut GraphBuilder, op: usize, x: &str, halve: bool) -> Result<String> {
    let channels = b.shape(x).get(1).copied().unwrap_or(0);
    let stride = if halve { 2 } else { 1 };
    match op {
        0 => b.pool("MaxPool", x, 3, stride),
        1 => b.pool("AveragePool", x, 3, stride),
        2 if halve => project(b, x, channels, true),
        2 => Ok(x.to_owned()),
        3 => separable(b, x, channels, 3, stride, 2),
        _ => {
            let y = b.unary("Relu", x)?;
            let depthwise = ConvOptions { stride, groups: channels, dilation: 2, ..ConvOptions::default() };
            let y = b.conv(&y, channels, 3, depthwise)?;
            let y = b.conv(&y, channels, 1, ConvOptions::default())?;
            b.batch_norm(&y)
        }
    }
}

/// A cell to be built.
pub(crate) struct Cell<'a> {
    /// Its kind: 0 normal, 1 reduction.
    pub kind: usize,
    /// The outputs of the two cells before, both of its width and of one resolution.
    pub inputs: [String; INPUTS],
    /// Where it stands.
    pub place: &'a str,
}

/// The network around its cells; `cell` gives the nodes of one.
///
/// # Errors
/// The data's shape does not suit it.
pub(crate) fn skeleton<B: AsMut<GraphBuilder>>(
    b: &mut B,
    shape: Shape,
    input: &[usize],
    classes: usize,
    cell: &mut dyn FnMut(&mut B, Cell<'_>) -> Result<Vec<String>>,
) -> Result<String> {
    let side = shape.resolution;
    let [_, _, _] = input else {
        return Err(Error::Unsupported(format!(
            "DARTS cells take images (channels, height, width), but a sample here is {input:?}; choose the MLP space"
        )));
    };
    if !side.is_multiple_of(1 << shape.stages) {
        return Err(Error::config(
            "darts-cell.stages",
            format!("an image of {side} × {side} cannot be halved {} times", shape.stages),
        ));
    }
    let outer = b.as_mut();
    let x = outer.resized(&outer.input(), side)?;
    outer.place("stem");
    let x = outer.conv(&x, shape.channels, 3, ConvOptions { stride: 2, ..ConvOptions::default() })?;
    let stem = outer.batch_norm(&x)?;
    let (mut before, mut last) = (stem.clone(), stem);
    for stage in 0..shape.stages {
        let channels = shape.channels << stage;
        let normal = (0..shape.cells).map(|i| (0, format!("stage {stage}.cell {i}")));
        let reduction = (stage > 0).then(|| (1, format!("stage {stage}.reduction")));
        for (kind, place) in reduction.into_iter().chain(normal) {
            let outer = b.as_mut();
            let height = |b: &GraphBuilder, x: &str| b.shape(x).get(2).copied().unwrap_or(0);
            let halve = height(outer, &before) > height(outer, &last);
            outer.place(format!("{place}.first"));
            let first = project(outer, &before, channels, halve)?;
            outer.place(format!("{place}.second"));
            let second = project(outer, &last, channels, false)?;
            let nodes = cell(b, Cell { kind, inputs: [first, second], place: &place })?;
            let parts: Vec<&str> = nodes.iter().map(String::as_str).collect();
            let next = match parts.as_slice() {
                [one] => (*one).to_owned(),
                many => b.as_mut().concat(many, 1)?,
            };
            before = std::mem::replace(&mut last, next);
        }
    }
    let outer = b.as_mut();
    outer.place("head");
    let x = outer.unary("GlobalAveragePool", &last)?;
    let x = outer.unary("Flatten", &x)?;
    outer.linear(&x, classes)
}

/// The two (state, operation) of a node.
fn chosen(genome: &Genome, shape: Shape, kind: usize, node: usize) -> Option<[(usize, usize); 2]> {
    let at = 3 * (kind * shape.nodes + node);
    let (a, b) = pairs(node).get(genome.at(at)).copied()?;
    Some([(a, genome.at(at + 1)), (b, genome.at(at + 2))])
}

/// The genome in which every node of every kind takes these (pair, operation, operation).
#[cfg(any(feature = "compute", test))]
pub(crate) fn genome(nodes: impl IntoIterator<Item = [(usize, usize); 2]>, shape: Shape) -> Genome {
    let genes = nodes.into_iter().enumerate().flat_map(|(i, [a, b])| {
        let (a, b) = if a.0 < b.0 { (a, b) } else { (b, a) };
        let pair = pairs(i % shape.nodes.max(1)).iter().position(|p| *p == (a.0, b.0)).unwrap_or(0);
        [pair as u8, a.1 as u8, b.1 as u8]
    });
    Genome(genes.collect())
}

impl Space for DartsCell {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    fn genes(&self, config: &Config) -> Vec<Gene> {
        let shape = Shape::new(config);
        let mut genes = Vec::new();
        for kind in shape.kinds() {
            for node in 0..shape.nodes {
                let name = format!("{kind} node {}", node + 1);
                let pairs = pairs(node).into_iter().map(|(a, b)| format!("{}, {}", state(a), state(b)));
                genes.push(Gene::new(format!("{name} inputs"), pairs));
                genes.push(Gene::new(format!("{name} first operation"), OPS));
                genes.push(Gene::new(format!("{name} second operation"), OPS));
            }
        }
        genes
    }

    fn graph(&self, config: &Config, genome: &Genome, input: &[usize], classes: usize) -> Result<Graph> {
        check(&self.genes(config), genome)?;
        let shape = Shape::new(config);
        let mut b = GraphBuilder::new(&self.label(config, genome), input);
        let y = skeleton(&mut b, shape, input, classes, &mut |b, cell| {
            let mut states = cell.inputs.to_vec();
            for node in 0..shape.nodes {
                let Some(both) = chosen(genome, shape, cell.kind, node) else { continue };
                let mut made = Vec::with_capacity(2);
                for (state, op) in both {
                    b.place(format!("{}.edge {state}-{node}.{}", cell.place, SHORT[op]));
                    let halve = cell.kind == 1 && state < INPUTS;
                    made.push(operation(b, op, &states[state].clone(), halve)?);
                }
                states.push(b.add(&made[0], &made[1])?);
            }
            Ok(states.split_off(INPUTS))
        })?;
        b.finish(&y)
    }

    /// Nodes as `s3(1)+id(0)`: the operation and, in parentheses, the state it takes.
    fn label(&self, config: &Config, genome: &Genome) -> String {
        let shape = Shape::new(config);
        let pair =
            |(state, op): (usize, usize)| format!("{}({state})", SHORT.get(op).copied().unwrap_or("?"));
        let cells = shape.kinds().iter().enumerate().map(|(kind, name)| {
            let nodes = (0..shape.nodes).filter_map(|node| chosen(genome, shape, kind, node));
            let nodes: Vec<String> = nodes.map(|[a, b]| format!("{}+{}", pair(a), pair(b))).collect();
            format!("{name} {}", nodes.join(" "))
        });
        cells.collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_genome_is_a_cell_of_two_different_states_a_node() {
        let config = Config::default();
        let shape = Shape::new(&config);
        assert_eq!(shape.edges(), [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1)]);
        assert_eq!(pairs(1), [(0, 1), (0, 2), (1, 2)]);
        let nodes = [[(1, 3), (0, 2)], [(2, 4), (1, 0)], [(0, 1), (1, 1)], [(0, 3), (2, 3)]];
        let genome = genome(nodes, shape);
        assert_eq!(genome.0, [0, 2, 3, 2, 0, 4, 0, 1, 1, 1, 3, 3]);
        let label = DartsCell.label(&config, &genome);
        assert_eq!(label, "normal id(0)+s3(1) max(1)+d3(2); reduction avg(0)+avg(1) s3(0)+s3(2)");
        let graph = DartsCell.graph(&config, &genome, &[1, 8, 8], 10).unwrap();
        let shapes = graph.analyze(1).unwrap().shapes;
        let concat = |i: usize| shapes[&format!("concat{i}")].clone();
        assert_eq!([concat(0), concat(1), concat(2)], [[1, 16, 8, 8], [1, 32, 4, 4], [1, 32, 4, 4]]);
        let odd = Config::default().with("darts-cell.stages", crate::params::ParamValue::Int(4));
        let odd = odd.with("darts-cell.resolution", crate::params::ParamValue::Int(24));
        let genome = crate::space::sample(&DartsCell.genes(&odd), &mut crate::rng::Rng::new(1));
        let message = DartsCell.graph(&odd, &genome, &[1, 8, 8], 10).unwrap_err().to_string();
        assert!(message.contains("24 × 24 cannot be halved 4 times"), "{message}");
    }
}
