//! Settings that show a strategy at its work: a click on the page instead of a manual.

/// Settings under which something can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// The strategy's id.
    pub strategy: &'static str,
    /// What the button says.
    pub name: &'static str,
    /// What will be seen, in a sentence or two.
    pub what: &'static str,
    /// The seed.
    pub seed: u64,
    /// Settings that differ from their defaults, as they stand in the address.
    pub settings: &'static [(&'static str, &'static str)],
}

/// Every example, by strategy.
pub static EXAMPLES: &[Example] = &[
    Example {
        strategy: "darts",
        name: "Watch it collapse",
        what: "On cells of NAS-Bench-201 skip connections win before the convolutions have learned: after five epochs five of six edges lean to skip, and the cell of that moment is trained alone beside the relaxed network (Zela et al., 2020). “Best so far” draws both; the tables tell the gap.",
        seed: 1,
        settings: &[
            ("space", "nb201"),
            ("nb201.cells", "2"),
            ("nb201.stages", "4"),
            ("batch", "64"),
            ("darts.epochs", "12"),
            ("darts.rate", "0.05"),
            ("darts.every", "5"),
            ("limit.params", "10000000"),
            ("limit.macs", "1000000000"),
            ("final.models", "1"),
        ],
    },
    Example {
        strategy: "darts",
        name: "Search a small cell",
        what: "One cell in two stages of NAS-Bench-201’s network: “Inside” draws the shares of its operations as they settle.",
        seed: 1,
        settings: &[("space", "nb201"), ("darts.epochs", "20"), ("darts.every", "5")],
    },
    Example {
        strategy: "gdas",
        name: "Search a small cell",
        what: "As DARTS on NAS-Bench-201’s cell, at the cost of one drawn network a step.",
        seed: 1,
        settings: &[("space", "nb201"), ("gdas.epochs", "30")],
    },
    Example {
        strategy: "one-shot",
        name: "Search elastic MobileNets",
        what: "Elastic MobileNets are parts of the largest one. “Inside” draws what each network reads right with shared weights and trained alone; “Best so far” how well the two rank alike.",
        seed: 1,
        settings: &[("space", "elastic")],
    },
    Example {
        strategy: "pc-darts",
        name: "Search the cell it was made for",
        what: "DARTS’s cell, where every mixture sees a quarter of the channels.",
        seed: 1,
        settings: &[("space", "darts-cell"), ("pc-darts.epochs", "20")],
    },
];

#[cfg(test)]
mod tests {
    use super::super::{Settings, get, specs};
    use super::*;
    use crate::params::Config;

    #[test]
    fn every_example_is_a_search() {
        let specs = specs();
        for example in EXAMPLES {
            assert!(get(example.strategy).is_some() && example.what.ends_with('.'), "{}", example.name);
            let mut config = Config::default();
            for (key, text) in example.settings {
                let spec = specs.iter().find(|s| s.key == *key).unwrap_or_else(|| panic!("{key}"));
                let value = spec.parse(text).unwrap();
                assert_ne!(value, spec.default(), "{key} is at its default");
                config = config.with(key, value);
            }
            assert!(Settings::new(config).is_ok(), "{}", example.name);
        }
    }
}
