//! Networks of [`super::efficientformer`]: the paper's kind, its supernet, and what they are compared with.

use crate::model::{Attr, Attrs, ConvOptions, Graph, GraphBuilder, Init, Model, Places, Weight};
use crate::space::hybrid::{self, conv_norm};
use crate::supernet::Piece;
use crate::{Error, Result};

/// Images are scaled to so many pixels a side.
pub(super) const SIDE: usize = 16;
/// Places of the two stages in the supernet, and their widths.
pub(super) const PLACES: [usize; 2] = [2, 4];
pub(super) const WIDTHS: [usize; 2] = [12, 24];
/// A width is narrowed by so many channels.
pub(super) const STEP: usize = 4;
/// Widening inside a block, as in the paper.
pub(super) const EXPANSION: usize = 4;
pub(super) const HEADS: usize = 4;
pub(super) fn one(b: &mut GraphBuilder, op: &str, inputs: &[&str], attrs: Attrs) -> Result<String> {
    Ok(b.node(op, inputs, attrs, 1)?.swap_remove(0))
}

pub(super) fn strided() -> ConvOptions {
    ConvOptions { stride: 2, ..ConvOptions::default() }
}

/// A block on images: x + pool(x), then an MLP of 1×1 convolutions.
pub(super) fn image_block(b: &mut GraphBuilder, x: &str) -> Result<String> {
    hybrid::pooling(b, x, EXPANSION)
}

/// A block on tokens: attention, then an MLP, each behind a layer norm. In the paper's networks the scores
/// of every two tokens have a learned bias for each head, which stands for their positions.
pub(super) fn token_block(b: &mut GraphBuilder, x: &str, biased: bool) -> Result<String> {
    let (tokens, width) = match b.shape(x) {
        [_, tokens, width] => (*tokens, *width),
        _ => (0, 0),
    };
    let y = b.layer_norm(x)?;
    let bias = biased.then(|| {
        let n = (0..).find(|n| b.shape(&format!("bias{n}.weight")).is_empty()).unwrap_or(0);
        b.param(format!("bias{n}.weight"), vec![HEADS, tokens, tokens], Init::Constant(0.0), true)
    });
    let y = b.attention(&y, HEADS, (width / HEADS).max(1), bias.as_deref())?;
    let x = b.add(x, &y)?;
    hybrid::token_mlp(b, &x, EXPANSION)
}

/// The image at [`SIDE`] pixels.
pub(super) fn begin(name: &str, input: &[usize]) -> Result<(GraphBuilder, String)> {
    if input.len() != 3 {
        return Err(Error::Unsupported(format!(
            "these networks take images, but a sample here is {input:?}"
        )));
    }
    let mut b = GraphBuilder::new(name, input);
    let x = b.resized(&b.input(), SIDE)?;
    Ok((b, x))
}

fn finish_image(mut b: GraphBuilder, x: &str, classes: usize) -> Result<(Graph, Places)> {
    b.place("head");
    let x = b.unary("GlobalAveragePool", x)?;
    let x = b.unary("Flatten", &x)?;
    let y = b.linear(&x, classes)?;
    b.finish_placed(&y)
}

fn finish_tokens(mut b: GraphBuilder, x: &str, classes: usize) -> Result<(Graph, Places)> {
    b.place("head");
    let x = b.layer_norm(x)?;
    let attrs = Attrs::from([("axes".into(), Attr::Ints(vec![1])), ("keepdims".into(), Attr::Int(0))]);
    let x = one(&mut b, "ReduceMean", &[&x], attrs)?;
    let y = b.linear(&x, classes)?;
    b.finish_placed(&y)
}

/// Channels and blocks of a network of the paper's kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Design {
    pub widths: [usize; 2],
    /// Image blocks of both stages.
    pub images: [usize; 2],
    /// Token blocks at the end.
    pub tokens: usize,
}

impl Design {
    pub fn label(&self) -> String {
        let Self { widths: [a, b], images: [m, n], tokens } = self;
        format!("{m}×{a}, {n}×{b}, {tokens} attention")
    }

