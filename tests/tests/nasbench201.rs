//! Strategies replayed on NAS-Bench-201's table.
//!
//! Dong and Yang, "NAS-Bench-201" (ICLR 2020, arXiv:2001.00326), CIFAR-10. A replay selects on
//! validation accuracy after 200 epochs and reports the test accuracy of what it selected.

use espalier_core::model::Graph;
use espalier_core::params::{Config, ParamValue};
use espalier_core::protocol::Metric;
use espalier_core::rng::Rng;
use espalier_core::search::predict::ensemble::{Ensemble, Guess};
use espalier_core::search::predict::mlp::{Loss, MlpConfig};
use espalier_core::search::predict::{Samples, encode, ridge::Ridge};
use espalier_core::search::tabular::{Table, Tabular, run_now};
use espalier_core::search::{self, Session, Settings, session};
use espalier_core::space::{self, nb201};
use espalier_tests::spearman;
use std::io::Read;

const REPLAYS: u64 = 400;
const BUDGETS: [usize; 3] = [50, 75, 200];

fn table() -> Option<(String, Table)> {
    let path = espalier_tests::reference("nb201_joint.csv.gz")?;
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("the reference file opens");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("it is gzip");
    let table = Table::parse("nb201_joint.csv", &text).expect("the table is sound");
    Some((text, table))
}

fn settings(strategy: &str) -> Settings {
    let text = |s: &str| ParamValue::Text(s.into());
    let config = Config::default()
        .with("space", text("nb201"))
        .with("strategy", text(strategy))
        .with("budget", ParamValue::Int(200))
        .with("epochs", ParamValue::Int(100))
        // One at a time, as published: a parent is chosen with every earlier child judged.
        .with("lookahead", ParamValue::Int(1))
        .with("objective.params", ParamValue::Bool(false))
        .with("evolution.population", ParamValue::Int(10))
        .with("evolution.sample", ParamValue::Int(3));
    Settings::new(config).expect("the settings are sound")
}

/// Mean and standard deviation of the selected cells' test accuracy, percent, for each budget.
fn replay(table: &Table, strategy: &str) -> [(f64, f64); 3] {
    replay_with(table, strategy, &settings(strategy), REPLAYS)
}

fn replay_with(table: &Table, strategy: &str, settings: &Settings, replays: u64) -> [(f64, f64); 3] {
    let run = search::get(strategy).expect("a strategy of the registry").run;
    let mut found: [Vec<f64>; 3] = Default::default();
    for seed in 0..replays {
        let tabular = Tabular::new(table);
        let session = Session::new(settings, seed, &tabular, &|_, _| {}, &|_| {}).expect("a session");
        run_now(run(&session)).expect("the table answers at once");
        let history = session.history();
        assert_eq!(history.len(), 200);
        // A smaller budget is the beginning of a larger one: no strategy looks at it.
        for (found, budget) in found.iter_mut().zip(BUDGETS) {
            let best = session::best(&history[..budget]).expect("something was found");
            found.push(100.0 * best.metric(Metric::TestAccuracy));
        }
    }
    found.map(|tests| {
        let n = tests.len() as f64;
        let mean = tests.iter().sum::<f64>() / n;
        (mean, (tests.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / n).sqrt())
    })
}

#[test]
fn replays_reproduce_the_published_means() {
    let Some((_, table)) = table() else { return };
    // (strategy, mean ± standard deviation at 50, 75 and 200 evaluations measured independently on
    // this table, published mean ± standard deviation at a budget of about 75 evaluations).
    let cases = [
        ("random", [(93.62, 0.36), (93.73, 0.29), (93.89, 0.23)], (93.70, 0.36)),
        ("evolution", [(93.79, 0.39), (94.00, 0.32), (94.21, 0.22)], (93.92, 0.30)),
    ];
    let mut means = Vec::new();
    for (strategy, reference, published) in cases {
        let measured = replay(&table, strategy);
        for (((mean, deviation), (expected, tolerance)), budget) in
            measured.iter().zip(reference).zip(BUDGETS)
        {
            println!(
                "{strategy:10} {budget:3}: {mean:.2} ± {deviation:.2} (reference {expected} ± {tolerance})"
            );
            assert!((mean - expected).abs() < tolerance, "{strategy} at {budget}: {mean}");
            // Means of 400 replays: three standard errors are far tighter than the issue asks.
            assert!((mean - expected).abs() < 0.1, "{strategy} at {budget}: {mean}");
            assert!((deviation - tolerance).abs() < 0.15, "{strategy} at {budget}: ± {deviation}");
        }
        let (mean, _) = measured[1];
        assert!((mean - published.0).abs() < published.1, "{strategy}: {mean}, published {published:?}");
        means.push(measured);
    }
    for (random, evolution) in means[0].iter().zip(&means[1]) {
        assert!(evolution.0 > random.0, "evolution beats random search at every budget");
    }
}

