//! Pooling placements: a small ResNet of which only the places where it halves the resolution are free.
//!
//! Javan, Toews and Pedersoli, "Balanced Mixture of SuperNets for Learning the CNN Pooling Architecture"
//! (AutoML 2023, arXiv:2306.11982) take a ResNet of basic blocks, whose widths grow at fixed blocks (theirs double, ours grow by a half),
//! and let a fixed number of strides stand before any of the blocks. A block that halves the resolution
//! has a stride of 2 in its first convolution; its shortcut takes every second pixel, or, where the width
//! changes, is a 1×1 convolution of that stride. Batch norms have neither scale nor shift, as in the
//! authors' code. So all placements have the same weights, and differ in MACs.

use super::{Gene, Genome, Space, check};
use crate::model::{Attrs, ConvOptions, Graph, GraphBuilder, Init, Places};
use crate::order::Order;
use crate::params::{Config, ParamSpec};
use crate::registry::{Citation, Method};
use crate::{Error, Result};

/// See the module.
pub struct Pooling;

pub(super) static METHOD: Method = Method {
    id: "pooling",
    name: "Pooling placement",
    sentence: "A small ResNet; free is before which of its blocks the resolution is halved.",
    formula: "{p₁ < … < pₙ} ⊂ {1, …, B}",
    citation: Citation {
        authors: "Javan, Toews and Pedersoli",
        title: "Balanced Mixture of SuperNets for Learning the CNN Pooling Architecture",
        year: 2023,
        venue: "AutoML, arXiv:2306.11982",
    },
    params: &[
        ParamSpec::int(
            "pooling.resolution",
            "Resolution",
            4,
            64,
            16,
            "Images are scaled to this size, by repeating pixels.",
        )
        .unit("pixels"),
        ParamSpec::int("pooling.blocks", "Blocks", 2, 12, 5, "Residual blocks of two convolutions."),
        ParamSpec::int(
            "pooling.halvings",
            "Halvings",
            1,
            4,
            3,
            "How often the resolution is halved; there is one stage of blocks more.",
        ),
        ParamSpec::int(
            "pooling.width",
            "Width",
            1,
            64,
            4,
            "Channels of the first stage; each next stage has half as many more.",
        )
        .unit("channels"),
    ],
};

fn blocks(config: &Config) -> usize {
    config.count(METHOD.params, "pooling.blocks").max(2)
}

fn halvings(config: &Config) -> usize {
    config.count(METHOD.params, "pooling.halvings").clamp(1, blocks(config))
}

/// Channels of a block, counted from 0.
fn width(config: &Config, block: usize) -> usize {
    let stage = (halvings(config) + 1) * block / blocks(config);
    config.count(METHOD.params, "pooling.width").max(1) * (2 + stage) / 2
}

/// The blocks of a placement, counted from 0, in rising order. Each gene counts among the blocks that those before
/// it have left, so that every genome is a placement.
fn chosen(config: &Config, genome: &Genome) -> Vec<usize> {
    let mut left: Vec<usize> = (0..blocks(config)).collect();
    let mut chosen: Vec<usize> =
        (0..halvings(config)).map(|i| left.remove(genome.at(i).min(left.len() - 1))).collect();
    chosen.order();
    chosen
}

/// The canonical genome of blocks in rising order: all that were taken before a block stand before it.
fn genome(chosen: &[usize]) -> Genome {
    Genome(chosen.iter().enumerate().map(|(i, block)| (block - i) as u8).collect())
}

/// Every placement once, in canonical form.
pub fn placements(config: &Config) -> Vec<Genome> {
    let mut all = vec![Vec::new()];
    for _ in 0..halvings(config) {
        let longer = all.iter().flat_map(|p: &Vec<usize>| {
            let from = p.last().map_or(0, |last| last + 1);
            (from..blocks(config)).map(move |block| [p.as_slice(), &[block]].concat())
        });
        all = longer.collect();
    }
    all.iter().map(|p| genome(p)).collect()
}

/// The predefined placement: where the width changes, as in a ResNet. More halvings than changes go to the
/// last of the other blocks.
pub fn usual(config: &Config) -> Genome {
    let mut changes: Vec<usize> =
        (1..blocks(config)).filter(|b| width(config, *b) != width(config, b - 1)).collect();
    let rest: Vec<usize> = (0..blocks(config)).rev().filter(|b| !changes.contains(b)).collect();
    changes.extend(rest);
    changes.truncate(halvings(config));
    changes.order();
    genome(&changes)
}

/// Batch norm without scale and shift: they are constants.
fn norm(b: &mut GraphBuilder, x: &str, name: &str) -> Result<String> {
    let c = vec![b.shape(x).get(1).copied().unwrap_or(0)];
    let [scale, bias, mean, var] = [("scale", 1.0), ("bias", 0.0), ("mean", 0.0), ("var", 1.0)]
        .map(|(part, value)| b.param(format!("{name}.{part}"), c.clone(), Init::Constant(value), false));
    Ok(b.node("BatchNormalization", &[x, &scale, &bias, &mean, &var], Attrs::new(), 1)?.swap_remove(0))
}

