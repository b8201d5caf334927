use super::*;
use crate::engine::reference;
use crate::model::{Model, Storage};
use crate::params::ParamValue;
use std::collections::BTreeSet;

fn config(settings: &[(&str, ParamValue)]) -> Config {
    settings.iter().fold(Config::default(), |c, (key, v)| c.with(&format!("vit.{key}"), v.clone()))
}

#[test]
fn counts_by_hand() {
    let config = Config::default();
    let genes: Vec<String> = Vit.genes(&config).into_iter().map(|g| g.name).collect();
    assert_eq!(genes.len(), 8, "{genes:?}");
    // 16 tokens of width 8, then 4 of width 16; heads of width 8: one, then two.
    let graph = Vit.graph(&config, &Genome(vec![0; 8]), &[1, 8, 8], 10).unwrap();
    let total = graph.analyze(1).unwrap().total;
    let block = |w: usize, heads: usize, hidden: usize| {
        let wide = 8 * heads;
        // Two norms; queries and keys, values with a bias, projection; the two matrices.
        4 * w + 3 * w * wide + wide + wide * w + w + 2 * w * hidden + hidden + w
    };
    let first = 16 * 8 + 8 + 16 * 8 + block(8, 1, 16);
    let second = 2 * 8 + 9 * 8 * 16 + 16 + 4 * 16 + block(16, 2, 32);
    assert_eq!(total.params as usize, first + second + 2 * 16 + 170);
    // Per token: norms, matrices; scores and their use; a factor for every score is a product.
    let macs = |n: usize, w: usize, heads: usize, hidden: usize| {
        n * (4 * w + 4 * w * 8 * heads + 2 * w * hidden) + 2 * n * n * 8 * heads
    };
    let matrices =
        16 * 16 * 8 + macs(16, 8, 1, 16) + 16 * 16 + 4 * 72 * 16 + macs(4, 16, 2, 32) + 4 * 32 + 160;
    let rest = total.macs as usize - matrices;
    assert!(rest < matrices / 20, "{} of {}: {rest} are left", matrices, total.macs);
    let label = Vit.label(&config, &Genome(vec![1, 1, 0, 2, 0, 2, 3, 1]));
    assert_eq!(label, "2×12 h1 f32, 1×32 h4 f48");
    assert!(Vit.graph(&config, &Genome(vec![0; 8]), &[64], 10).unwrap_err().to_string().contains("MLP"));
    let odd = self::config(&[("patch", ParamValue::Int(3))]);
    assert!(
        Vit.graph(&odd, &Genome(vec![0; 8]), &[1, 8, 8], 10).unwrap_err().to_string().contains("multiple")
    );
}

fn attention(side: usize, window: Option<usize>, queries: usize) -> Graph {
    let plan = Plan::new(&Config::default(), &Genome::default());
    let b = GraphBuilder::new("attention", &[side * side, 16]);
    let mut net = Net { b, plan: &plan, place: String::new(), matrices: 0 };
    let x = net.b.input();
    let q = if queries == side { x.clone() } else { net.pool("MaxPool", &x, side).unwrap() };
    let y = net.attend([&q, &x, &x], [2, 1], [queries, side], window).unwrap();
    net.b.finish(&y).unwrap()
}

#[test]
fn a_window_attends_to_itself_alone() {
    let input: Vec<f32> = (0..16 * 16).map(|i| (i as f32 * 0.37).sin()).collect();
    // Tokens of the window in row wy, column wx of 2 × 2 windows, of `w` tokens a side.
    let cut = |x: &[f32], w: usize, wy: usize, wx: usize| -> Vec<f32> {
        let places = (0..w * w).map(|i| (wy * w + i / w) * 2 * w + wx * w + i % w);
        places.flat_map(|t| x[t * 16..][..16].to_vec()).collect()
    };
    for (queries, w) in [(4, 2), (2, 1)] {
        let windows = Model::init(attention(4, Some(2), queries), 1);
        let alone = Model::init(attention(2, None, queries / 2), 1);
        let have = reference::run(&windows, &input).unwrap();
        for (wy, wx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let want = reference::run(&alone, &cut(&input, 2, wy, wx)).unwrap();
            for (have, want) in cut(&have, w, wy, wx).iter().zip(&want) {
                assert!((have - want).abs() < 1e-6, "{have} {want}");
            }
        }
    }
}

#[test]
fn windows_cost_less_and_pooled_queries_leave_a_quarter() {
    let base = [
        ("stages", ParamValue::Int(3)),
        ("patch", ParamValue::Int(2)),
        ("reduction", ParamValue::Text("queries".into())),
    ];
    let macs = |windows: i64| {
        let config = config(&base).with("vit.windows", ParamValue::Int(windows));
        let genome = Genome(Vit.genes(&config).iter().map(|g| (g.options.len() - 1) as u8).collect());
        let graph = Vit.graph(&config, &genome, &[1, 8, 8], 10).unwrap();
        let analysis = graph.analyze(1).unwrap();
        let softmax = graph.nodes.iter().filter(|n| n.op == "Softmax");
        let shapes: Vec<Vec<usize>> = softmax.map(|n| analysis.shapes[&n.outputs[0]].clone()).collect();
        (analysis.total.macs, shapes)
    };
    let ((all, global), (some, windowed)) = (macs(0), macs(2));
    assert!(some < all);
    // 8 × 8 tokens; the first block of a stage has queries of the new one, keys of the old one.
    assert_eq!(global[0], [1, 2, 64, 64]);
    assert_eq!(global[2], [1, 4, 16, 64]);
    assert_eq!(global[4..], [vec![1, 8, 4, 16], vec![1, 8, 4, 4]]);
    assert_eq!(windowed[0], [1, 4, 2, 16, 16]);
    assert_eq!(windowed[2], [1, 4, 4, 4, 16]);
    assert_eq!(windowed[3], [1, 4, 4, 4, 4]);
    assert_eq!(windowed[4..], [vec![1, 4, 8, 1, 4], vec![1, 8, 4, 4]]);
}