    pub fn graph(&self, input: &[usize], classes: usize) -> Result<Graph> {
        let counts = [self.images[0], self.images[1] + self.tokens];
        Ok(self.placed(&counts.map(|n| (0..n).collect()), input, classes)?.0)
    }

    /// The network whose blocks stand at these places of the supernet's stages, and where its parameters
    /// stand there.
    pub fn placed(
        &self,
        stand: &[Vec<usize>; 2],
        input: &[usize],
        classes: usize,
    ) -> Result<(Graph, Places)> {
        let (mut b, x) = begin(&self.label(), input)?;
        let at = |stage: usize, i: usize| stand[stage].get(i).copied().unwrap_or(i);
        b.place("stem");
        let x = conv_norm(&mut b, &x, self.widths[0], 3, strided())?;
        let mut x = b.unary("Gelu", &x)?;
        for stage in 0..2 {
            if stage == 1 {
                b.place("reduction");
                x = conv_norm(&mut b, &x, self.widths[1], 3, strided())?;
            }
            for i in 0..self.images[stage] {
                b.place(image_place(stage, at(stage, i)));
                x = image_block(&mut b, &x)?;
            }
        }
        if self.tokens == 0 {
            return finish_image(b, &x, classes);
        }
        let mut x = b.tokens(&x)?;
        for i in 0..self.tokens {
            b.place(token_place(at(1, self.images[1] + i)));
            x = token_block(&mut b, &x, true)?;
        }
        finish_tokens(b, &x, classes)
    }
}

fn image_place(stage: usize, i: usize) -> String {
    format!("stage {}.place {}.image", stage + 1, i + 1)
}

fn token_place(i: usize) -> String {
    format!("stage 2.place {}.tokens", i + 1)
}

/// A network with the weights that stand at its places in a wider one: of each the leading channels. What
/// has no counterpart there is fresh.
pub(super) fn inherit(model: &Model, places: &Places, (graph, at): (Graph, &Places)) -> Model {
    let mut child = Model::init(graph, 0);
    for (name, weight) in &mut child.weights {
        let place = at.get(name);
        let Some((from, _)) = places.iter().find(|(_, p)| Some(*p) == place) else { continue };
        let Some(wide) = model.weights.get(from).filter(|w| w.shape.len() == weight.shape.len()) else {
            continue;
        };
        if wide.shape.iter().zip(&weight.shape).all(|(w, n)| n <= w) {
            let piece = Piece { place: String::new(), start: vec![0; weight.shape.len()], whole: false };
            let values = piece.take(&wide.to_f32(), &wide.shape, &weight.shape);
            *weight = Weight::dense(weight.shape.clone(), values);
        }
    }
    child
}

/// A plain vision transformer of some blocks on patches of 4×4 pixels.
pub(super) fn vit(width: usize, depth: usize, input: &[usize], classes: usize) -> Result<Graph> {
    let (mut b, x) = begin(&format!("plain ViT, {depth}×{width}"), input)?;
    let patches = ConvOptions { stride: 4, bias: true, ..ConvOptions::default() };
    let x = one_conv_without_padding(&mut b, &x, width, 4, patches)?;
    let x = b.tokens(&x)?;
    let tokens = b.shape(&x).get(1).copied().unwrap_or(1);
    let positions = b.param("positions.weight".into(), vec![1, tokens, width], Init::He { fan_in: 50 }, true);
    let mut x = b.add(&x, &positions)?;
    for _ in 0..depth {
        x = token_block(&mut b, &x, false)?;
    }
    Ok(finish_tokens(b, &x, classes)?.0)
}

