//! Chain-structured convolutional networks: a stem, blocks one after the other, a head.
//!
//! Baker et al., "Designing Neural Network Architectures using Reinforcement Learning" (ICLR
//! 2017, arXiv:1611.02167) search such chains. The blocks are the usual ones: plain convolution,
//! depthwise separable (Howard et al., MobileNets, arXiv:1704.04861), inverted bottleneck
//! (Sandler et al., MobileNetV2, CVPR 2018), and pooling; identity skips (He et al., CVPR 2016)
//! stand wherever shapes allow.

use super::{Gene, Genome, Space, check};
use crate::model::{ConvOptions, Graph, GraphBuilder};
use crate::params::{Config, ParamSpec};
use crate::registry::{Citation, Method};
use crate::{Error, Result};

/// See the module.
pub struct Chain;

pub(super) static METHOD: Method = Method {
    id: "chain",
    name: "Chain of convolutions",
    sentence: "A stem and up to a few blocks in a row; depth, widths, kernels, strides, block kinds, skips, the activation and the head are free.",
    formula: "y = head(bₗ ∘ … ∘ b₂ ∘ stem(x)),  bᵢ ∈ {conv, separable, inverted, max pool, mean pool}",
    citation: Citation {
        authors: "Baker, Gupta, Naik and Raskar",
        title: "Designing Neural Network Architectures using Reinforcement Learning",
        year: 2017,
        venue: "ICLR, arXiv:1611.02167",
    },
    params: &[
        ParamSpec::int(
            "chain.depth",
            "Most layers",
            1,
            8,
            3,
            "How many layers a network may have at most, the stem included.",
        ),
        ParamSpec::int(
            "chain.width",
            "Widest layer",
            4,
            64,
            24,
            "How many channels a layer may have at most.",
        )
        .unit("channels"),
        ParamSpec::int(
            "chain.narrow",
            "Narrowest layer",
            4,
            64,
            8,
            "How many channels a layer has at least; below 8, a layer loses much on the way.",
        )
        .unit("channels"),
        ParamSpec::int(
            "chain.expansion",
            "Expansion",
            1,
            6,
            3,
            "How many times wider the middle of an inverted bottleneck is.",
        ),
        ParamSpec::choice(
            "chain.blocks",
            "Blocks",
            &[
                ("plain", "convolution and pooling"),
                ("separable", "separable convolution too"),
                ("all", "inverted bottlenecks too"),
            ],
            "plain",
            "Which kinds of blocks there are. Depthwise convolutions save MACs but train slowly on a CPU.",
        ),
    ],
};

const WIDTHS: [usize; 8] = [4, 8, 12, 16, 24, 32, 48, 64];
const KERNELS: [usize; 2] = [3, 5];
const ACTIVATIONS: [&str; 3] = ["Relu", "HardSwish", "Gelu"];
const BLOCKS: [&str; 5] = ["conv", "separable", "inverted", "max pool", "mean pool"];
/// What a block gene chooses from, as indices into [`BLOCKS`].
fn kinds(config: &Config) -> &'static [usize] {
    match config.text(METHOD.params, "chain.blocks").as_str() {
        "all" => &[0, 1, 2, 3, 4],
        "separable" => &[0, 1, 3, 4],
        _ => &[0, 3, 4],
    }
}

/// Genes before the layers': depth, activation, head.
const GLOBAL: usize = 3;
/// Genes of a layer: block, width, kernel, stride, skip.
const PER_LAYER: usize = 5;

/// One layer, read from a genome.
#[derive(Debug, Clone, Copy)]
struct Layer {
    block: usize,
    width: usize,
    kernel: usize,
    stride: usize,
    skip: bool,
}

impl Layer {
    fn pools(self) -> bool {
        self.block >= 3
    }
}

fn widths(config: &Config) -> Vec<usize> {
    let most = config.count(METHOD.params, "chain.width");
    let least = config.count(METHOD.params, "chain.narrow").min(most);
    let widths: Vec<usize> = WIDTHS.into_iter().filter(|w| (least..=most).contains(w)).collect();
    // Bounds with no width between them.
    if widths.is_empty() { vec![most.max(WIDTHS[0])] } else { widths }
}

