//! Weight sharing: one set of shared tensors, of which every network of a space takes its slices.
//!
//! A subnet is an ordinary [`Graph`], made by a [`Space`] from a [`Genome`]. A [`Sharing`] says where
//! each of its parameters stands ([`Places`]); parameters at one place are slices of one shared
//! tensor: the leading channels, the centre of a kernel, the whole tensor of one candidate operation.
//! A [`Store`] holds the shared tensors; [`Supernet::inherit`] gives a subnet its weights, as a plain
//! [`Model`] for everything else to work on.
//!
//! Training ([`SuperTask`]) repeats: a sampler ([`samplers`]) plans a step as a few passes of subnets
//! over parts of a batch; each takes its weights as slices of the shared tensors on the device, so
//! that gradients flow back into these; one backward pass, one step of the optimizer. Running
//! statistics of batch norms belong to no subnet in particular: they are not shared, and are taken
//! anew for every subnet that is judged ([`JudgeTask`]).
//!
//! Adding a space: one file and one line of [`ALL`]. Adding a sampler: likewise in [`samplers`].

mod decoder;
mod elastic;
mod evolve;
mod judge;
mod mixture;
mod mobiledets;
mod nb201;
mod pooling;
pub mod samplers;
mod store;
mod task;
mod vit;

pub use evolve::Evolution;
pub use judge::{JudgeTask, Judged, recalibrated};
pub use mixture::{Mixture, MixtureTask, MixtureTrained};
pub use store::{Piece, Store};
pub(crate) use task::Trainer;
pub use task::{DrawnTask, SuperEpoch, SuperTask, SuperTrained};

use crate::data::Dataset;
use crate::model::{Graph, Model, Param, Places, Weight};
use crate::params::Config;
use crate::rng::Rng;
use crate::space::{self, Gene, Genome, Space};
use crate::train::evaluate::check;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the networks of a space share their weights.
pub trait Sharing: Sync {
    /// The space's id.
    fn space(&self) -> &'static str;

    /// The network that the space makes of a genome, and where its parameters stand.
    ///
    /// # Errors
    /// As those of [`Space::graph`].
    fn placed(
        &self,
        config: &Config,
        genome: &Genome,
        input: &[usize],
        classes: usize,
    ) -> Result<(Graph, Places)>;

    /// Networks that together have every place, each at its largest.
    fn cover(&self, config: &Config) -> Vec<Genome>;

    /// The largest network.
    fn largest(&self, config: &Config) -> Genome;

    /// The smallest network.
    fn smallest(&self, config: &Config) -> Genome;
}

/// Every space whose networks share weights, alphabetical by id.
pub static ALL: &[&dyn Sharing] = &[
    &decoder::Decoder,
    &elastic::Elastic,
    &mobiledets::Mobiledets,
    &nb201::Nb201,
    &pooling::Pooling,
    &vit::Vit,
];

/// Which supernet: a space under a configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The space's id.
    pub space: String,
    /// The space's configuration.
    pub config: Config,
}

impl Spec {
    /// The supernet of a space, under what a search's settings say of that space.
    pub fn of(space: &dyn Space, settings: &Config) -> Self {
        let own = |key: &str| space.method().params.iter().any(|p| p.key == key);
        let config = settings.0.iter().filter(|(key, _)| own(key));
        Self {
            space: space.method().id.into(),
            config: Config(config.map(|(k, v)| (k.clone(), v.clone())).collect()),
        }
    }
}

/// Draws of a genome before a space is given up as empty.
const DRAWS: usize = 1000;

/// A supernet on a data set: plain data, made from its [`Spec`].
pub struct Supernet {
    sharing: &'static dyn Sharing,
    space: &'static dyn Space,
    config: Config,
    input: Vec<usize>,
    classes: usize,
    genes: Vec<Gene>,
    /// Every shared trainable tensor by its place.
    tensors: BTreeMap<String, Param>,
}

/// A subnet: its graph, and which piece of which shared tensor each trainable parameter is.
pub struct Subnet {
    /// The architecture.
    pub graph: Graph,
    /// By parameter.
    pub pieces: BTreeMap<String, Piece>,
}

impl Supernet {
    /// The supernet of a space on a data set.
    ///
    /// # Errors
    /// As those of [`Supernet::new`], or its networks cannot learn this data set.
    pub fn on(spec: &Spec, data: &Dataset) -> Result<Self> {
        let net = Self::new(spec, &data.shape, data.classes.len())?;
        check(&net.placed(&net.largest())?.0, data)?;
        Ok(net)
    }

