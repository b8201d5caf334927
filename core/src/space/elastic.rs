//! Elastic MobileNets: inverted bottlenecks in two stages, with the resolution, and in each stage
//! the depth, the width and the kernel free.
//!
//! Yu et al., "BigNAS: Scaling Up Neural Architecture Search with Big Single-Stage Models" (ECCV
//! 2020, arXiv:2003.11142) search these four dimensions; the blocks are those of MobileNetV2
//! (Sandler et al., CVPR 2018). Every option of a gene is larger than the one before, so the last
//! ones together are the largest network, and each other network is a part of it: the leading blocks
//! of a stage, the leading channels, the centre of a kernel. The last norm of a residual branch
//! starts at zero.

use super::{Gene, Genome, Space, check};
use crate::model::{ConvOptions, Graph, GraphBuilder, Places};
use crate::params::{Config, ParamSpec};
use crate::registry::{Citation, Method};
use crate::{Error, Result};

/// See the module.
pub struct Elastic;

pub(super) static METHOD: Method = Method {
    id: "elastic",
    name: "Elastic MobileNet",
    sentence: "Two stages of inverted bottlenecks; the resolution, and each stage's depth, width and kernel are free, and every network is a part of the largest.",
    formula: "(r, d₁, w₁, k₁, d₂, w₂, k₂)",
    citation: Citation {
        authors: "Yu, Jin, Liu, Bender, Kindermans, Tan, Huang, Song, Pang and Le",
        title: "BigNAS: Scaling Up Neural Architecture Search with Big Single-Stage Models",
        year: 2020,
        venue: "ECCV, arXiv:2003.11142",
    },
    params: &[
        ParamSpec::int(
            "elastic.resolution",
            "Highest resolution",
            4,
            64,
            16,
            "Images are scaled to a half, three quarters or all of it, by linear interpolation.",
        )
        .unit("pixels"),
        ParamSpec::int("elastic.depth", "Deepest stage", 1, 4, 2, "How many blocks a stage has at most."),
        ParamSpec::int(
            "elastic.width",
            "Widest stage",
            4,
            64,
            16,
            "Channels of the first stage at most; a half and three quarters are the other choices. The second stage has twice as many.",
        )
        .unit("channels"),
        ParamSpec::int(
            "elastic.expansion",
            "Expansion",
            1,
            6,
            2,
            "How many times wider the middle of a block is.",
        ),
    ],
};

const STAGES: usize = 2;
const KERNELS: [usize; 2] = [3, 5];
/// Genes of a stage: depth, width, kernel. The resolution stands before them.
const PER_STAGE: usize = 3;

/// A half, three quarters and all of `top`, in steps of `unit`; each once.
fn parts(top: usize, unit: usize) -> Vec<usize> {
    let mut parts: Vec<usize> =
        [top / 2, top * 3 / 4, top].map(|n| n.next_multiple_of(unit).clamp(unit, top.max(unit))).into();
    parts.dedup();
    parts
}

fn resolutions(config: &Config) -> Vec<usize> {
    // Even, so that the strides of stem and second stage leave whole pixels.
    parts(config.count(METHOD.params, "elastic.resolution").max(4), 4)
}

fn widths(config: &Config, stage: usize) -> Vec<usize> {
    parts(config.count(METHOD.params, "elastic.width").max(4) << stage, 2)
}

/// What a stage of a genome is: blocks, channels, kernel.
fn stage(config: &Config, genome: &Genome, stage: usize) -> [usize; 3] {
    let gene = |k| genome.at(1 + stage * PER_STAGE + k);
    let pick = |options: &[usize], i: usize| options.get(i).or(options.last()).copied().unwrap_or(1);
    [1 + gene(0), pick(&widths(config, stage), gene(1)), pick(&KERNELS, gene(2))]
}

fn resolution(config: &Config, genome: &Genome) -> usize {
    let all = resolutions(config);
    all.get(genome.at(0)).or(all.last()).copied().unwrap_or(8)
}

/// One channel of every `expansion` becomes many: 1×1, depthwise k×k, 1×1; with a shortcut where it
/// is `residual`.
fn block(
    b: &mut GraphBuilder,
    x: &str,
    channels: usize,
    kernel: usize,
    stride: usize,
    expansion: usize,
    residual: bool,
) -> Result<String> {
    let middle = expansion * b.shape(x).get(1).copied().unwrap_or(0);
    let y = b.conv(x, middle, 1, ConvOptions::default())?;
    let y = b.batch_norm(&y)?;
    let y = b.unary("Relu", &y)?;
    let y = b.conv(&y, middle, kernel, ConvOptions { stride, groups: middle, ..ConvOptions::default() })?;
    let y = b.batch_norm(&y)?;
    let y = b.unary("Relu", &y)?;
    let y = b.conv(&y, channels, 1, ConvOptions::default())?;
    if !residual {
        return b.batch_norm(&y);
    }
    let y = b.batch_norm_from(&y, 0.0)?;
    b.add(x, &y)
}