fn layers(config: &Config, genome: &Genome) -> Vec<Layer> {
    let (widths, kinds) = (widths(config), kinds(config));
    (0..=genome.at(0))
        .map(|i| {
            let gene = |k| genome.at(GLOBAL + i * PER_LAYER + k);
            Layer {
                block: kinds.get(gene(0)).copied().unwrap_or(0),
                width: widths.get(gene(1)).copied().unwrap_or(WIDTHS[0]),
                kernel: KERNELS.get(gene(2)).copied().unwrap_or(KERNELS[0]),
                stride: gene(3) + 1,
                skip: gene(4) == 1,
            }
        })
        .collect()
}

/// Whether a skip around a layer on `channels` channels joins equal shapes and means something.
fn skips(layer: Layer, channels: usize) -> bool {
    layer.skip && !layer.pools() && layer.stride == 1 && layer.width == channels
}

impl Space for Chain {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    fn genes(&self, config: &Config) -> Vec<Gene> {
        let depth = config.count(METHOD.params, "chain.depth").max(1);
        let widths = widths(config);
        let mut genes = vec![
            Gene::new("depth", 1..=depth),
            Gene::new("activation", ACTIVATIONS),
            Gene::new("head", ["global mean", "flatten"]),
        ];
        for i in 1..=depth {
            // The first layer sees the raw image, of one or three channels: pooling it or working
            // on its channels one by one would waste the candidate.
            let kinds = if i == 1 { &kinds(config)[..1] } else { kinds(config) };
            genes.push(Gene::new(format!("layer {i} block"), kinds.iter().map(|k| BLOCKS[*k])));
            genes.push(Gene::new(format!("layer {i} width"), &widths));
            genes.push(Gene::new(format!("layer {i} kernel"), KERNELS));
            genes.push(Gene::new(format!("layer {i} stride"), [1, 2]));
            genes.push(Gene::new(format!("layer {i} skip"), ["no", "yes"]));
        }
        genes
    }

    fn canonical(&self, config: &Config, genome: &Genome) -> Genome {
        let mut canonical = genome.clone();
        let layers = layers(config, genome);
        let mut channels = 0;
        for (i, layer) in layers.iter().enumerate() {
            let base = GLOBAL + i * PER_LAYER;
            if layer.pools() {
                canonical.0[base + 1] = 0;
            }
            if !skips(*layer, channels) {
                canonical.0[base + 4] = 0;
            }
            if !layer.pools() {
                channels = layer.width;
            }
        }
        canonical.0.iter_mut().skip(GLOBAL + layers.len() * PER_LAYER).for_each(|g| *g = 0);
        canonical
    }

    fn graph(&self, config: &Config, genome: &Genome, input: &[usize], classes: usize) -> Result<Graph> {
        check(&self.genes(config), genome)?;
        if input.len() != 3 {
            return Err(Error::Unsupported(format!(
                "chains of convolutions take images (channels, height, width), but a sample here is {input:?}; choose the MLP space"
            )));
        }
        let act = ACTIVATIONS.get(genome.at(1)).copied().unwrap_or("Relu");
        let expansion = config.count(METHOD.params, "chain.expansion").max(1);
        let mut b = GraphBuilder::new(&self.label(config, genome), input);
        let mut x = b.input();
        for layer in layers(config, genome) {
            let channels = b.shape(&x)[1];
            let stride = ConvOptions { stride: layer.stride, ..ConvOptions::default() };
            let y = match layer.block {
                0 => {
                    let y = b.conv(&x, layer.width, layer.kernel, stride)?;
                    norm_act(&mut b, &y, act)?
                }
                1 => {
                    let depthwise = ConvOptions { groups: channels, ..stride };
                    let y = b.conv(&x, channels, layer.kernel, depthwise)?;
                    let y = norm_act(&mut b, &y, act)?;
                    let y = b.conv(&y, layer.width, 1, ConvOptions::default())?;
                    norm_act(&mut b, &y, act)?
                }
                2 => {
                    let wide = channels * expansion;
                    let y = b.conv(&x, wide, 1, ConvOptions::default())?;
                    let y = norm_act(&mut b, &y, act)?;
                    let y = b.conv(&y, wide, layer.kernel, ConvOptions { groups: wide, ..stride })?;
                    let y = norm_act(&mut b, &y, act)?;
                    // The projection stays linear, as published.
                    let y = b.conv(&y, layer.width, 1, ConvOptions::default())?;
                    b.batch_norm(&y)?
                }
                3 => b.pool("MaxPool", &x, layer.kernel, layer.stride)?,
                _ => b.pool("AveragePool", &x, layer.kernel, layer.stride)?,
            };
            x = if skips(layer, channels) { b.add(&x, &y)? } else { y };
        }
        if genome.at(2) == 0 {
            x = b.unary("GlobalAveragePool", &x)?;
        }
        let x = b.unary("Flatten", &x)?;
        let y = b.linear(&x, classes)?;
        b.finish(&y)
    }

