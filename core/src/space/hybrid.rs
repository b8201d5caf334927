//! Hybrid networks of convolution and attention, placed freely: every place of every stage holds one of several kinds
//! of blocks, or nothing.
//!
//! Free placement is that of HyTra: Li et al., "BossNAS: Exploring Hybrid CNN-transformers with Block-wisely
//! Self-supervised Neural Architecture Search" (ICCV 2021, arXiv:2103.12424). The blocks:
//!
//! - *convolution*: the inverted bottleneck of Sandler et al., "MobileNetV2" (CVPR 2018, arXiv:1801.04381);
//! - *pooling*: the mixer of Yu et al., "MetaFormer Is Actually What You Need for Vision" (CVPR 2022,
//!   arXiv:2111.11418), with an MLP of 1×1 convolutions, as in Li et al., "EfficientFormer" (NeurIPS 2022,
//!   arXiv:2206.01191);
//! - *attention* over the pixels as tokens, then an MLP (Dosovitskiy et al., ICLR 2021, arXiv:2010.11929). Its heads
//!   are softmax heads, or some of them scaling ones, whose scores are divided by the number of tokens and no more
//!   (Zeng et al., "MPCViT", ICCV 2023, arXiv:2211.13955).
//!
//! Between stages a 3×3 convolution of stride 2 doubles the channels.

use super::{Gene, Genome, Space, check};
use crate::model::{Attr, Attrs, ConvOptions, Graph, GraphBuilder};
use crate::params::{Config, ParamSpec};
use crate::registry::{Citation, Method};
use crate::{Error, Result};

/// See the module.
pub struct Hybrid;

pub(super) static METHOD: Method = Method {
    id: "hybrid",
    name: "Convolution and attention",
    sentence: "Stages of places, each of which holds a convolution block, a pooling block, an attention block with softmax or scaling heads, or nothing.",
    formula: "xᵢ₊₁ = Bᵢ(xᵢ),  Bᵢ ∈ {conv, pool, attention, identity}",
    citation: Citation {
        authors: "Li, Tang, Wang, Peng, Wang, Liang and Chang",
        title: "BossNAS: Exploring Hybrid CNN-transformers with Block-wisely Self-supervised Neural Architecture Search",
        year: 2021,
        venue: "ICCV, arXiv:2103.12424",
    },
    params: &[
        ParamSpec::int(
            "hybrid.resolution",
            "Resolution",
            4,
            64,
            8,
            "Images are scaled to this size, by repeating pixels.",
        )
        .unit("pixels"),
        ParamSpec::int("hybrid.stages", "Stages", 1, 4, 2, "Each has a quarter of the pixels of the one before."),
        ParamSpec::int("hybrid.places", "Places", 1, 6, 2, "Blocks of a stage at most."),
        ParamSpec::int(
            "hybrid.width",
            "Widest first stage",
            4,
            64,
            12,
            "Channels of the first stage at most; a half and three quarters are the other choices. Each further stage has twice as many.",
        )
        .unit("channels"),
        ParamSpec::int("hybrid.heads", "Heads", 2, 8, 2, "Heads of an attention block."),
        ParamSpec::int("hybrid.expansion", "Expansion", 1, 6, 2, "How many times wider the middle of a block is."),
    ],
};

/// What a place holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Conv,
    Pool,
    /// So many halves of the heads are scaling ones.
    Attention(usize),
}

const KINDS: [(Kind, &str, &str); 6] = [
    (Kind::Nothing, "nothing", "–"),
    (Kind::Conv, "convolution", "C"),
    (Kind::Pool, "pooling", "P"),
    (Kind::Attention(0), "attention", "A"),
    (Kind::Attention(1), "attention, half of the heads scaling", "H"),
    (Kind::Attention(2), "scaling attention", "S"),
];

fn count(config: &Config, key: &str) -> usize {
    config.count(METHOD.params, &format!("hybrid.{key}")).max(1)
}

/// Channels that the first stage may have; even, so that two heads share them.
fn widths(config: &Config) -> Vec<usize> {
    let (top, unit) = (count(config, "width"), count(config, "heads"));
    let mut widths: Vec<usize> = [top / 2, top * 3 / 4, top].map(|n| n.next_multiple_of(unit)).into();
    widths.dedup();
    widths
}

