//! The settings of the run `prune`, as a form and a URL show them.

use crate::params::ParamSpec;

/// The settings of the run `prune`.
pub static PARAMS: &[ParamSpec] = &[
    ParamSpec::choice(
        "prune.kind",
        "What goes",
        &[("structured", "whole channels"), ("unstructured", "single weights")],
        "structured",
        "Whole channels make the network smaller and faster; single weights only make its file smaller.",
    ),
    ParamSpec::choice(
        "prune.criterion",
        "Criterion",
        &[("magnitude-l1", "magnitude (L1)"), ("magnitude-l2", "magnitude (L2)"), ("random", "random")],
        "magnitude-l1",
        "How the importance of a channel or weight is judged; the least important go.",
    ),
    ParamSpec::float(
        "prune.amount",
        "Amount",
        0.0,
        0.99,
        0.5,
        "The part that goes: of the budget below for channels, of the weights for single weights.",
    ),
    ParamSpec::choice(
        "prune.budget",
        "Budget",
        &[("macs", "MACs"), ("params", "parameters"), ("channels", "channels")],
        "macs",
        "What the amount is counted in when channels go.",
    ),
    ParamSpec::choice(
        "prune.scope",
        "Scope",
        &[("global", "all layers together"), ("layer", "each layer alike")],
        "global",
        "Whether layers compete, or each loses the same part.",
    ),
    ParamSpec::bool(
        "prune.normalize",
        "Compare within layers",
        true,
        "Divides channel scores by their layer's mean, so that layers of different width compete fairly.",
    ),
    ParamSpec::choice(
        "prune.schedule",
        "Schedule",
        &[("cubic", "gradual, cubic"), ("one-shot", "all at once")],
        "cubic",
        "Gradual pruning takes much at first and ever less, and trains in between.",
    ),
    ParamSpec::int("prune.steps", "Steps", 1, 50, 4, "Pruning steps of the gradual schedule."),
    ParamSpec::int("prune.epochs", "Fine-tuning", 0, 200, 3, "Epochs of training after each step.")
        .unit("epochs"),
    ParamSpec::float(
        "prune.rate",
        "Learning rate",
        1e-5,
        1.0,
        0.005,
        "Peak learning rate of the fine-tuning.",
    )
    .log(),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Config, ParamKind};

    #[test]
    fn defaults_are_in_range_and_every_criterion_can_be_chosen() {
        Config::defaults(PARAMS).check(PARAMS).unwrap();
        let spec = PARAMS.iter().find(|s| s.key == "prune.criterion").unwrap();
        let ParamKind::Choice { options, .. } = spec.kind else { panic!("a choice") };
        let listed: Vec<&str> = options.iter().map(|(id, _)| *id).collect();
        let known: Vec<&str> = crate::prune::criteria::ALL.iter().map(|c| c.method().id).collect();
        assert_eq!(listed, known);
    }
}