/// A convolution of patches that do not overlap: an even kernel as wide as its stride has no border.
pub(super) fn one_conv_without_padding(
    b: &mut GraphBuilder,
    x: &str,
    width: usize,
    side: usize,
    options: ConvOptions,
) -> Result<String> {
    let channels = b.shape(x).get(1).copied().unwrap_or(1);
    let fan_in = channels * side * side;
    let weight =
        b.param("patches.weight".into(), vec![width, channels, side, side], Init::He { fan_in }, true);
    let bias = b.param("patches.bias".into(), vec![width], Init::Constant(0.0), true);
    let square = |n: usize| Attr::Ints(vec![n as i64; 2]);
    let attrs = Attrs::from([
        ("kernel_shape".into(), square(side)),
        ("strides".into(), square(options.stride)),
        ("pads".into(), Attr::Ints(vec![0; 4])),
    ]);
    one(b, "Conv", &[x, &weight, &bias], attrs)
}

/// A MobileNetV2 (Sandler et al., CVPR 2018, arXiv:1801.04381): a stem, then inverted bottlenecks that
/// widen six times, ReLU6, so many in each stage.
pub(super) fn mobilenet(width: usize, places: [usize; 2], input: &[usize], classes: usize) -> Result<Graph> {
    let (mut b, x) =
        begin(&format!("MobileNetV2, {}×{width}, {}×{}", places[0], places[1], 2 * width), input)?;
    let relu6 = |b: &mut GraphBuilder, x: &str| {
        let attrs = Attrs::from([("min".into(), Attr::Float(0.0)), ("max".into(), Attr::Float(6.0))]);
        one(b, "Clip", &[x], attrs)
    };
    let x = conv_norm(&mut b, &x, width, 3, strided())?;
    let mut x = relu6(&mut b, &x)?;
    for (stage, places) in places.into_iter().enumerate() {
        for i in 0..places {
            let (out, stride) = (width << stage, if stage == 1 && i == 0 { 2 } else { 1 });
            let channels = b.shape(&x).get(1).copied().unwrap_or(0);
            let middle = 6 * channels;
            let y = conv_norm(&mut b, &x, middle, 1, ConvOptions::default())?;
            let y = relu6(&mut b, &y)?;
            let depthwise = ConvOptions { stride, groups: middle, ..ConvOptions::default() };
            let y = conv_norm(&mut b, &y, middle, 3, depthwise)?;
            let y = relu6(&mut b, &y)?;
            let y = conv_norm(&mut b, &y, out, 1, ConvOptions::default())?;
            x = if channels == out && stride == 1 { b.add(&x, &y)? } else { y };
        }
    }
    Ok(finish_image(b, &x, classes)?.0)
}

/// The supernet: at every place a mixture of what may stand there, by parts that
/// `path{place}.weight` becomes ([`Paths`]).
pub(super) fn supernet(input: &[usize], classes: usize) -> Result<(Graph, Places)> {
    let (mut b, x) = begin("supernet", input)?;
    b.place("stem");
    let x = conv_norm(&mut b, &x, WIDTHS[0], 3, strided())?;
    let mut x = b.unary("Gelu", &x)?;
    let mut place = 0;
    for (stage, places) in PLACES.into_iter().enumerate() {
        if stage == 1 {
            b.place("reduction");
            x = conv_norm(&mut b, &x, WIDTHS[1], 3, strided())?;
        }
        for i in 0..places {
            b.place(image_place(stage, i));
            let mut ways = vec![x.clone(), image_block(&mut b, &x)?];
            if stage == 1 {
                let (h, w) = match b.shape(&x) {
                    [_, _, h, w] => (*h, *w),
                    _ => (0, 0),
                };
                let tokens = b.tokens(&x)?;
                b.place(token_place(i));
                let tokens = token_block(&mut b, &tokens, true)?;
                ways.push(b.image(&tokens, h, w)?);
            }
            b.place("paths");
            let parts =
                b.param(format!("path{place}.weight"), vec![ways.len(), 1, 1, 1], Init::Constant(0.0), true);
            let mut sum: Option<String> = None;
            for (i, way) in ways.iter().enumerate() {
                let part = b.slice(&parts, 0, i..i + 1)?;
                let part = b.mul(way, &part)?;
                sum = Some(match sum {
                    Some(sum) => b.add(&sum, &part)?,
                    None => part,
                });
            }
            x = sum.unwrap_or(x);
            place += 1;
        }
    }
    finish_image(b, &x, classes)
}

