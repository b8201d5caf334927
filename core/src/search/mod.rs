//! Search strategies: one file each, and this registry.
//!
//! A strategy is an async function over a [`Session`], which draws candidates, enforces limits,
//! never pays twice for the same network, and evaluates by training or from a table. A strategy
//! keeps a fixed number of evaluations in flight and reads them in the order in which it asked
//! for them, so its result does not depend on how many workers there are.

use crate::params::ParamSpec;
use crate::registry::Method;
use crate::space;

pub mod actor;
pub mod bananas;
pub mod compare;
pub mod darts;
pub mod evolution;
pub mod examples;
pub mod gdas;
pub mod halving;
pub mod latency;
mod limits;
pub mod linalg;
pub mod local;
#[cfg(feature = "compute")]
pub mod netadapt;
pub mod nsga2;
pub mod objective;
pub mod one_shot;
pub mod pareto;
pub mod pc_darts;
pub mod policy;
pub mod predict;
pub mod proxies;
pub mod random;
pub mod reinforce;
#[cfg(feature = "compute")]
mod relaxing;
#[cfg(feature = "compute")]
pub mod replay;
#[cfg(feature = "compute")]
pub mod run;
pub mod session;
#[cfg(feature = "compute")]
mod sharing;
pub mod significance;
pub mod tabular;
pub mod tape;
#[cfg(feature = "compute")]
mod timed;
#[cfg(test)]
mod toy;
pub mod why;

pub use objective::{Objective, Objectives};
pub use session::{Candidate, Evaluator, Pending, Prepared, Relaxing, Scored, Session, Settings, Told};

/// A future on one thread.
pub type LocalFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a strategy trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trains {
    /// Candidates alone: any space, and a table can answer in their place.
    Candidates,
    /// One set of weights for all networks first ([`Session::share`]): spaces that can share them, and no table.
    Shared,
    /// A relaxed network first ([`Session::relax`]): spaces that can be relaxed, and no table.
    Relaxed,
}

/// A search strategy.
#[derive(Clone, Copy)]
pub struct Strategy {
    /// Its paper, parameters and one-sentence explanation.
    pub method: &'static Method,
    /// What it trains.
    pub trains: Trains,
    /// Searches until the session's budget is spent. What it found is the session's history.
    #[cfg(any(feature = "compute", test))]
    pub run: for<'a> fn(&'a Session<'a>) -> LocalFuture<'a, crate::Result<()>>,
}

macro_rules! strategy {
    ($module:ident) => {
        strategy!($module, Candidates)
    };
    ($module:ident, $trains:ident) => {
        Strategy {
            method: &$module::METHOD,
            trains: Trains::$trains,
            #[cfg(any(feature = "compute", test))]
            run: |session| Box::pin($module::run(session)),
        }
    };
}

/// Every strategy, alphabetical by id.
pub static ALL: &[Strategy] = &[
    strategy!(bananas),
    strategy!(darts, Relaxed),
    strategy!(evolution),
    strategy!(gdas, Relaxed),
    strategy!(halving),
    strategy!(local),
    strategy!(nsga2),
    strategy!(one_shot, Shared),
    strategy!(pc_darts, Relaxed),
    strategy!(random),
    strategy!(reinforce),
    // Not in the program: a strategy as one is added, for the tests that pull on it.
    #[cfg(test)]
    strategy!(toy),
];

/// A strategy by id.
pub fn get(id: &str) -> Option<&'static Strategy> {
    ALL.iter().find(|s| s.method.id == id)
}

/// Identifiers and names of methods, as the options of a choice.
macro_rules! options {
    ($all:expr) => {{
        let mut options = [("", ""); $all.len()];
        let mut i = 0;
        while i < options.len() {
            options[i] = ($all[i].method.id, $all[i].method.name);
            i += 1;
        }
        options
    }};
}