#[test]
fn reinforce_reproduces_its_published_mean_and_local_search_beats_random() {
    let Some((_, table)) = table() else { return };
    let [random, reinforce, local] = ["random", "reinforce", "local"].map(|s| replay(&table, s));
    for ((name, measured), budget) in [("reinforce", reinforce), ("local", local)]
        .into_iter()
        .flat_map(|(name, m)| m.map(|m| (name, m)).into_iter().zip(BUDGETS))
    {
        println!("{name:10} {budget:3}: {:.2} ± {:.2}", measured.0, measured.1);
    }
    // Published at a budget of about 75 evaluations: 93.85 ± 0.37.
    let (mean, _) = reinforce[1];
    assert!((mean - 93.85).abs() < 0.37, "{mean}");
    for i in [1, 2] {
        assert!(reinforce[i].0 > random[i].0, "REINFORCE at {}: {reinforce:?}, {random:?}", BUDGETS[i]);
    }
    // It needs a neighbourhood of 24 before its first move.
    assert!(local[2].0 > random[2].0, "{local:?}, {random:?}");
}

#[test]
fn bananas_beats_random_search_and_evolution() {
    let Some((_, table)) = table() else { return };
    let [random, evolution] = ["random", "evolution"].map(|s| replay(&table, s));
    // 20 and 8 replays and not 400: in each, the predictors are trained 19 times. Their depth, one hidden layer, was
    // chosen on this table: with two, 20 replays give 94.22 at 75 and 94.29 at 200; with the published ten, at five
    // times the cost, 6 replays give 94.25 and 94.36.
    for (acquisition, replays) in [("its", 20), ("ei", 8)] {
        let config = settings("bananas").config;
        let config = config.with("bananas.acquisition", ParamValue::Text(acquisition.into()));
        let settings = Settings::new(config).expect("the settings are sound");
        let bananas = replay_with(&table, "bananas", &settings, replays);
        for (i, budget) in BUDGETS.into_iter().enumerate() {
            let ((mean, deviation), (random, _), (evolution, _)) = (bananas[i], random[i], evolution[i]);
            println!(
                "bananas {acquisition:3} {budget:3}: {mean:.2} ± {deviation:.2} (random {random:.2}, evolution {evolution:.2})"
            );
        }
        for i in [1, 2] {
            // Measured with Thompson sampling: 0.6 above random search at 75, 0.5 at 200, with a standard error
            // below 0.05.
            assert!(bananas[i].0 > random[i].0 + 0.2, "{acquisition} at {}: {bananas:?}", BUDGETS[i]);
            assert!(bananas[i].0 > evolution[i].0, "{acquisition} at {}: {bananas:?}", BUDGETS[i]);
        }
    }
}