/// The kinds at the places of every stage, those that hold nothing left out.
fn stages(config: &Config, genome: &Genome) -> Vec<Vec<usize>> {
    let places = count(config, "places");
    let of = |s: usize| (0..places).map(move |p| genome.at(1 + s * places + p)).filter(|k| *k > 0).collect();
    (0..count(config, "stages")).map(of).collect()
}

fn one(b: &mut GraphBuilder, op: &str, inputs: &[&str], attrs: &[(&str, Attr)]) -> Result<String> {
    let attrs: Attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Ok(b.node(op, inputs, attrs, 1)?.swap_remove(0))
}

fn channels(b: &GraphBuilder, x: &str) -> usize {
    b.shape(x).get(1).copied().unwrap_or(1)
}

/// A convolution with its norm.
pub(crate) fn conv_norm(
    b: &mut GraphBuilder,
    x: &str,
    width: usize,
    side: usize,
    options: ConvOptions,
) -> Result<String> {
    let y = b.conv(x, width, side, options)?;
    b.batch_norm(&y)
}

/// A convolution with its norm and a ReLU6.
fn bent(b: &mut GraphBuilder, x: &str, width: usize, side: usize, options: ConvOptions) -> Result<String> {
    let y = conv_norm(b, x, width, side, options)?;
    one(b, "Clip", &[&y], &[("min", Attr::Float(0.0)), ("max", Attr::Float(6.0))])
}

fn convolution(b: &mut GraphBuilder, x: &str, expansion: usize) -> Result<String> {
    let width = channels(b, x);
    let middle = expansion * width;
    let y = bent(b, x, middle, 1, ConvOptions::default())?;
    let y = bent(b, &y, middle, 3, ConvOptions { groups: middle, ..ConvOptions::default() })?;
    let y = conv_norm(b, &y, width, 1, ConvOptions::default())?;
    b.add(x, &y)
}

/// x + pool(x), then an MLP of 1×1 convolutions with its shortcut.
pub(crate) fn pooling(b: &mut GraphBuilder, x: &str, expansion: usize) -> Result<String> {
    let width = channels(b, x);
    let pooled = b.pool("AveragePool", x, 3, 1)?;
    let x = b.add(x, &pooled)?;
    let y = conv_norm(b, &x, expansion * width, 1, ConvOptions::default())?;
    let y = b.unary("Gelu", &y)?;
    let y = conv_norm(b, &y, width, 1, ConvOptions::default())?;
    b.add(&x, &y)
}

/// An MLP behind a layer norm, with its shortcut, over `[batch, tokens, features]`.
pub(crate) fn token_mlp(b: &mut GraphBuilder, x: &str, expansion: usize) -> Result<String> {
    let features = b.shape(x).last().copied().unwrap_or(0);
    let y = b.layer_norm(x)?;
    let y = b.dense(&y, expansion * features, true)?;
    let y = b.unary("Gelu", &y)?;
    let y = b.dense(&y, features, true)?;
    b.add(x, &y)
}

fn attention(
    b: &mut GraphBuilder,
    x: &str,
    expansion: usize,
    heads: usize,
    scaling: usize,
) -> Result<String> {
    let (height, width, features) = match b.shape(x) {
        [_, c, h, w] => (*h, *w, *c),
        other => {
            return Err(Error::Unsupported(format!("attention here is over pixels, not over {other:?}")));
        }
    };
    let each = (features / heads).max(1);
    let x = b.tokens(x)?;
    let y = b.layer_norm(&x)?;
    let y = b.attention_by(&y, heads, each, &mut |b, scores| b.shares(scores, 1, heads - scaling))?;
    let x = b.add(&x, &y)?;
    let y = token_mlp(b, &x, expansion)?;
    b.image(&y, height, width)
}

impl Space for Hybrid {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    fn genes(&self, config: &Config) -> Vec<Gene> {
        let mut genes = vec![Gene::new("width", widths(config))];
        for s in 0..count(config, "stages") {
            for p in 0..count(config, "places") {
                genes.push(Gene::new(format!("stage {}, place {}", s + 1, p + 1), KINDS.map(|k| k.1)));
            }
        }
        genes
    }

    /// Places that hold nothing come last in their stage: where they stand makes no difference.
    fn canonical(&self, config: &Config, genome: &Genome) -> Genome {
        let places = count(config, "places");
        let of = |stage: Vec<usize>| {
            let kinds = stage.into_iter().map(|k| k as u8);
            kinds.chain(std::iter::repeat(0)).take(places).collect::<Vec<u8>>()
        };
        let stages = stages(config, genome).into_iter().flat_map(of);
        Genome(std::iter::once(genome.at(0) as u8).chain(stages).collect())
    }