static STRATEGIES: [(&str, &str); ALL.len()] = options!(ALL);
static SPACES: [(&str, &str); space::ALL.len()] = options!(space::ALL);
static LAB_SPACES: [(&str, &str); space::OF_LABS.len()] = options!(space::OF_LABS);

static PROXIES: [(&str, &str); proxies::ALL.len() + 1] = {
    let known: [(&str, &str); proxies::ALL.len()] = options!(proxies::ALL);
    let mut options = [("none", "none"); proxies::ALL.len() + 1];
    let mut i = 0;
    while i < known.len() {
        options[i + 1] = known[i];
        i += 1;
    }
    options
};

/// The run's own settings; those of the spaces and strategies come beside them ([`specs`]).
pub static SPECS: &[ParamSpec] = &[
    ParamSpec::choice("space", "Search space", &SPACES, "chain", "Which networks may be proposed."),
    ParamSpec::choice("strategy", "Strategy", &STRATEGIES, "evolution", "How the next candidate is chosen."),
    ParamSpec::int("budget", "Candidates", 1, 500, 24, "How many different networks are tried."),
    ParamSpec::int("epochs", "Epochs each", 1, 100, 8, "How long each candidate trains before it is judged.")
        .unit("epochs"),
    ParamSpec::float("rate", "Learning rate", 0.0001, 1.0, 0.02, "Peak learning rate of AdamW.").log(),
    ParamSpec::int("batch", "Batch", 1, 1024, 32, "Samples in a training step.").unit("samples"),
    ParamSpec::int(
        "lookahead",
        "In flight",
        1,
        64,
        8,
        "How many candidates are on their way at once; part of the result, unlike the number of workers.",
    ),
    ParamSpec::int(
        "together",
        "Side by side",
        1,
        16,
        4,
        "How many candidates that differ in their widths alone may train as one computation; each comes out as it would alone, up to rounding. 1 is every one alone.",
    )
    .unit("candidates"),
    ParamSpec::float(
        "budget.macs",
        "Training budget",
        0.0,
        100_000.0,
        0.0,
        "Billions of multiply-accumulates that training the candidates may cost in all, finalists not counted; 0 is no such limit.",
    )
    .unit("GMACs"),
    ParamSpec::bool("objective.accuracy", "Accuracy counts", true, "Higher validation accuracy is better."),
    ParamSpec::bool("objective.params", "Parameters count", true, "Fewer trainable parameters are better."),
    ParamSpec::bool("objective.macs", "MACs count", false, "Fewer multiply-accumulates are better."),
    ParamSpec::bool("objective.bytes", "Size counts", false, "Fewer bytes of weights are better."),
    ParamSpec::bool("objective.peak", "Memory counts", false, "Less peak activation memory is better."),
    ParamSpec::bool(
        "objective.latency",
        "Latency counts",
        false,
        "Lower latency, measured on this machine with one sample, is better; measured times differ from run to run.",
    ),
    ParamSpec::int(
        "limit.params",
        "Most parameters",
        0,
        10_000_000,
        0,
        "Networks with more trainable parameters are never trained; 0 is as many as suit the space, 5000 for chains.",
    ),
    ParamSpec::int(
        "limit.macs",
        "Most MACs",
        0,
        1_000_000_000,
        0,
        "Networks with more multiply-accumulates for one sample are never trained; 0 is as many as suit the space and the samples, 30000 for chains on digits.",
    )
    .unit("MACs"),
    ParamSpec::int(
        "limit.bytes",
        "Most bytes",
        0,
        1_000_000_000,
        0,
        "Networks whose weights take more bytes, in floats, are never trained; 0 is no such limit.",
    )
    .unit("bytes"),
    ParamSpec::int(
        "limit.peak",
        "Most memory",
        0,
        1_000_000_000,
        0,
        "Networks whose activations take more bytes at their peak, with one sample, are never trained; 0 is no such limit.",
    )
    .unit("bytes"),
    ParamSpec::float(
        "limit.ms",
        "Longest latency",
        0.0,
        10_000.0,
        0.0,
        "Networks that the table of step times, measured on this machine first, predicts to be slower with one sample are never trained; 0 is no such limit. Times differ from run to run.",
    )
    .unit("ms"),
    ParamSpec::int(
        "initial.params",
        "Most parameters at first",
        0,
        10_000_000,
        0,
        "Networks drawn for the first population with more parameters are drawn anew before any training (early exit, Termritthikun et al., 2021); 0 is no such limit.",
    ),
    ParamSpec::choice(
        "initial.proxy",
        "First by proxy",
        &PROXIES,
        "none",
        "A zero-cost proxy that chooses the first population without training (Abdelfattah et al., 2021): of evolution, NSGA-II and BANANAS.",
    ),
    ParamSpec::int(
        "initial.pool",
        "Scored at first",
        2,
        1000,
        64,
        "How many networks the proxy scores; the best of them are the first population.",
    )
    .unit("networks"),
    ParamSpec::int(
        "final.models",
        "Finalists",
        1,
        8,
        4,
        "How many of the best candidates are trained to the end; validation chooses among them.",
    ),
    ParamSpec::int("final.epochs", "Final epochs", 1, 300, 28, "How long the finalists train.")
        .unit("epochs"),
    ParamSpec::float(
        "final.smoothing",
        "Label smoothing",
        0.0,
        0.5,
        0.0,
        "Label smoothing of the final training (Szegedy et al., 2016).",
    ),
    ParamSpec::int(
        "final.shift",
        "Shifts",
        0,
        4,
        1,
        "In the final training, images are shifted at random by up to so much.",
    )
    .unit("pixels"),
];