#[test]
fn predictors_rank_cells_that_they_have_not_seen() {
    let Some((_, table)) = table() else { return };
    let config = Config::default();
    let space = space::get("nb201").expect("the space");
    let genes = space.genes(&config);
    // 100 cells from all over the table to learn from; every 13th of the others to predict.
    let (mut seen, mut unseen) = (Vec::new(), Vec::new());
    for (i, (genome, row)) in table.iter().enumerate() {
        match (i * 7919 % 15_625 < 100, i % 13) {
            (true, _) => seen.push((genome, 100.0 - row.val)),
            (false, 0) => unseen.push((genome, 100.0 - row.val)),
            _ => {}
        }
    }
    assert_eq!(seen.len(), 100);
    let truth: Vec<f64> = unseen.iter().map(|(_, error)| *error).collect();
    let y: Vec<f64> = seen.iter().map(|(_, error)| *error).collect();
    let mlp = MlpConfig { hidden: vec![20], loss: Loss::Absolute, epochs: 150, batch: 32, rate: 0.01 };
    let mut measured = Vec::new();
    for paths in [false, true] {
        let row = |genome: &space::Genome| match paths {
            false => encode::one_hot(&genes, genome),
            true => encode::paths(space, &config, genome).expect("cells have paths"),
        };
        let x: Vec<Vec<f64>> = seen.iter().map(|(genome, _)| row(genome)).collect();
        let new: Vec<Vec<f64>> = unseen.iter().map(|(genome, _)| row(genome)).collect();
        let samples = Samples { x: &x, y: &y };
        let ridge = Ridge::fit(samples, 1.0).expect("it fits");
        let ensemble = Ensemble::fit(samples, 5, &mlp, &mut Rng::new(1)).expect("it trains");
        let linear: Vec<f64> = new.iter().map(|x| ridge.predict(x)).collect();
        let guesses: Vec<Guess> = new.iter().map(|x| ensemble.predict(x)).collect();
        let means: Vec<f64> = guesses.iter().map(|g| g.mean).collect();
        let doubts: Vec<f64> = guesses.iter().map(|g| g.deviation).collect();
        let misses: Vec<f64> = means.iter().zip(&truth).map(|(m, t)| (m - t).abs()).collect();
        let each = [(&linear, &truth), (&means, &truth), (&doubts, &misses)].map(|(a, b)| spearman(a, b));
        let [ridge, ensemble, doubt] = each;
        println!("paths {paths}: ridge {ridge:.2}, ensemble {ensemble:.2}, doubt with error {doubt:.2}");
        measured.push(each);
    }
    let [[ridge, ensemble, doubt], [ridge_paths, ensemble_paths, doubt_paths]] = measured[..] else {
        panic!("two encodings")
    };
    // Measured: ridge 0.55 on choices and 0.42 on paths, of which there are more than samples; the ensemble 0.73 and
    // 0.77; its members disagree where it is wrong, 0.53 and 0.54.
    assert!(ridge > 0.4 && ridge_paths > 0.25, "{measured:?}");
    assert!(ensemble > 0.6 && ensemble_paths > 0.65 && ensemble > ridge, "{measured:?}");
    assert!(doubt > 0.35 && doubt_paths > 0.35, "{measured:?}");
}

#[test]
fn known_facts_of_the_table() {
    let Some((text, table)) = table() else { return };
    assert_eq!(table.iter().count(), 15_625);
    let by = |key: fn(&search::tabular::Row) -> f64| {
        table.iter().max_by(|a, b| key(a.1).total_cmp(&key(b.1))).expect("rows")
    };
    let (best_val, row) = by(|r| r.val);
    let (best_test, _) = by(|r| r.test);
    assert_eq!(best_val, best_test, "the best on validation is the best on test");
    assert!((row.val - 91.6067).abs() < 1e-4 && (row.test - 94.3733).abs() < 1e-4, "{row:?}");
    let cell_6111 = text.lines().find(|l| l.starts_with("6111,")).and_then(|l| l.split(',').nth(1));
    assert_eq!(cell_6111, Some(nb201::cell_string(best_val).as_str()));
    let all_skip = table.get(&space::Genome(vec![1; 6])).expect("the all-skip cell");
    assert!((all_skip.val - 39.769).abs() < 1e-3 && (all_skip.test - 54.297).abs() < 1e-3, "{all_skip:?}");
    let mut tests: Vec<f64> = table.iter().map(|(_, r)| r.test).collect();
    tests.sort_by(f64::total_cmp);
    assert!((tests[tests.len() / 2] - 90.73).abs() < 0.01);
}

#[test]
fn parameters_of_the_table_are_what_our_graphs_count() {
    let Some((_, table)) = table() else { return };
    let config = Config::default()
        .with("nb201.channels", ParamValue::Int(16))
        .with("nb201.cells", ParamValue::Int(5))
        .with("nb201.stages", ParamValue::Int(3));
    let space = space::get("nb201").expect("the space");
    let params = |graph: &Graph| graph.trainable_params() as f64 / 1e6;
    let (mut equal, mut odd) = (0, 0);
    for (i, (genome, row)) in table.iter().enumerate() {
        let count = |op| genome.0.iter().filter(|g| **g == op).count() as f64;
        let stated = row.params_m.expect("the table has parameters");
        let formula = 0.073306 + 0.24304 * count(3) + 0.028 * count(2);
        if (stated - formula).abs() > 1.1e-6 {
            odd += 1;
            continue;
        }
        // Building every graph would take long; every 97th is 162 of them, spread over all.
        if i % 97 != 0 {
            continue;
        }
        let Ok(graph) = space.graph(&config, genome, &[3, 32, 32], 10) else { continue };
        // We leave out operations that feed nothing; the benchmark counts them.
        assert!(params(&graph) <= stated + 1e-6, "{}", nb201::cell_string(genome));
        equal += u32::from((params(&graph) - stated).abs() < 1e-6);
    }
    // In 204 rows the table's own column is off by a fraction of a convolution, which no cell has.
    assert_eq!(odd, 204);
    assert!(equal >= 60, "only {equal} cells have the stated parameters");
}