    fn graph(&self, config: &Config, genome: &Genome, input: &[usize], classes: usize) -> Result<Graph> {
        check(&self.genes(config), genome)?;
        if input.len() != 3 {
            return Err(Error::Unsupported(format!(
                "hybrid networks take images (channels, height, width), but a sample here is {input:?}; choose the MLP space"
            )));
        }
        let mut b = GraphBuilder::new(&self.label(config, genome), input);
        let side = count(config, "resolution");
        let mut x = b.resized(&b.input(), side)?;
        let width = widths(config).get(genome.at(0)).copied().unwrap_or(1);
        let (expansion, heads) = (count(config, "expansion"), count(config, "heads"));
        for (s, kinds) in stages(config, genome).into_iter().enumerate() {
            let stride = if s == 0 { 1 } else { 2 };
            if s > 0 && b.shape(&x).last().is_none_or(|side| *side < 2) {
                return Err(Error::Unsupported(format!(
                    "images of {side} pixels have nothing left to halve in stage {}",
                    s + 1
                )));
            }
            x = bent(&mut b, &x, width << s, 3, ConvOptions { stride, ..ConvOptions::default() })?;
            for kind in kinds {
                x = match KINDS[kind].0 {
                    Kind::Nothing => x,
                    Kind::Conv => convolution(&mut b, &x, expansion)?,
                    Kind::Pool => pooling(&mut b, &x, expansion)?,
                    Kind::Attention(halves) => attention(&mut b, &x, expansion, heads, heads * halves / 2)?,
                };
            }
        }
        let x = b.unary("GlobalAveragePool", &x)?;
        let x = b.unary("Flatten", &x)?;
        let y = b.linear(&x, classes)?;
        b.finish(&y)
    }

    fn label(&self, config: &Config, genome: &Genome) -> String {
        let width = widths(config).get(genome.at(0)).copied().unwrap_or(1);
        let stages = stages(config, genome).into_iter().map(|kinds| match kinds.as_slice() {
            [] => KINDS[0].2.to_owned(),
            kinds => kinds.iter().map(|k| KINDS[*k].2).collect(),
        });
        format!("{width} wide: {}", stages.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(genes: &[u8]) -> Graph {
        Hybrid.graph(&Config::default(), &Genome(genes.to_vec()), &[1, 8, 8], 10).unwrap()
    }

    #[test]
    fn blocks_stand_where_they_are_placed() {
        let ops = |g: &Graph| g.nodes.iter().map(|n| n.op.clone()).collect::<Vec<_>>();
        let first = ops(&graph(&[0, 3, 1, 2, 0]));
        let place = |op: &str| first.iter().position(|o| o == op).unwrap();
        assert!(
            place("Softmax") < place("AveragePool"),
            "attention in the first stage, pooling in the second"
        );
        let other = ops(&graph(&[0, 2, 0, 1, 3]));
        let place = |op: &str| other.iter().position(|o| o == op).unwrap();
        assert!(place("AveragePool") < place("Softmax"), "and the other way round");
    }

    #[test]
    fn kinds_of_heads_have_the_same_weights_and_other_shares() {
        let of = |kind: u8| graph(&[0, kind, 0, 0, 0]);
        let softmaxes = |g: &Graph| g.nodes.iter().filter(|n| n.op == "Softmax").count();
        let params = |g: &Graph| g.analyze(1).unwrap().total.params;
        assert_eq!([3, 4, 5].map(|k| softmaxes(&of(k))), [1, 1, 0]);
        assert!([4, 5].iter().all(|k| params(&of(*k)) == params(&of(3))));
    }

    #[test]
    fn counts_by_hand() {
        let total = graph(&[0, 1, 0, 0, 0]).analyze(1).unwrap().total;
        // Stems of 6 and 12 channels with norms; the bottleneck 6 → 12 → 6; the classifier.
        let stems = (9 * 6 + 12) + (9 * 6 * 12 + 24);
        let block = (6 * 12 + 24) + (9 * 12 + 24) + (12 * 6 + 12);
        assert_eq!(total.params as usize, stems + block + 12 * 10 + 10);
        let macs = 64 * 9 * 6 + 16 * 9 * 6 * 12 + 64 * (6 * 12 + 9 * 12 + 12 * 6) + 120;
        assert_eq!(total.macs as usize, macs);
    }
}