fn block(b: &mut GraphBuilder, x: &str, channels: usize, stride: usize, name: &str) -> Result<String> {
    let y = b.conv(x, channels, 3, ConvOptions { stride, ..ConvOptions::default() })?;
    let y = norm(b, &y, &format!("{name}-norm1"))?;
    let y = b.unary("Relu", &y)?;
    let y = b.conv(&y, channels, 3, ConvOptions::default())?;
    let y = norm(b, &y, &format!("{name}-norm2"))?;
    let same = b.shape(x).get(1) == Some(&channels);
    let shortcut = match (same, stride) {
        (true, 1) => x.to_owned(),
        (true, _) => b.pool("MaxPool", x, 1, stride)?,
        (false, _) => {
            let s = b.conv(x, channels, 1, ConvOptions { stride, ..ConvOptions::default() })?;
            norm(b, &s, &format!("{name}-norm3"))?
        }
    };
    let y = b.add(&shortcut, &y)?;
    b.unary("Relu", &y)
}

/// The network, and where its parameters stand: at the same places in every placement.
///
/// # Errors
/// As those of [`Space::graph`].
pub(crate) fn placed(
    config: &Config,
    genome: &Genome,
    input: &[usize],
    classes: usize,
) -> Result<(Graph, Places)> {
    check(&Pooling.genes(config), genome)?;
    let chosen = chosen(config, genome);
    let [_, _, _] = input else {
        return Err(Error::Unsupported(format!(
            "pooling placements take images (channels, height, width), but a sample here is {input:?}; choose the MLP space"
        )));
    };
    let mut b = GraphBuilder::new(&Pooling.label(config, genome), input);
    let side = config.count(METHOD.params, "pooling.resolution").max(4);
    let mut x = b.resized(&b.input(), side)?;
    b.place("stem");
    x = b.conv(&x, width(config, 0), 3, ConvOptions::default())?;
    x = norm(&mut b, &x, "stem-norm")?;
    x = b.unary("Relu", &x)?;
    for i in 0..blocks(config) {
        b.place(format!("block {}", i + 1));
        let stride = if chosen.contains(&i) { 2 } else { 1 };
        x = block(&mut b, &x, width(config, i), stride, &format!("block{}", i + 1))?;
    }
    b.place("head");
    let x = b.unary("GlobalAveragePool", &x)?;
    let x = b.unary("Flatten", &x)?;
    let y = b.linear(&x, classes)?;
    b.finish_placed(&y)
}

impl Space for Pooling {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    /// A gene for each halving: the block before which it stands, among those that are left.
    fn genes(&self, config: &Config) -> Vec<Gene> {
        let gene = |i: usize| Gene::new(format!("halving {}", i + 1), 1..=blocks(config) - i);
        (0..halvings(config)).map(gene).collect()
    }

    fn canonical(&self, config: &Config, genome: &Genome) -> Genome {
        self::genome(&chosen(config, genome))
    }

    fn graph(&self, config: &Config, genome: &Genome, input: &[usize], classes: usize) -> Result<Graph> {
        Ok(placed(config, genome, input, classes)?.0)
    }

    fn label(&self, config: &Config, genome: &Genome) -> String {
        let blocks: Vec<String> = chosen(config, genome).iter().map(|b| (b + 1).to_string()).collect();
        format!("halved at {}", blocks.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn all_placements_have_the_same_weights_at_the_same_places() {
        let config = Config::default();
        let all = placements(&config);
        assert_eq!(all.len(), 10, "three of five");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 10);
        assert_eq!(usual(&config), Genome(vec![2, 2, 2]), "where the width grows");
        let of = |g: &Genome| placed(&config, g, &[1, 8, 8], 10).unwrap();
        let (graph, places) = of(&all[0]);
        for genome in &all {
            let (other, others) = of(genome);
            assert_eq!(others, places, "{genome:?}");
            assert_eq!(other.params, graph.params, "{genome:?}");
        }
        let names: BTreeSet<&String> = places.values().collect();
        assert_eq!(names.len(), graph.params.len(), "two parameters at one place");
        assert!(placed(&config, &Genome(vec![0, 0, 3]), &[1, 8, 8], 10).is_err(), "three are left");
        // The third block, the first of the others, the third of the rest: blocks 1, 3 and 5.
        assert_eq!(chosen(&config, &Genome(vec![2, 0, 2])), [0, 2, 4]);
        assert_eq!(genome(&[0, 2, 4]), Genome(vec![0, 1, 2]));
    }

    #[test]
    fn counts_by_hand() {
        let config = Config::default();
        let cost = |g: &[u8]| {
            Pooling.graph(&config, &Genome(g.to_vec()), &[1, 8, 8], 10).unwrap().analyze(1).unwrap().total
        };
        let (early, late) = (cost(&[0, 0, 0]), cost(&[2, 2, 2]));
        // Stem; 4→4, 4→4, 4→6, 6→8, 8→10, where the width changes with a 1×1 shortcut; classifier.
        let (stem, same) = (36, 2 * 144);
        let [third, fourth, fifth] = [216 + 324 + 24, 432 + 576 + 48, 720 + 900 + 80];
        let weights = stem + 2 * same + third + fourth + fifth + 110;
        assert_eq!((early.params, late.params), (weights, weights));
        assert_eq!(early.macs, 256 * stem + (64 + 16) * same + 4 * (third + fourth + fifth) + 100);
        assert_eq!(late.macs, 256 * (stem + 2 * same) + 64 * third + 16 * fourth + 4 * fifth + 100);
    }
}