    fn label(&self, config: &Config, genome: &Genome) -> String {
        let mut channels = 0;
        let mut parts = Vec::new();
        for layer in layers(config, genome) {
            let stride = if layer.stride == 2 { "/2" } else { "" };
            let skip = if skips(layer, channels) { "+" } else { "" };
            let k = layer.kernel;
            if !layer.pools() {
                channels = layer.width;
            }
            parts.push(match layer.block {
                0 => format!("c{k}×{channels}{stride}{skip}"),
                1 => format!("s{k}×{channels}{stride}{skip}"),
                2 => format!("i{k}×{channels}{stride}{skip}"),
                3 => format!("max{k}{stride}"),
                _ => format!("mean{k}{stride}"),
            });
        }
        let head = if genome.at(2) == 0 { "" } else { " flat" };
        format!("{} {}{head}", parts.join(" "), ACTIVATIONS.get(genome.at(1)).copied().unwrap_or("Relu"))
    }
}

fn norm_act(b: &mut GraphBuilder, x: &str, act: &str) -> Result<String> {
    let y = b.batch_norm(x)?;
    b.unary(act, &y)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrow() -> Config {
        Config::default().with("chain.narrow", crate::params::ParamValue::Int(4))
    }

    #[test]
    fn every_kind_of_block_builds_and_counts() {
        for (blocks, kinds) in [("plain", 3), ("separable", 4), ("all", 5)] {
            let config = narrow().with("chain.blocks", crate::params::ParamValue::Text(blocks.into()));
            let genes = Chain.genes(&config);
            assert_eq!(genes[GLOBAL + PER_LAYER].options.len(), kinds, "{blocks}");
            for kind in 0..kinds {
                let mut genome = Genome(vec![0; genes.len()]);
                genome.0[0] = 1;
                genome.0[GLOBAL + PER_LAYER] = kind as u8;
                let graph = Chain.graph(&config, &genome, &[1, 8, 8], 10).unwrap();
                // The stem on 4 channels, the block to 4 channels, the head.
                let block = match genes[GLOBAL + PER_LAYER].options[kind].as_str() {
                    "conv" => 144 + 8,
                    "separable" => (36 + 8) + (16 + 8),
                    "inverted" => (48 + 24) + (108 + 24) + (48 + 8),
                    _ => 0,
                };
                assert_eq!(graph.analyze(1).unwrap().total.params, (36 + 8) + block + 50, "{blocks} {kind}");
            }
        }
    }

    #[test]
    fn counts_by_hand() {
        // Two layers: conv 3×3 to 8 channels, then the same with stride 2, global mean, linear.
        let mut genome = Genome(vec![0; GLOBAL + 3 * PER_LAYER]);
        genome.0[0] = 1;
        genome.0[GLOBAL + 1] = 1;
        genome.0[GLOBAL + PER_LAYER + 1] = 1;
        genome.0[GLOBAL + PER_LAYER + 3] = 1;
        let config = narrow();
        let graph = Chain.graph(&config, &genome, &[1, 8, 8], 10).unwrap();
        let cost = graph.analyze(1).unwrap().total;
        assert_eq!(cost.params, (72 + 16) + (576 + 16) + (80 + 10));
        assert_eq!(Chain.label(&config, &genome), "c3×8 c3×8/2 Relu");
        // The skip of a layer with stride 2 joins nothing, so it is the same network.
        let mut skip = genome.clone();
        skip.0[GLOBAL + PER_LAYER + 4] = 1;
        assert_eq!(Chain.canonical(&config, &skip), genome);
        assert!(Chain.graph(&config, &genome, &[64], 10).unwrap_err().to_string().contains("MLP"));
    }
}
