//! Zero-cost proxies against published ones: our scores of NAS-Bench-201 cells, in a small skeleton and on our digits,
//! beside those that NASLib measured in the published skeleton on CIFAR-10.

use espalier_core::job::{Device, JobCtx, NullHost, Task};
use espalier_core::params::{Config, ParamValue};
use espalier_core::protocol::JobRequest;
use espalier_core::search::proxies::{self, task::ProxyTask};
use espalier_core::space::{self, Genome, nb201};
use espalier_tests::pool;
use std::collections::BTreeMap;
use std::io::Read;

/// Our proxies and NASLib's names of theirs.
const NAMES: [(&str, &str); 11] = [
    ("fisher", "fisher"),
    ("grad-norm", "grad_norm"),
    ("grasp", "grasp"),
    ("jacob-cov", "jacov"),
    ("l2-norm", "l2_norm"),
    ("macs", "flops"),
    ("naswot", "nwot"),
    ("params", "params"),
    ("plain", "plain"),
    ("snip", "snip"),
    ("synflow", "synflow"),
];

/// A cell of the reference: its genome, validation accuracy on CIFAR-10 in percent, and NASLib's score by name.
struct Cell {
    genome: Genome,
    accuracy: f64,
    theirs: BTreeMap<String, f64>,
}

/// NASLib lists edges by where they begin and has its own order of operations.
fn genome(arch: &str) -> Genome {
    const OPS: [u8; 5] = [1, 0, 3, 2, 4];
    const EDGES: [(usize, usize); 6] = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
    let ops: Vec<usize> =
        arch.trim_matches(['(', ')']).split(", ").map(|op| op.parse().expect("an operation")).collect();
    let at = |edge: &(usize, usize)| EDGES.iter().position(|e| e == edge).expect("an edge");
    Genome(nb201::EDGES.iter().map(|edge| OPS[ops[at(edge)]]).collect())
}

fn reference() -> Option<Vec<Cell>> {
    let path = espalier_tests::reference("zc_nasbench201.json.gz")?;
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("the reference file opens");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("it is gzip");
    // Python's JSON has infinities, which stand for the worst score here; no other number begins so.
    let text = text.replace("-Infinity", "-1e300");
    let all: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let cells = all["cifar10"].as_object().expect("cells by architecture");
    let cell = |(arch, value): (&String, &serde_json::Value)| Cell {
        genome: genome(arch),
        accuracy: value["val_accuracy"].as_f64().expect("an accuracy"),
        theirs: NAMES
            .iter()
            .map(|(_, name)| ((*name).to_owned(), value[*name]["score"].as_f64().expect("a score")))
            .collect(),
    };
    Some(cells.iter().map(cell).collect())
}

/// Ranks from 0; equals share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |v: &f64| values.iter().filter(|o| *o < v).count() as f64;
    let equal = |v: &f64| values.iter().filter(|o| *o == v).count() as f64;
    values.iter().map(|v| below(v) + (equal(v) - 1.0) / 2.0).collect()
}

/// Spearman's rank correlation.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

#[test]
fn the_reference_is_read_as_it_was_written() {
    let Some(cells) = reference() else { return };
    assert_eq!(cells.len(), 724);
    // Its parameters are those of the published skeleton, but for a few rows that are off there too.
    let stated = |cell: &Cell| cell.theirs["params"];
    let counted = |cell: &Cell| {
        let n = |op| cell.genome.0.iter().filter(|g| **g == op).count() as f64;
        0.073306 + 0.24304 * n(3) + 0.028 * n(2)
    };
    let equal = cells.iter().filter(|c| (stated(c) - counted(c)).abs() < 1e-5).count();
    assert!(equal > 700, "{equal} of 724");
    // And the correlations with accuracy are those that are known of the file.
    let accuracy: Vec<f64> = cells.iter().map(|c| c.accuracy).collect();
    for (name, known) in [("nwot", 0.79), ("synflow", 0.74), ("grasp", 0.54), ("plain", -0.26)] {
        let scores: Vec<f64> = cells.iter().map(|c| c.theirs[name]).collect();
        let got = spearman(&scores, &accuracy);
        assert!((got - known).abs() < 0.01, "{name}: {got}");
    }
}

#[test]
fn our_proxies_beside_the_published_ones() {
    let Some(cells) = reference() else { return };
    let every: usize = std::env::var("EVERY").ok().and_then(|v| v.parse().ok()).unwrap_or(8);
    let data = pool::shipped().expect("the digits");
    let ctx = JobCtx { data: &data, host: &NullHost, device: Device::flex() };
    let mut config = Config::default();
    for (k, v) in [("channels", "CH"), ("cells", "CE"), ("stages", "ST")] {
        if let Some(v) = std::env::var(v).ok().and_then(|v| v.parse().ok()) {
            config = config.with(&format!("nb201.{k}"), ParamValue::Int(v));
        }
    }
    let space = space::get("nb201").expect("the space");
    let mut ours: Vec<Vec<f64>> = Vec::new();
    let mut used: Vec<&Cell> = Vec::new();
    let start = std::time::Instant::now();
    for cell in cells.iter().step_by(every) {
        let Ok(graph) = space.graph(&config, &cell.genome, &[1, 8, 8], 10) else { continue };
        let task = ProxyTask {
            label: "proxies".into(),
            graph,
            data: "digits".into(),
            proxies: NAMES.iter().map(|n| n.0.to_owned()).collect(),
            samples: std::env::var("SA").ok().and_then(|v| v.parse().ok()).unwrap_or(64),
            seed: std::env::var("SEED").ok().and_then(|v| v.parse().ok()).unwrap_or(1),
        };
        let scores = pool::block_on(task.run(&ctx)).expect("every cell can be scored");
        ours.push(scores);
        used.push(cell);
    }
    let accuracy: Vec<f64> = used.iter().map(|c| c.accuracy).collect();
    println!("{} cells in {:.1} s", used.len(), start.elapsed().as_secs_f64());
    println!("{:10} {:>6} {:>6} {:>6}", "proxy", "same", "ours", "theirs");
    for (i, (id, name)) in NAMES.into_iter().enumerate() {
        let a: Vec<f64> = ours.iter().map(|o| o[i]).collect();
        let b: Vec<f64> = used.iter().map(|c| c.theirs[name]).collect();
        let inf = a.iter().filter(|v| !v.is_finite()).count();
        println!(
            "{id:10} {:6.2} {:6.2} {:6.2}  {inf}",
            spearman(&a, &b),
            spearman(&a, &accuracy),
            spearman(&b, &accuracy)
        );
    }
    let _ = (proxies::ALL, JobRequest::clone);
}
