//! One published system per file: its mechanism as published, its baseline beside it, its claim
//! measured. Adding a lab touches its file and one line of [`ALL`].
//!
//! A lab's file says at its top what the page shows (paper, settings, claim), and holds what it does in
//! a module `run`, which exists only where there is something to compute with.

mod adversarial_power_law;
#[cfg(feature = "compute")]
mod adversarial_power_law_nets;
mod balanced_supernets;
mod bignas;
mod biper;
#[cfg(feature = "compute")]
pub mod checks;
mod eas;
mod eeea_net;
mod efficientformer;
#[cfg(feature = "compute")]
mod efficientformer_nets;
mod gradual_pruning;
mod llama_nas;
mod mcuformer;
mod mobiledets;
mod mobilenetv3;
mod mpcvit;
#[cfg(feature = "compute")]
mod mpcvit_nets;
mod n2n;
#[cfg(feature = "compute")]
pub mod nets;
mod pc_darts;
mod proxylessnas;
mod random_sparse_search;
#[cfg(feature = "compute")]
pub mod secure;
#[cfg(feature = "compute")]
pub mod study;
mod turbovit;
mod understanding_nas;
mod vit_resnas;

use crate::params::ParamSpec;
use crate::registry::Method;

/// A lab.
#[derive(Clone, Copy)]
pub struct Lab {
    /// Its paper, parameters and one-sentence explanation. The id is the one of the list of systems.
    pub method: Method,
    /// Family, as in the list of systems: "Search", "Prune and sparsify", "Quantize" ...
    pub family: &'static str,
    /// The mechanism in a paragraph.
    pub mechanism: &'static str,
    /// What runs beside it.
    pub baseline: &'static str,
    /// The claim, as a measured check.
    pub claim: &'static str,
    /// What to change to see the claim break.
    pub breaks: &'static str,
    /// Job kinds of its own.
    #[cfg(feature = "compute")]
    pub jobs: &'static [crate::job::JobKind],
    /// Starts it: [`study::start`] with the lab's `run`. The run's `seed` is the first seed; it ends
    /// with one `Event::Verdict`.
    #[cfg(feature = "compute")]
    pub start: fn(
        crate::protocol::RunSpec,
        crate::run::RunCtx,
    ) -> crate::job::LocalFuture<'static, crate::Result<()>>,
}

/// Every lab, alphabetical by id.
pub static ALL: &[&Lab] = &[
    &adversarial_power_law::LAB,
    &balanced_supernets::LAB,
    &bignas::LAB,
    &biper::LAB,
    &eas::LAB,
    &eeea_net::LAB,
    &efficientformer::LAB,
    &gradual_pruning::LAB,
    &llama_nas::LAB,
    &mcuformer::LAB,
    &mobiledets::LAB,
    &mobilenetv3::LAB,
    &mpcvit::LAB,
    &n2n::LAB,
    &pc_darts::LAB,
    &proxylessnas::LAB,
    &random_sparse_search::LAB,
    &turbovit::LAB,
    &understanding_nas::LAB,
    &vit_resnas::LAB,
];

/// A lab by id.
pub fn get(id: &str) -> Option<&'static Lab> {
    ALL.iter().find(|lab| lab.method.id == id).copied()
}

/// The setting that every lab has: on how many seeds it measures.
const fn seeds(key: &'static str, default: i64) -> ParamSpec {
    ParamSpec::int(key, "Seeds", 1, 10, default, "How often everything is repeated.")
}

/// A setting of labs whose networks learn from images: by how much those of the training split are shifted.
const fn shifts(key: &'static str, default: i64) -> ParamSpec {
    let help = "Training images are shifted at random by up to so much, in every training.";
    ParamSpec::int(key, "Shifts", 0, 3, default, help).unit("pixels")
}
