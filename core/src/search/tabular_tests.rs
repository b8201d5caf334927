//! Strategies on a made-up but complete table, and what bad tables get.

use super::*;
use crate::params::{Config, ParamValue};
use crate::search::{self, Session, Settings};

/// Every cell; accuracy grows with the number of 3×3 convolutions, so the best cell is known.
fn made_up() -> Table {
    let mut text = String::from("cell,c10_val_200ep,c10_test_200ep,params_M,c10_val_12ep\n");
    for code in 0..15_625u32 {
        let genome = Genome((0..6).map(|e| (code / 5u32.pow(e) % 5) as u8).collect());
        let convs = genome.0.iter().filter(|g| **g == 3).count() as f64;
        let small = genome.0.iter().filter(|g| **g == 2).count() as f64;
        text += &format!(
            "{},{},{},{},{}\n",
            nb201::cell_string(&genome),
            40.0 + 8.0 * convs + small,
            39.0 + 8.0 * convs + small,
            0.073 + 0.243 * convs + 0.028 * small,
            20.0 + 8.0 * convs,
        );
    }
    Table::parse("made up", &text).unwrap()
}

fn search(table: &Table, strategy: &str, budget: i64, seed: u64) -> Vec<(Genome, f64)> {
    let config = Config::default()
        .with("space", ParamValue::Text("nb201".into()))
        .with("epochs", ParamValue::Int(100))
        .with("budget", ParamValue::Int(budget));
    let settings = Settings::new(config).unwrap();
    let tabular = Tabular::new(table);
    let session = Session::new(&settings, seed, &tabular, &|_, _| {}, &|_| {}).unwrap();
    run_now((search::get(strategy).unwrap().run)(&session)).unwrap();
    let latest = session.latest();
    latest.iter().map(|s| (s.candidate.genome.clone(), s.metric(Metric::ValAccuracy))).collect()
}

#[test]
fn every_strategy_keeps_its_budget_repeats_nothing_and_repeats_itself() {
    let table = made_up();
    for strategy in search::ALL.iter().filter(|s| s.trains == search::Trains::Candidates) {
        let id = strategy.method.id;
        let found = search(&table, id, 60, 4);
        assert_eq!(found.len(), 60, "{id}");
        let different: std::collections::BTreeSet<_> = found.iter().map(|f| &f.0).collect();
        assert_eq!(different.len(), 60, "{id} paid twice for a cell");
        assert_eq!(found, search(&table, id, 60, 4), "{id}: the same seed, the same search");
        assert_ne!(found, search(&table, id, 60, 5), "{id}: another seed, another search");
    }
}

#[test]
fn evolution_finds_what_random_search_does_not() {
    let table = made_up();
    let best = |strategy, seed| search(&table, strategy, 150, seed).iter().map(|f| f.1).fold(0.0, f64::max);
    let mean = |strategy| (0..10).map(|seed| best(strategy, seed)).sum::<f64>() / 10.0;
    let (random, evolution, nsga2) = (mean("random"), mean("evolution"), mean("nsga2"));
    assert!(evolution > random + 0.02, "evolution {evolution}, random {random}");
    assert!(nsga2 > random, "NSGA-II {nsga2}, random {random}");
}

#[test]
fn a_small_space_ends_when_it_is_exhausted() {
    let mut text = String::from("cell,c10_val_200ep,c10_test_200ep\n");
    text += "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|,50,50\n";
    let table = Table::parse("tiny", &text).unwrap();
    // One cell in 15,625: found or not, the search ends by itself.
    assert!(search(&table, "random", 10, 1).len() <= 1);
}

#[test]
fn bad_tables_are_answered_with_line_and_column() {
    let message = |text: &str| Table::parse("my.csv", text).unwrap_err().to_string();
    let cell = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|";
    let head = "cell,c10_val_200ep,c10_test_200ep\n";
    assert!(message("").contains("“my.csv”") && message("").contains("empty"));
    assert!(message("cell,c10_val_200ep\n").contains("“c10_test_200ep” is missing"));
    let m = message(&format!("{head}{cell},12,x\n"));
    assert!(m.contains("line 2") && m.contains("“c10_test_200ep”") && m.contains("“x”"), "{m}");
    let m = message(&format!("{head}{cell},NaN,5\n"));
    assert!(m.contains("line 2") && m.contains("“c10_val_200ep”"), "{m}");
    assert!(message(&format!("{head}{cell},12\n")).contains("line 2 has 2 values"));
    assert!(message(&format!("{head}<b>,12,12\n")).contains("line 2, column “cell”"));
    assert!(message(&format!("{head}{cell},1,1\n\n{cell},1,1\n")).contains("line 4"));
    assert!(message(head).contains("no rows"));
}