/// Every setting of a search: its own, the strategies' and the spaces'.
pub fn specs() -> Vec<ParamSpec> {
    let methods = ALL.iter().map(|s| s.method).chain(space::ALL.iter().map(|s| s.method));
    SPECS.iter().chain(methods.flat_map(|m| m.params)).copied().collect()
}

/// The settings of a lab's search over a space of [`space::OF_LABS`]; those of any other search where `id` is none.
pub fn specs_over(id: &str) -> Vec<ParamSpec> {
    let mut specs = specs();
    let entry = space::OF_LABS.iter().find(|e| e.method.id == id);
    if let (Some(entry), Some(choice)) = (entry, specs.iter_mut().find(|s| s.key == "space")) {
        *choice = ParamSpec::choice("space", "Search space", &LAB_SPACES, LAB_SPACES[0].0, choice.help);
        specs.extend(entry.method.params);
    }
    specs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Order;
    use crate::params::ParamKind;

    #[test]
    fn the_registry_is_sorted_and_the_settings_know_it() {
        assert!(ALL.is_sorted_by(|a, b| a.method.id < b.method.id), "keep ALL in alphabetical order");
        for s in ALL {
            let m = s.method;
            assert!(m.sentence.ends_with('.') && m.citation.year > 1900);
            assert!(m.params.iter().all(|p| p.key.starts_with(m.id) && p.help.ends_with('.')), "{}", m.id);
        }
        let options = |key: &str| match SPECS.iter().find(|s| s.key == key).map(|s| s.kind) {
            Some(ParamKind::Choice { options, .. }) => options.to_vec(),
            _ => vec![],
        };
        let strategies: Vec<_> = ALL.iter().map(|s| (s.method.id, s.method.name)).collect();
        assert_eq!(options("strategy"), strategies);
        let spaces: Vec<_> = space::ALL.iter().map(|s| (s.method.id, s.method.name)).collect();
        assert_eq!(options("space"), spaces);
        let specs = specs();
        let mut keys: Vec<_> = specs.iter().map(|s| s.key).collect();
        keys.order();
        keys.dedup();
        assert_eq!(keys.len(), specs.len(), "keys are unique");
    }
}