#[test]
fn the_shortcut_of_a_reduction_is_a_mean_with_zeros_behind_it() {
    let plan = Plan::new(&Config::default(), &Genome::default());
    let mut net =
        Net { b: GraphBuilder::new("reduce", &[16, 2]), plan: &plan, place: String::new(), matrices: 0 };
    let x = net.b.input();
    let y = net.reduce(&x, 3, 4).unwrap();
    let mut model = Model::init(net.b.finish(&y).unwrap(), 1);
    for (name, weight) in &mut model.weights {
        let bias = name.ends_with("bias") && name.starts_with("reduce");
        weight.storage = Storage::F32(vec![if bias { 0.5 } else { 0.0 }; weight.len()]);
    }
    let input: Vec<f32> = (0..32).map(|i| i as f32).collect();
    let have = reference::run(&model, &input).unwrap();
    // Of the first two rows of four tokens: tokens 0, 1, 4, 5 have 0, 2, 8, 10 in front.
    assert_eq!(have[..6], [5.5, 6.5, 0.5, 9.5, 10.5, 0.5]);
    assert_eq!(have.len(), 12);
}

#[test]
fn places_are_the_same_in_every_network() {
    let free = [("free-patch", ParamValue::Bool(true)), ("free-rank", ParamValue::Bool(true))];
    let config = config(&free);
    let n = Vit.genes(&config).len();
    let places = |g: &[u8]| -> BTreeSet<String> {
        let (graph, places) = placed(&config, &Genome(g.to_vec()), &[1, 8, 8], 10).unwrap();
        assert!(graph.params.keys().eq(places.keys()));
        let names: BTreeSet<_> = places.into_values().collect();
        assert_eq!(names.len(), graph.params.len(), "two parameters at one place");
        names
    };
    let cover = cover(&config);
    assert_eq!(cover.len(), 4);
    let all: BTreeSet<String> = cover.iter().flat_map(|g| places(&g.0)).collect();
    let mut small = vec![0; n];
    let coarse = places(&small);
    small[0] = 1;
    let fine = places(&small);
    small[1] = 1;
    assert_eq!(places(&small), fine, "ranks are slices of one another");
    small[1] = 2;
    let full = places(&small);
    assert!([&coarse, &fine, &full].iter().all(|p| p.is_subset(&all)));
    assert!(fine.contains("stage 1.block 1.low.matrix 11.bias"), "{fine:?}");
    assert!(full.contains("stage 1.block 1.matrix 5.bias"), "{full:?}");
    let positions =
        |p: &BTreeSet<String>| p.iter().filter(|p| p.contains("positions")).cloned().collect::<Vec<_>>();
    assert_eq!(
        positions(&full),
        ["stage 1.start.4×4.positions 0.weight", "stage 2.start.2×2.positions 0.weight"]
    );
    assert_eq!(positions(&coarse).len(), 2);
    // Stage 1 of coarse patches and stage 2 of fine ones are as many tokens at other places.
    assert!(positions(&coarse).iter().all(|p| !positions(&fine).contains(p)));
}

#[test]
fn heads_of_every_kind_have_the_same_weights() {
    for windows in [0, 2] {
        // Windows of 2 × 2 of the first stage's 4 × 4 tokens.
        let config = config(&[
            ("free-attention", ParamValue::Bool(true)),
            ("windows", ParamValue::Int(windows)),
            ("window", ParamValue::Int(2)),
        ]);
        let genes = Vit.genes(&config);
        let places: Vec<usize> = (0..genes.len()).filter(|g| genes[*g].name.ends_with("attention")).collect();
        assert_eq!((genes.len(), places.len()), (10, 2));
        let of = |kinds: [u8; 2]| {
            let mut genome = Genome(genes.iter().map(|g| (g.options.len() - 1) as u8).collect());
            places.iter().zip(kinds).for_each(|(place, kind)| genome.0[*place] = kind);
            (Vit.graph(&config, &genome, &[1, 8, 8], 10).unwrap(), Vit.label(&config, &genome))
        };
        let softmaxes = |kinds| of(kinds).0.nodes.iter().filter(|n| n.op == "Softmax").count();
        // Two blocks a stage.
        assert_eq!([[0, 0], [1, 0], [2, 1], [2, 2]].map(softmaxes), [0, 2, 4, 4]);
        let trained = |kinds| -> Vec<(String, Vec<usize>)> {
            let graph = of(kinds).0;
            let trained = graph.params.into_iter().filter(|p| p.1.trainable);
            trained.map(|(name, p)| (name, p.shape)).collect()
        };
        assert_eq!(trained([2, 2]), trained([0, 1]));
        let graph = of([2, 2]).0;
        let first = graph.nodes.iter().find(|n| n.op == "Softmax").unwrap();
        let rank = graph.analyze(1).unwrap().shapes[&first.outputs[0]].len();
        assert_eq!(rank, if windows > 0 { 5 } else { 4 });
        // A single head has no half.
        let one = Genome(vec![0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
        assert_eq!(Vit.canonical(&config, &one), Genome(vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
        let label = |genome| Vit.label(&config, genome);
        assert_eq!(label(&one), label(&Vit.canonical(&config, &one)));
        assert!(of([1, 2]).1.contains("h2 s1") && !of([2, 2]).1.contains(" s"), "{}", of([1, 2]).1);
    }
}
