//! Search spaces: one file each, and this registry.
//!
//! A space turns a genome (one categorical choice per gene) into a [`Graph`]. It says which genes
//! there are, which of them a genome does not use (so that two genomes of the same network are
//! known to be the same), and how to draw the network. Strategies of [`crate::search`] need no
//! more than that.

use crate::model::Graph;
use crate::params::Config;
use crate::registry::Method;
use crate::rng::Rng;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

mod chain;
pub mod darts_cell;
pub mod decoder;
pub mod elastic;
pub mod hybrid;
mod mlp;
pub mod mobile;
pub mod mobiledets;
pub mod nasnet_cell;
pub mod nb201;
pub mod pooling;
pub mod proxyless;
pub mod vit;

/// A space in the registry: what it says of itself, apart from what it does, which the page lists and never runs.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its paper, parameters and one-sentence explanation.
    pub method: &'static Method,
    /// Parameters and MACs that leave a search a choice: what most of its networks for images of 8×8 pixels have at
    /// most.
    pub room: [usize; 2],
    space: Option<&'static dyn Space>,
}

const fn entry(method: &'static Method, space: &'static dyn Space, room: [usize; 2]) -> Entry {
    // Nothing of a space is linked into the page by this: no operator, no builder.
    Entry { method, room, space: if cfg!(any(feature = "compute", test)) { Some(space) } else { None } }
}

/// Every space that a search over a visitor's data may choose, alphabetical by id.
pub static ALL: &[Entry] = &[
    entry(&chain::METHOD, &chain::Chain, [5000, 30_000]),
    entry(&darts_cell::METHOD, &darts_cell::DartsCell, [6000, 130_000]),
    entry(&elastic::METHOD, &elastic::Elastic, [6000, 110_000]),
    entry(&hybrid::METHOD, &hybrid::Hybrid, [12_000, 350_000]),
    entry(&mlp::METHOD, &mlp::Mlp, [5000, 30_000]),
    entry(&mobile::METHOD, &mobile::Mobile, [16_000, 150_000]),
    entry(&mobiledets::METHOD, &mobiledets::Mobiledets, [20_000, 300_000]),
    entry(&nasnet_cell::METHOD, &nasnet_cell::NasnetCell, [5000, 100_000]),
    entry(&nb201::METHOD, &nb201::Nb201, [5000, 60_000]),
    entry(&pooling::METHOD, &pooling::Pooling, [5000, 140_000]),
    entry(&proxyless::METHOD, &proxyless::Proxyless, [12_000, 350_000]),
    entry(&vit::METHOD, &vit::Vit, [15_000, 100_000]),
];

/// Spaces of networks that learn something else than classes of images: labs alone search them.
pub static OF_LABS: &[Entry] = &[entry(&decoder::METHOD, &decoder::Decoder, NO_LIMIT)];

/// Room for anything.
const NO_LIMIT: [usize; 2] = [usize::MAX, usize::MAX];

/// What a space says of itself, by id.
pub fn method(id: &str) -> Option<&'static Method> {
    ALL.iter().chain(OF_LABS).find(|e| e.method.id == id).map(|e| e.method)
}

/// The [`Entry::room`] of a space.
pub fn room(id: &str) -> [usize; 2] {
    ALL.iter().chain(OF_LABS).find(|e| e.method.id == id).map_or(NO_LIMIT, |e| e.room)
}

/// A space by id; `None` without the feature `compute`.
pub fn get(id: &str) -> Option<&'static dyn Space> {
    ALL.iter().chain(OF_LABS).find(|e| e.method.id == id).and_then(|e| e.space)
}

/// An architecture as a list of choices: `genome.0[i]` is the index of the chosen option of gene
/// `i`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Genome(pub Vec<u8>);

impl Genome {
    /// The choice at a gene; 0 where there is none.
    pub fn at(&self, gene: usize) -> usize {
        self.0.get(gene).map_or(0, |c| usize::from(*c))
    }
}

/// One categorical choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gene {
    /// What is chosen, e.g. "layer 2 kernel".
    pub name: String,
    /// The options, in words. At least one, at most 255.
    pub options: Vec<String>,
}

impl Gene {
    fn new(name: impl Into<String>, options: impl IntoIterator<Item = impl ToString>) -> Self {
        Self { name: name.into(), options: options.into_iter().map(|o| o.to_string()).collect() }
    }
}

/// A search space.
pub trait Space: Sync {
    /// Its paper, parameters and one-sentence explanation.
    fn method(&self) -> &'static Method;

    /// The genes under a configuration. Their number and options depend on nothing else.
    fn genes(&self, config: &Config) -> Vec<Gene>;

    /// The same network's representative genome: genes that the network does not use stand at 0.
    /// Applying it twice changes nothing more.
    fn canonical(&self, _config: &Config, genome: &Genome) -> Genome {
        genome.clone()
    }

    /// The network. `input` is the shape of one sample without the batch axis, e.g. `[1, 8, 8]`.
    ///
    /// # Errors
    /// The genome is not of this space, the data's shape does not suit it, or this combination of
    /// choices is no network.
    fn graph(&self, config: &Config, genome: &Genome, input: &[usize], classes: usize) -> Result<Graph>;

    /// The ways from input to output, for predictors: how many different ones the space has, and the numbers of those
    /// that this genome has. `None` where the space does not tell them apart.
    fn paths(&self, _config: &Config, _genome: &Genome) -> Option<(usize, Vec<usize>)> {
        None
    }

