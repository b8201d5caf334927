//! A chain of mobile blocks: every layer is an inverted bottleneck of one kernel and expansion, or nothing.
//!
//! Cai, Zhu and Han, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware" (ICLR
//! 2019, arXiv:1812.00332): the backbone is that of MobileNetV2, each block chooses among kernels 3, 5 and 7
//! and expansions 3 and 6, and blocks with a shortcut may be skipped. Ours is small, for small images:
//! images are enlarged and a stem of stride 2 reads them; two stages, the second of half the resolution and
//! twice the channels.

use super::{Gene, Genome, Space, check};
use crate::model::{ConvOptions, Graph, GraphBuilder};
use crate::params::{Config, ParamSpec};
use crate::registry::{Citation, Method};
use crate::{Error, Result};

/// See the module.
pub struct Proxyless;

pub(super) static METHOD: Method = Method {
    id: "proxyless",
    name: "Chain of mobile blocks",
    sentence: "Two stages of layers, each an inverted bottleneck with a kernel and an expansion of its own, or skipped.",
    formula: "x ← x + mbₖₑ(x),  k ∈ {3, 5, 7}, e ∈ {3, 6}, or x ← x",
    citation: Citation {
        authors: "Cai, Zhu and Han",
        title: "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware",
        year: 2019,
        venue: "ICLR, arXiv:1812.00332",
    },
    params: &[
        ParamSpec::int(
            "proxyless.channels",
            "Channels",
            2,
            64,
            6,
            "Channels of the first stage; the second has twice as many.",
        )
        .unit("channels"),
        ParamSpec::int("proxyless.depth", "Layers a stage", 1, 6, 3, "How many layers a stage has."),
        ParamSpec::int(
            "proxyless.candidates",
            "Candidates",
            1,
            6,
            6,
            "How many blocks a layer chooses among, beside being skipped where it has a shortcut.",
        ),
        ParamSpec::int(
            "proxyless.resolution",
            "Resolution",
            4,
            64,
            16,
            "Height and width to which images are brought; the stem halves them.",
        )
        .unit("pixels"),
    ],
};

/// The blocks, as (kernel, expansion); MobileNetV2's own comes first.
pub const BLOCKS: [(usize, usize); 6] = [(3, 6), (5, 6), (3, 3), (5, 3), (7, 6), (7, 3)];
/// Stages.
pub const STAGES: usize = 2;

/// Layers of the network as (stage, whether it has a shortcut): the first of a stage has none.
pub(crate) fn layers(config: &Config) -> Vec<(usize, bool)> {
    let depth = config.count(METHOD.params, "proxyless.depth").max(1);
    (0..STAGES).flat_map(|stage| (0..depth).map(move |i| (stage, i > 0))).collect()
}

/// How many blocks a layer chooses among.
pub(crate) fn candidates(config: &Config) -> usize {
    config.count(METHOD.params, "proxyless.candidates").clamp(1, BLOCKS.len())
}

/// An inverted bottleneck without its shortcut.
///
/// # Errors
/// The shapes do not fit.
pub(crate) fn block(
    b: &mut GraphBuilder,
    x: &str,
    channels: usize,
    (kernel, expansion): (usize, usize),
    stride: usize,
) -> Result<String> {
    let middle = expansion * b.shape(x).get(1).copied().unwrap_or(0);
    let y = b.conv(x, middle, 1, ConvOptions::default())?;
    let y = b.batch_norm(&y)?;
    let y = b.unary("Relu", &y)?;
    let y = b.conv(&y, middle, kernel, ConvOptions { stride, groups: middle, ..ConvOptions::default() })?;
    let y = b.batch_norm(&y)?;
    let y = b.unary("Relu", &y)?;
    let y = b.conv(&y, channels, 1, ConvOptions::default())?;
    b.batch_norm(&y)
}

/// A layer to be built.
pub(crate) struct Layer {
    /// Its number.
    pub index: usize,
    /// Its channels.
    pub channels: usize,
    /// Its stride.
    pub stride: usize,
    /// Whether it has a shortcut, and may be skipped.
    pub shortcut: bool,
}

