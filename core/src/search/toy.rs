//! A strategy as anyone would add one: this file and a line in [`super::ALL`]. The test below pulls on it as the page
//! does: its form, its keys in the address, its run.

use super::Session;
use crate::Result;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};
use crate::space::Genome;

/// Counts through the space, every `toy.stride`-th genome.
pub static METHOD: Method = Method {
    id: "toy",
    name: "Counting",
    sentence: "Tries the networks of the space in their order, leaving out all but every so many.",
    formula: "aₙ = n · stride",
    citation: Citation { authors: "Nobody", title: "A test", year: 2026, venue: "here" },
    params: &[ParamSpec::int("toy.stride", "Stride", 1, 1000, 97, "How many networks are left out.")],
};

/// Searches until the budget is spent.
pub async fn run(session: &Session<'_>) -> Result<()> {
    let stride = session.settings.count("toy.stride").max(1);
    // Where different seeds begin.
    let mut number = session.rng().below(1000);
    let mut next = || {
        number += stride;
        let mut rest = number;
        let digits = session.genes.iter().map(|gene| {
            let digit = rest % gene.options.len();
            rest /= gene.options.len();
            digit as u8
        });
        Genome(digits.collect())
    };
    while let Some(candidate) = session.draw(|_| (next(), vec![])) {
        session.settle(session.evaluate(&candidate, session.epochs())).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, get, tabular};
    use super::*;
    use crate::params::{Config, ParamKind, ParamValue};
    use crate::registry;
    use crate::space::nb201;

    #[test]
    fn one_file_and_one_line_are_a_form_an_address_and_a_run() {
        // The form: a choice among the strategies, its own settings, a switch in the comparison.
        let search = registry::settings("search");
        let of = |specs: &'static [ParamSpec], key: &str| specs.iter().find(|s| s.key == key).copied();
        match of(search, "strategy").map(|s| s.kind) {
            Some(ParamKind::Choice { options, .. }) => assert!(options.contains(&("toy", "Counting"))),
            other => panic!("{other:?}"),
        }
        let own = of(search, "toy.stride").expect("its setting is in the form");
        let switch = of(registry::settings("compare"), "compare.toy").expect("it can be compared");
        assert_eq!((switch.label, switch.help), (METHOD.name, METHOD.sentence));

        // The address: as it is written, so it is read; what is wrong is answered in words.
        assert_eq!(own.parse("250"), Ok(ParamValue::Int(250)));
        assert!(own.parse("0").unwrap_err().to_string().contains("between 1 and 1000"));

        // The run, and that the setting reaches it; every loop over the registry runs it too.
        let visited = |stride: i64| {
            let config = Config::default()
                .with("space", ParamValue::Text("nb201".into()))
                .with("toy.stride", ParamValue::Int(stride))
                .with("budget", ParamValue::Int(5));
            let settings = Settings::new(config).unwrap();
            let text: String = (0..15_625u32)
                .map(|code| {
                    let cell = Genome((0..6).map(|e| (code / 5u32.pow(e) % 5) as u8).collect());
                    format!("{},50,50\n", nb201::cell_string(&cell))
                })
                .collect();
            let table =
                tabular::Table::parse("t", &format!("cell,c10_val_200ep,c10_test_200ep\n{text}")).unwrap();
            let tabular = tabular::Tabular::new(&table);
            let session = Session::new(&settings, 1, &tabular, &|_, _| {}, &|_| {}).unwrap();
            tabular::run_now((get("toy").unwrap().run)(&session)).unwrap();
            let code = |g: &Genome| g.0.iter().rev().fold(0i64, |n, d| 5 * n + i64::from(*d));
            session.history().iter().map(|s| code(&s.candidate.genome)).collect::<Vec<_>>()
        };
        for stride in [1, 97] {
            let codes = visited(stride);
            assert_eq!(codes.len(), 5);
            assert!(codes.windows(2).all(|w| (w[1] - w[0]) % stride == 0), "{stride}: {codes:?}");
        }
    }
}