/// Every network of the paper's kind whose steps slimming may meet: one of each block.
pub(super) fn corners(shape: &[usize], classes: usize) -> Result<Vec<Graph>> {
    let mut all = Vec::new();
    for a in (STEP..=WIDTHS[0]).step_by(STEP) {
        for b in (STEP..=WIDTHS[1]).step_by(STEP) {
            for images in [[0, 0], [1, 1]] {
                for tokens in [0, 1] {
                    all.push(Design { widths: [a, b], images, tokens }.graph(shape, classes)?);
                }
            }
        }
    }
    Ok(all)
}

/// The families that slimmed networks are compared with: names, tones, members.
pub(super) fn families(full: &Design, shape: &[usize], classes: usize) -> Result<[Vec<Graph>; 3]> {
    let mut uniform = Vec::new();
    // As fine as widths go, so that one is as fast as the slimmed network.
    for k in 4..=WIDTHS[1] {
        let widths = full.widths.map(|w| w * k / WIDTHS[1]);
        uniform.push(Design { widths, ..full.clone() }.graph(shape, classes)?);
        let (images, tokens) = (full.images.map(|n| n.div_ceil(2)), full.tokens.div_ceil(2));
        uniform.push(Design { widths, images, tokens }.graph(shape, classes)?);
    }
    let (mut vits, mut nets) = (Vec::new(), Vec::new());
    for depth in 1..=4 {
        for k in 1..=12 {
            vits.push(vit(k * HEADS, depth, shape, classes)?);
        }
    }
    for places in [PLACES, [1, 3], [1, 2]] {
        for width in 3..=14 {
            nets.push(mobilenet(width, places, shape, classes)?);
        }
    }
    Ok([uniform, vits, nets])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{self, reference};
    use crate::model::Model;

    #[test]
    fn slimmed_networks_inherit_the_weights_of_their_places() {
        let shape = [1, 8, 8];
        let (graph, places) = supernet(&shape, 10).unwrap();
        let whole = Model::init(graph, 7);
        let design = Design { widths: [8, 24], images: [1, 1], tokens: 1 };
        let stand = [vec![1], vec![0, 3]];
        let (graph, at) = design.placed(&stand, &shape, 10).unwrap();
        let child = inherit(&whole, &places, (graph, &at));
        child.check().unwrap();
        let named = |all: &Places, place: &str| all.iter().find(|(_, p)| *p == place).unwrap().0.clone();
        // The second place of the first stage: 8 of 12 inputs of each of its first 32 filters.
        let place = "stage 1.place 2.image.conv 0.weight";
        let (have, want) = (child.values(&named(&at, place)), whole.values(&named(&places, place)));
        assert_eq!((have.len(), want.len()), (32 * 8, 48 * 12));
        assert_eq!(have[8..16], want[12..20]);
        // Whole: the last place's attention, and not the one before it.
        let place = "stage 2.place 4.tokens.dense 0.weight";
        assert_eq!(child.values(&named(&at, place)), whole.values(&named(&places, place)));
        assert_eq!(at.values().filter(|p| p.contains("place 3")).count(), 0);
    }

    #[test]
    fn every_kind_of_network_runs_on_the_engine_as_on_the_reference() {
        let shape = [1, 8, 8];
        let design = Design { widths: [4, 8], images: [1, 1], tokens: 1 };
        let graphs = [
            design.graph(&shape, 10).unwrap(),
            vit(8, 2, &shape, 10).unwrap(),
            mobilenet(2, [1, 2], &shape, 10).unwrap(),
        ];
        let input: Vec<f32> = (0..2 * 64).map(|i| (i as f32 * 0.7).sin()).collect();
        for graph in graphs {
            let model = Model::init(graph, 2);
            let (want, mut have) = (reference::run(&model, &input).unwrap(), Vec::new());
            engine::Plan::new(&model, 2).unwrap().run(&input, &mut have).unwrap();
            let off = have.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(have.len() == 20 && off < 1e-4, "{}: {off} off", model.graph.name);
        }
    }
}
