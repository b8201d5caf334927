//! Everything that can be chosen by name: plain, static lists.

use crate::params::ParamSpec;

/// A paper, a standard, or a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Citation {
    /// Authors, e.g. "Zhu and Gupta".
    pub authors: &'static str,
    /// Title.
    pub title: &'static str,
    /// Year.
    pub year: u16,
    /// Where it appeared, with its arXiv number or DOI.
    pub venue: &'static str,
}

/// What every method says of itself: the form, the URL keys, the docs and the tests derive from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Method {
    /// Identifier in URLs; lower case with dashes.
    pub id: &'static str,
    /// Name for people.
    pub name: &'static str,
    /// One sentence.
    pub sentence: &'static str,
    /// One formula, in plain text with Unicode.
    pub formula: &'static str,
    /// Where it was published.
    pub citation: Citation,
    /// Its parameters. Keys begin with the method's id and a dot where they are its own.
    pub params: &'static [ParamSpec],
}

/// The settings of every run kind outside the labs, by kind.
static SETTINGS: &[(&str, Settings)] = &[
    ("compare", crate::search::compare::specs),
    ("latency", crate::search::latency::specs),
    ("prune", || crate::prune::params::PARAMS.to_vec()),
    ("quantize", || crate::quant::params::PARAMS.to_vec()),
    ("search", crate::search::specs),
    ("train", || crate::train::params::PARAMS.to_vec()),
    ("why", crate::search::why::specs),
];

type Settings = fn() -> Vec<ParamSpec>;

/// The settings of a run kind of the studio: what its form, its URL keys and its documentation are made of.
/// Empty where there is no run of that kind. A lab's are its own (`method.params`): the page fetches the labs when
/// somebody goes there, so nothing here may name [`crate::labs::ALL`].
pub fn settings(kind: &str) -> &'static [ParamSpec] {
    // Constants put together once.
    static ALL: std::sync::LazyLock<Vec<(&str, Vec<ParamSpec>)>> =
        std::sync::LazyLock::new(|| SETTINGS.iter().map(|(kind, specs)| (*kind, specs())).collect());
    ALL.iter().find(|(k, _)| *k == kind).map_or(&[], |(_, specs)| specs)
}

#[cfg(feature = "compute")]
mod compute {
    use crate::job::JobKind;
    use crate::run::RunKind;

    /// What can be computed and run beyond what nearly every visit asks for. The browser's CPU engine fetches it when
    /// it is first needed, so whatever is always there must not name [`MORE`].
    #[derive(Clone, Copy)]
    pub struct Shelf {
        /// Labs; their jobs and runs.
        pub labs: &'static [&'static crate::labs::Lab],
        /// Job kinds.
        pub jobs: &'static [JobKind],
        /// Run kinds.
        pub runs: &'static [RunKind],
    }

    /// The empty shelf.
    pub static NOTHING: Shelf = Shelf { labs: &[], jobs: &[], runs: &[] };

    /// The full one.
    pub static MORE: Shelf = Shelf {
        labs: crate::labs::ALL,
        jobs: &[
            JobKind::of::<crate::search::proxies::task::ProxyTask>(),
            JobKind::of::<crate::relax::RelaxTask>(),
            JobKind::of::<crate::search::replay::ReplayTask>(),
            JobKind::of::<crate::supernet::JudgeTask>(),
            JobKind::of::<crate::supernet::MixtureTask>(),
            JobKind::of::<crate::supernet::SuperTask>(),
            JobKind::of::<crate::train::attack::AttackTask>(),
            JobKind::of::<crate::train::device_time::DeviceTimesTask>(),
        ],
        runs: &[crate::search::compare::KIND, crate::search::latency::KIND, crate::search::why::KIND],
    };

    /// The job kinds that are always there.
    static JOBS: &[JobKind] = &[
        JobKind::of::<crate::engine::measure::LatencyTask>(),
        JobKind::of::<crate::engine::measure::StepTimesTask>(),
        JobKind::of::<crate::prune::task::PruneTask>(),
        JobKind::of::<crate::quant::task::QuantizeTask>(),
        crate::search::run::DESCRIBE,
        JobKind::of::<crate::train::evaluate::EvaluateTask>(),
        JobKind::of::<crate::train::step_time::StepTimeTask>(),
        JobKind::of::<crate::train::population::PopulationTask>(),
        JobKind::of::<crate::train::TrainTask>(),
    ];

    /// The run kinds that are always there.
    static RUNS: &[RunKind] = &[
        crate::prune::run::KIND,
        crate::quant::run::KIND,
        crate::search::run::KIND,
        crate::train::run::KIND,
    ];

    /// A job kind by name, of those that are always there or of a shelf.
    pub fn job(name: &str, shelf: &Shelf) -> Option<JobKind> {
        let labs = shelf.labs.iter().flat_map(|lab| lab.jobs);
        JOBS.iter().chain(shelf.jobs).chain(labs).find(|k| k.name == name).copied()
    }

    /// A run kind by name; `lab:<id>` for labs.
    pub fn run_kind(id: &str, shelf: &Shelf) -> Option<RunKind> {
        match id.strip_prefix("lab:") {
            Some(id) => {
                let lab = shelf.labs.iter().find(|lab| lab.method.id == id)?;
                Some(RunKind { id: lab.method.id, start: lab.start })
            }
            None => RUNS.iter().chain(shelf.runs).find(|k| k.id == id).copied(),
        }
    }
}

#[cfg(feature = "compute")]
pub use compute::{MORE, NOTHING, Shelf, job, run_kind};