/// The network around its layers; `layer` builds one on a tensor.
///
/// # Errors
/// The data's shape does not suit it.
pub(crate) fn skeleton<B: AsMut<GraphBuilder>>(
    b: &mut B,
    config: &Config,
    input: &[usize],
    classes: usize,
    layer: &mut dyn FnMut(&mut B, &str, Layer) -> Result<String>,
) -> Result<String> {
    let side = config.count(METHOD.params, "proxyless.resolution").max(4);
    let channels = config.count(METHOD.params, "proxyless.channels").max(1);
    let [_, _, _] = input else {
        return Err(Error::Unsupported(format!(
            "mobile blocks take images (channels, height, width), but a sample here is {input:?}; choose the MLP space"
        )));
    };
    let outer = b.as_mut();
    let mut x = outer.resized(&outer.input(), side)?;
    outer.place("stem");
    x = outer.conv(&x, channels, 3, ConvOptions { stride: 2, ..ConvOptions::default() })?;
    x = outer.batch_norm(&x)?;
    x = outer.unary("Relu", &x)?;
    let mut before = 0;
    for (index, (stage, shortcut)) in layers(config).into_iter().enumerate() {
        let stride = if stage > before { 2 } else { 1 };
        before = stage;
        x = layer(b, &x, Layer { index, channels: channels << stage, stride, shortcut })?;
    }
    let outer = b.as_mut();
    outer.place("head");
    let x = outer.unary("Relu", &x)?;
    let x = outer.unary("GlobalAveragePool", &x)?;
    let x = outer.unary("Flatten", &x)?;
    outer.linear(&x, classes)
}

impl Space for Proxyless {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    fn genes(&self, config: &Config) -> Vec<Gene> {
        let blocks = || BLOCKS.iter().take(candidates(config)).map(|(k, e)| format!("k{k} e{e}"));
        let each = layers(config).into_iter().enumerate().map(|(i, (_, shortcut))| {
            let skip = shortcut.then(|| "skip".to_owned());
            Gene::new(format!("layer {}", i + 1), blocks().chain(skip))
        });
        each.collect()
    }

    fn graph(&self, config: &Config, genome: &Genome, input: &[usize], classes: usize) -> Result<Graph> {
        check(&self.genes(config), genome)?;
        let mut b = GraphBuilder::new(&self.label(config, genome), input);
        let y = skeleton(&mut b, config, input, classes, &mut |b, x, layer| {
            let Some(chosen) =
                BLOCKS.get(genome.at(layer.index)).filter(|_| genome.at(layer.index) < candidates(config))
            else {
                return Ok(x.to_owned());
            };
            b.place(format!("layer {}", layer.index + 1));
            let y = block(b, x, layer.channels, *chosen, layer.stride)?;
            if layer.shortcut { b.add(x, &y) } else { Ok(y) }
        })?;
        b.finish(&y)
    }

    fn label(&self, config: &Config, genome: &Genome) -> String {
        let genes = self.genes(config);
        let each =
            genes.iter().enumerate().map(|(i, g)| g.options.get(genome.at(i)).cloned().unwrap_or_default());
        each.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_by_hand_and_skipped_layers_are_not_there() {
        let config = Config::default();
        let build =
            |genome: &[u8]| Proxyless.graph(&config, &Genome(genome.to_vec()), &[1, 8, 8], 10).unwrap();
        let params = |genome: &[u8]| build(genome).trainable_params();
        let all = params(&[0; 6]);
        // A layer of 6 channels, expanded to 36: 6·36 + 9·36 + 36·6, norms of 36, 36 and 6.
        assert_eq!(all - params(&[0, 6, 0, 0, 0, 0]), 216 + 324 + 216 + 2 * (36 + 36 + 6));
        // 5 × 5 instead of 3 × 3.
        assert_eq!(params(&[1, 0, 0, 0, 0, 0]) - all, 16 * 36);
        assert_eq!(
            Proxyless.label(&config, &Genome(vec![0, 6, 3, 4, 6, 2])),
            "k3 e6, skip, k5 e3, k7 e6, skip, k3 e3"
        );
        let options: Vec<usize> = Proxyless.genes(&config).iter().map(|g| g.options.len()).collect();
        assert_eq!(options, [6, 7, 7, 6, 7, 7], "the first layer of a stage has no shortcut");
        assert!(Proxyless.graph(&config, &Genome(vec![6, 0, 0, 0, 0, 0]), &[1, 8, 8], 10).is_err());
    }
}
