//! Zero-cost proxies: what a fresh network's weights and one batch say of how well it would learn. One per file, and
//! this registry.
//!
//! Abdelfattah, Mehrotra, Dudziak and Lane, "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021, arXiv:2101.08134). A
//! higher score is better, by each proxy's own paper; scores of different proxies do not compare, and none is an
//! accuracy. As published, batch norms use the batch's statistics, “weights” are those of convolutions and fully
//! connected layers (parameters of two axes or more, not biases and norms), and the loss is cross-entropy. They compute
//! in a job ([`task::ProxyTask`]).

mod fisher;
mod grad_norm;
mod grasp;
mod jacob_cov;
mod l2_norm;
mod macs;
mod naswot;
mod params;
mod plain;
#[cfg(feature = "compute")]
pub mod probe;
mod snip;
mod synflow;
#[cfg(feature = "compute")]
pub mod task;

use crate::registry::Method;
#[cfg(feature = "compute")]
use crate::{Result, job::LocalFuture};

/// A proxy.
#[derive(Clone, Copy)]
pub struct Proxy {
    /// Its paper and one-sentence explanation.
    pub method: &'static Method,
    /// The score of a fresh network; higher is better. Minus infinity is worse than any.
    #[cfg(feature = "compute")]
    pub score: for<'a> fn(&'a probe::Probe) -> LocalFuture<'a, Result<f64>>,
}

macro_rules! proxy {
    ($module:ident) => {
        Proxy {
            method: &$module::METHOD,
            #[cfg(feature = "compute")]
            score: |probe| Box::pin($module::score(probe)),
        }
    };
}

/// Every proxy, alphabetical by id.
pub static ALL: &[Proxy] = &[
    proxy!(fisher),
    proxy!(grad_norm),
    proxy!(grasp),
    proxy!(jacob_cov),
    proxy!(l2_norm),
    proxy!(macs),
    proxy!(naswot),
    proxy!(params),
    proxy!(plain),
    proxy!(snip),
    proxy!(synflow),
];

/// A proxy by id.
pub fn get(id: &str) -> Option<&'static Proxy> {
    ALL.iter().find(|p| p.method.id == id)
}

#[cfg(test)]
#[cfg(feature = "compute")]
mod tests;