    /// The supernet of a space for samples of a shape.
    ///
    /// # Errors
    /// The space is unknown, its networks share no weights, or they do not take such samples.
    pub fn new(spec: &Spec, input: &[usize], classes: usize) -> Result<Self> {
        let space = space::get(&spec.space)
            .ok_or_else(|| Error::config("space", format!("there is no space “{}”", spec.space)))?;
        let sharing = ALL.iter().find(|s| s.space() == spec.space).copied().ok_or_else(|| {
            let chosen = |id: &&str| space::ALL.iter().any(|e| e.method.id == *id);
            let known: Vec<&str> = ALL.iter().map(|s| s.space()).filter(chosen).collect();
            Error::config(
                "space",
                format!("networks of “{}” share no weights; those of {} do", spec.space, known.join(", ")),
            )
        })?;
        spec.config.check(space.method().params)?;
        let mut net = Self {
            sharing,
            space,
            config: spec.config.clone(),
            input: input.to_vec(),
            classes,
            genes: space.genes(&spec.config),
            tensors: BTreeMap::new(),
        };
        for genome in sharing.cover(&spec.config) {
            let (graph, places) = net.placed(&genome)?;
            for (name, param) in graph.params.into_iter().filter(|(_, p)| p.trainable) {
                let place = places.get(&name).cloned().unwrap_or_default();
                let known = net.tensors.entry(place).or_insert_with(|| param.clone());
                if store::piece("", &known.shape, &param.shape).is_none() {
                    // This one is the larger one; it must hold what was there.
                    *known = param;
                }
            }
        }
        Ok(net)
    }

    fn placed(&self, genome: &Genome) -> Result<(Graph, Places)> {
        self.sharing.placed(&self.config, genome, &self.input, self.classes)
    }

    /// The space's genes.
    pub fn genes(&self) -> &[Gene] {
        &self.genes
    }

    /// Every shared tensor by its place.
    pub fn tensors(&self) -> &BTreeMap<String, Param> {
        &self.tensors
    }

    /// The largest network.
    pub fn largest(&self) -> Genome {
        self.sharing.largest(&self.config)
    }

    /// The smallest network.
    pub fn smallest(&self) -> Genome {
        self.sharing.smallest(&self.config)
    }

    /// A genome drawn uniformly among those that are networks.
    ///
    /// # Errors
    /// None of many is one.
    pub fn draw(&self, rng: &mut Rng) -> Result<Genome> {
        for _ in 0..DRAWS {
            let genome = space::sample(&self.genes, rng);
            if self.placed(&genome).is_ok() {
                return Ok(self.space.canonical(&self.config, &genome));
            }
        }
        let last = space::sample(&self.genes, rng);
        self.placed(&last).map(|_| last)
    }

    /// The network of a genome, with the pieces of shared tensors that are its weights.
    ///
    /// # Errors
    /// The genome is no network of this space, or one of its tensors is not a part of what is shared.
    pub fn subnet(&self, genome: &Genome) -> Result<Subnet> {
        let (graph, places) = self.placed(genome)?;
        let mut pieces = BTreeMap::new();
        for (name, param) in graph.params.iter().filter(|(_, p)| p.trainable) {
            let place = places.get(name).map_or("", String::as_str);
            let piece = self.tensors.get(place).and_then(|t| store::piece(place, &t.shape, &param.shape));
            let Some(piece) = piece else {
                let have = self.tensors.get(place).map(|t| t.shape.clone()).unwrap_or_default();
                return Err(Error::Graph {
                    graph: graph.name.clone(),
                    message: format!(
                        "its weight “{name}” of {:?} at “{place}” is no part of the shared {have:?}",
                        param.shape
                    ),
                });
            };
            pieces.insert(name.clone(), piece);
        }
        Ok(Subnet { graph, pieces })
    }

    /// Fresh shared weights: every tensor from its own substream of `seed`.
    pub fn store(&self, seed: u64) -> Store {
        let graph = Graph { params: self.tensors.clone(), ..Graph::default() };
        Store { weights: Model::init(graph, seed).weights }
    }

    /// The weights of a trained network as shared ones: of one that has every place at its largest.
    ///
    /// # Errors
    /// The model is another network than the genome's, or it lacks a place.
    pub fn adopt(&self, model: &Model, genome: &Genome) -> Result<Store> {
        let mut store = Store::default();
        for (name, piece) in self.subnet(genome)?.pieces {
            if let Some(weight) = model.weights.get(&name) {
                store.weights.insert(piece.place, weight.clone());
            }
        }
        self.check(&store)?;
        Ok(store)
    }

    /// Checks that shared weights are of this supernet.
    ///
    /// # Errors
    /// Names the first tensor that is missing, superfluous or of another shape.
    pub fn check(&self, store: &Store) -> Result<()> {
        let graph = Graph { name: "supernet".into(), params: self.tensors.clone(), ..Graph::default() };
        Model { graph, weights: store.weights.clone(), ..Model::default() }.check_weights()
    }

    /// The network of a genome with its slices of the shared weights. Running statistics are at their
    /// start: they have to be taken anew.
    ///
    /// # Errors
    /// As those of [`Supernet::subnet`] and [`Supernet::check`].
    pub fn inherit(&self, store: &Store, genome: &Genome) -> Result<Model> {
        self.check(store)?;
        let Subnet { graph, pieces } = self.subnet(genome)?;
        // Only what no piece fills keeps a value of this: constants.
        let mut model = Model::init(graph, 0);
        for (name, piece) in pieces {
            let (Some(weight), Some(shared)) =
                (model.weights.get_mut(&name), store.weights.get(&piece.place))
            else {
                continue;
            };
            *weight = Weight::dense(
                weight.shape.clone(),
                piece.take(&shared.to_f32(), &shared.shape, &weight.shape),
            );
        }
        Ok(model)
    }
}

#[cfg(test)]
mod tests;