/// The network, and where its parameters stand.
///
/// # Errors
/// As those of [`Space::graph`].
pub(crate) fn placed(
    config: &Config,
    genome: &Genome,
    input: &[usize],
    classes: usize,
) -> Result<(Graph, Places)> {
    check(&Elastic.genes(config), genome)?;
    let [_, _, _] = input else {
        return Err(Error::Unsupported(format!(
            "elastic MobileNets take images (channels, height, width), but a sample here is {input:?}; choose the MLP space"
        )));
    };
    let expansion = config.count(METHOD.params, "elastic.expansion").max(1);
    let mut b = GraphBuilder::new(&Elastic.label(config, genome), input);
    let side = resolution(config, genome);
    let mut x = b.interpolated(&b.input(), side)?;
    b.place("stem");
    // As wide as the first stage is at least: the stem is the same in every network.
    let stem = widths(config, 0).first().copied().unwrap_or(4);
    x = b.conv(&x, stem, 3, ConvOptions { stride: 2, ..ConvOptions::default() })?;
    x = b.batch_norm(&x)?;
    x = b.unary("Relu", &x)?;
    for s in 0..STAGES {
        let [depth, width, kernel] = stage(config, genome, s);
        for i in 0..depth {
            b.place(format!("stage {}.block {}", s + 1, i + 1));
            let stride = if s > 0 && i == 0 { 2 } else { 1 };
            // Never around the first block: whether widths happen to agree must not change the rest.
            x = block(&mut b, &x, width, kernel, stride, expansion, i > 0)?;
        }
    }
    b.place("head");
    let x = b.unary("Relu", &x)?;
    let x = b.unary("GlobalAveragePool", &x)?;
    let x = b.unary("Flatten", &x)?;
    let y = b.linear(&x, classes)?;
    b.finish_placed(&y)
}

impl Space for Elastic {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    fn genes(&self, config: &Config) -> Vec<Gene> {
        let mut genes = vec![Gene::new("resolution", resolutions(config))];
        for s in 0..STAGES {
            let depth = config.count(METHOD.params, "elastic.depth").max(1);
            genes.push(Gene::new(format!("stage {} depth", s + 1), 1..=depth));
            genes.push(Gene::new(format!("stage {} width", s + 1), widths(config, s)));
            genes.push(Gene::new(format!("stage {} kernel", s + 1), KERNELS));
        }
        genes
    }

    fn graph(&self, config: &Config, genome: &Genome, input: &[usize], classes: usize) -> Result<Graph> {
        Ok(placed(config, genome, input, classes)?.0)
    }

    fn label(&self, config: &Config, genome: &Genome) -> String {
        let stages = (0..STAGES).map(|s| {
            let [depth, width, kernel] = stage(config, genome, s);
            format!("{depth}×{width} k{kernel}")
        });
        format!("{} px, {}", resolution(config, genome), stages.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_hand() {
        let config = Config::default();
        assert_eq!(resolutions(&config), [8, 12, 16]);
        assert_eq!([widths(&config, 0), widths(&config, 1)], [[8, 12, 16], [16, 24, 32]]);
        let build = |g: &[u8]| Elastic.graph(&config, &Genome(g.to_vec()), &[1, 8, 8], 10).unwrap();
        let smallest = build(&[0; 7]).analyze(1).unwrap().total;
        // Stem 72 + 16; 8 → 16 → 8: 128 + 144 + 128 and norms; 8 → 16 → 16: 128 + 144 + 256 and norms.
        assert_eq!(smallest.params, 88 + (400 + 32 + 32 + 16) + (528 + 32 + 32 + 32) + 170);
        // At 4 × 4 pixels, and 2 × 2 behind the second stage's stride.
        assert_eq!(smallest.macs, 16 * 72 + 16 * 400 + (16 * 128 + 4 * 144 + 4 * 256) + 160);
        let genome = Genome(vec![2, 1, 2, 1, 0, 1, 0]);
        assert_eq!(Elastic.label(&config, &genome), "16 px, 2×16 k5, 1×24 k3");
        assert!(Elastic.graph(&config, &genome, &[64], 10).unwrap_err().to_string().contains("MLP"));
    }

    #[test]
    fn places_are_the_same_in_every_network() {
        let config = Config::default();
        let places = |g: &[u8]| -> std::collections::BTreeSet<String> {
            let (graph, places) = placed(&config, &Genome(g.to_vec()), &[1, 8, 8], 10).unwrap();
            assert!(graph.params.keys().eq(places.keys()));
            let names: std::collections::BTreeSet<_> = places.into_values().collect();
            assert_eq!(names.len(), graph.params.len(), "two parameters at one place");
            names
        };
        let (small, deep, all) =
            (places(&[0; 7]), places(&[0, 0, 0, 0, 1, 0, 0]), places(&[2, 1, 2, 1, 1, 2, 1]));
        assert!(small.is_subset(&deep) && deep.is_subset(&all) && small.len() < deep.len());
        assert!(all.contains("stage 2.block 2.conv 1.weight"), "{all:?}");
    }
}