    /// A short description for people.
    fn label(&self, config: &Config, genome: &Genome) -> String;
}

/// A genome drawn uniformly.
pub fn sample(genes: &[Gene], rng: &mut Rng) -> Genome {
    Genome(genes.iter().map(|g| rng.below(g.options.len()) as u8).collect())
}

/// Changes one gene, drawn uniformly, to one of its other options.
pub fn mutate(genes: &[Gene], genome: &Genome, rng: &mut Rng) -> Genome {
    let mut child = genome.clone();
    let free: Vec<usize> = (0..genes.len()).filter(|i| genes[*i].options.len() > 1).collect();
    if let Some(locus) = rng.choose(&free).copied()
        && let Some(gene) = child.0.get_mut(locus)
    {
        let step = 1 + rng.below(genes[locus].options.len() - 1);
        *gene = ((usize::from(*gene) + step) % genes[locus].options.len()) as u8;
    }
    child
}

/// Takes each gene from one parent or the other with equal chance.
pub fn crossover(a: &Genome, b: &Genome, rng: &mut Rng) -> Genome {
    Genome(a.0.iter().zip(&b.0).map(|(x, y)| if rng.chance(0.5) { *x } else { *y }).collect())
}

/// Checks that a genome has a choice for every gene.
///
/// # Errors
/// Names the first gene that does not fit.
pub fn check(genes: &[Gene], genome: &Genome) -> Result<()> {
    if genome.0.len() != genes.len() {
        return Err(Error::Unsupported(format!(
            "a genome of {} choices for a space of {} genes",
            genome.0.len(),
            genes.len()
        )));
    }
    match genes.iter().zip(&genome.0).find(|(g, c)| usize::from(**c) >= g.options.len()) {
        None => Ok(()),
        Some((gene, choice)) => Err(Error::Unsupported(format!(
            "“{}” has {} options; there is no option {choice}",
            gene.name,
            gene.options.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sorted_and_every_space_explains_itself() {
        assert!(ALL.is_sorted_by(|a, b| a.method.id < b.method.id), "keep ALL in alphabetical order");
        for space in ALL {
            let m = space.method;
            assert_eq!(get(m.id).map(Space::method), Some(m));
            assert!(m.sentence.ends_with('.') && m.name.len() > 1 && m.citation.year > 1900);
            assert!(m.params.iter().all(|p| p.key.starts_with(m.id) && p.help.ends_with('.')), "{}", m.id);
        }
    }

    #[test]
    fn the_room_of_a_space_leaves_a_choice() {
        let mut wrong = Vec::new();
        for entry in ALL {
            let (Some(space), id) = (entry.space, entry.method.id) else { continue };
            let genes = space.genes(&Config::default());
            let mut rng = Rng::stream(5, id);
            let drawn = (0..300).filter_map(|_| {
                let genome = sample(&genes, &mut rng);
                space.graph(&Config::default(), &genome, &[1, 8, 8], 10).ok()?.analyze(1).ok()
            });
            let sizes: Vec<[usize; 2]> =
                drawn.map(|a| [a.total.params as usize, a.total.macs as usize]).collect();
            let fits = |s: &&[usize; 2]| s[0] <= entry.room[0] && s[1] <= entry.room[1];
            let part = sizes.iter().filter(fits).count() as f64 / sizes.len() as f64;
            if !(0.5..1.0).contains(&part) {
                wrong.push(format!(
                    "{id}: {part} of {} networks, the first {:?}",
                    sizes.len(),
                    sizes.first()
                ));
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn genomes_are_sound_and_canonical_forms_are_the_same_network() {
        for space in ALL.iter().filter_map(|e| e.space) {
            let config = Config::default();
            let genes = space.genes(&config);
            let mut rng = Rng::stream(3, space.method().id);
            let mut built = 0;
            for _ in 0..200 {
                let a = sample(&genes, &mut rng);
                check(&genes, &a).unwrap();
                let m = mutate(&genes, &a, &mut rng);
                check(&genes, &m).unwrap();
                assert_eq!(a.0.iter().zip(&m.0).filter(|(x, y)| x != y).count(), 1, "one locus");
                let c = crossover(&a, &m, &mut rng);
                assert!(c.0.iter().zip(a.0.iter().zip(&m.0)).all(|(c, (x, y))| c == x || c == y));
                let canonical = space.canonical(&config, &a);
                check(&genes, &canonical).unwrap();
                assert_eq!(space.canonical(&config, &canonical), canonical, "idempotent");
                let graph = space.graph(&config, &a, &[1, 8, 8], 10);
                let same = space.graph(&config, &canonical, &[1, 8, 8], 10);
                if let (Ok(graph), Ok(same)) = (&graph, &same) {
                    built += 1;
                    assert_eq!(graph.fingerprint(), same.fingerprint(), "{a:?} and {canonical:?}");
                    assert_eq!(
                        graph.analyze(7).unwrap().shapes[&graph.outputs[0]],
                        [7, 10],
                        "logits of {}",
                        space.label(&config, &a)
                    );
                }
                assert_eq!(graph.is_ok(), same.is_ok());
                assert!(!space.label(&config, &a).is_empty());
            }
            assert!(built > 100, "{}: only {built} of 200 are networks", space.method().id);
            assert!(space.graph(&config, &Genome(vec![0]), &[1, 8, 8], 10).is_err());
        }
    }
}
