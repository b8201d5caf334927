//! Multilayer perceptrons: depth, widths, activation, norm.
//!
//! Mendoza et al., "Towards Automatically-Tuned Neural Networks" (AutoML workshop at ICML 2016,
//! PMLR 64) search fully connected networks layer by layer in this way. The norms are batch
//! normalization (Ioffe and Szegedy, 2015) and layer normalization (Ba et al., 2016).

use super::{Gene, Genome, Space, check};
use crate::Result;
use crate::model::{Attr, Attrs, Graph, GraphBuilder, Init};
use crate::params::{Config, ParamSpec};
use crate::registry::{Citation, Method};

/// See the module.
pub struct Mlp;

pub(super) static METHOD: Method = Method {
    id: "mlp",
    name: "Multilayer perceptron",
    sentence: "Fully connected layers; their number, their widths, the activation and the norm are free.",
    formula: "hᵢ = act(norm(Wᵢ hᵢ₋₁ + bᵢ)),  y = W hₗ + b",
    citation: Citation {
        authors: "Mendoza, Klein, Feurer, Springenberg and Hutter",
        title: "Towards Automatically-Tuned Neural Networks",
        year: 2016,
        venue: "AutoML workshop at ICML, PMLR 64",
    },
    params: &[
        ParamSpec::int(
            "mlp.depth",
            "Most hidden layers",
            1,
            6,
            3,
            "How many hidden layers a network may have at most.",
        ),
        ParamSpec::int(
            "mlp.width",
            "Widest layer",
            8,
            256,
            64,
            "How many units a hidden layer may have at most.",
        )
        .unit("units"),
    ],
};

const WIDTHS: [usize; 10] = [8, 12, 16, 24, 32, 48, 64, 96, 128, 256];
const ACTIVATIONS: [&str; 4] = ["Relu", "HardSwish", "Gelu", "Tanh"];
const NORMS: [&str; 3] = ["none", "batch norm", "layer norm"];
/// Genes before the widths: depth, activation, norm.
const GLOBAL: usize = 3;

fn widths(config: &Config) -> Vec<usize> {
    let most = config.count(METHOD.params, "mlp.width");
    WIDTHS.into_iter().filter(|w| *w <= most.max(WIDTHS[0])).collect()
}

fn hidden(config: &Config, genome: &Genome) -> Vec<usize> {
    let widths = widths(config);
    (0..=genome.at(0)).map(|i| widths.get(genome.at(GLOBAL + i)).copied().unwrap_or(WIDTHS[0])).collect()
}

impl Space for Mlp {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    fn genes(&self, config: &Config) -> Vec<Gene> {
        let depth = config.count(METHOD.params, "mlp.depth").max(1);
        let widths = widths(config);
        let mut genes = vec![
            Gene::new("depth", 1..=depth),
            Gene::new("activation", ACTIVATIONS),
            Gene::new("norm", NORMS),
        ];
        genes.extend((1..=depth).map(|i| Gene::new(format!("layer {i} width"), &widths)));
        genes
    }

    fn canonical(&self, _config: &Config, genome: &Genome) -> Genome {
        let mut canonical = genome.clone();
        canonical.0.iter_mut().skip(GLOBAL + genome.at(0) + 1).for_each(|g| *g = 0);
        canonical
    }

    fn graph(&self, config: &Config, genome: &Genome, input: &[usize], classes: usize) -> Result<Graph> {
        check(&self.genes(config), genome)?;
        let mut b = GraphBuilder::new(&self.label(config, genome), input);
        let mut x = b.input();
        if input.len() != 1 {
            x = b.unary("Flatten", &x)?;
        }
        for (i, width) in hidden(config, genome).into_iter().enumerate() {
            x = b.linear(&x, width)?;
            x = match genome.at(2) {
                0 => x,
                1 => b.batch_norm(&x)?,
                _ => {
                    let scale = b.param(format!("norm{i}.scale"), vec![width], Init::Constant(1.0), true);
                    let bias = b.param(format!("norm{i}.bias"), vec![width], Init::Constant(0.0), true);
                    let attrs = Attrs::from([("axis".into(), Attr::Int(-1))]);
                    b.node("LayerNormalization", &[&x, &scale, &bias], attrs, 1)?.swap_remove(0)
                }
            };
            x = b.unary(ACTIVATIONS.get(genome.at(1)).copied().unwrap_or("Relu"), &x)?;
        }
        let y = b.linear(&x, classes)?;
        b.finish(&y)
    }

    fn label(&self, config: &Config, genome: &Genome) -> String {
        let widths: Vec<String> = hidden(config, genome).iter().map(usize::to_string).collect();
        let norm = match genome.at(2) {
            0 => "",
            1 => " batch norm",
            _ => " layer norm",
        };
        format!("{} {}{norm}", widths.join("–"), ACTIVATIONS.get(genome.at(1)).copied().unwrap_or("Relu"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_hand() {
        let config = Config::default();
        // One hidden layer of 16, no norm; the second width is not used.
        let genome = Genome(vec![0, 0, 0, 2, 3, 0]);
        let graph = Mlp.graph(&config, &genome, &[1, 8, 8], 10).unwrap();
        assert_eq!(graph.analyze(1).unwrap().total.params, 64 * 16 + 16 + 160 + 10);
        assert_eq!(Mlp.canonical(&config, &genome).0, [0, 0, 0, 2, 0, 0]);
        assert_eq!(Mlp.label(&config, &genome), "16 Relu");
        assert_eq!(Mlp.graph(&config, &genome, &[64], 10).unwrap().analyze(1).unwrap().total.params, 1210);
    }
}
