//! Proxies on networks small enough to know their scores.

use super::probe::Probe;
use super::*;
use crate::data::Dataset;
use crate::engine::reference;
use crate::model::{ConvOptions, Graph, GraphBuilder, Model, Weight};
use crate::rng::Rng;
use burn::tensor::Device;
use std::task::{Context, Poll, Waker};

fn now<T>(mut future: LocalFuture<'_, Result<T>>) -> Result<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the CPU has nothing to wait for"),
    }
}

/// Noise in three classes; every sample is of the training split.
fn noise(shape: &[usize], samples: u32) -> Dataset {
    let mut rng = Rng::new(9);
    let n: usize = shape.iter().product();
    Dataset {
        name: "noise".into(),
        shape: shape.to_vec(),
        inputs: (0..n * samples as usize).map(|_| rng.normal()).collect(),
        labels: (0..samples).map(|i| i % 3).collect(),
        classes: ["a", "b", "c"].map(Into::into).to_vec(),
        train: (0..samples).collect(),
        validation: vec![0],
        test: vec![0],
        table: None,
    }
}

fn probe(graph: Graph, samples: u32) -> Probe {
    let shape = graph.analyze(1).unwrap().shapes["x"][1..].to_vec();
    Probe::new(graph, &noise(&shape, samples), 64, 3, &Device::flex()).unwrap()
}

fn score(id: &str, probe: &Probe) -> f64 {
    now((get(id).unwrap().score)(probe)).unwrap()
}

/// Linear layers with an activation between them.
fn mlp(widths: &[usize], activation: Option<&str>) -> Graph {
    let mut b = GraphBuilder::new("mlp", &widths[..1]);
    let mut x = b.input();
    for (i, width) in widths[1..].iter().enumerate() {
        if let (Some(op), true) = (activation, i > 0) {
            x = b.unary(op, &x).unwrap();
        }
        x = b.linear(&x, *width).unwrap();
    }
    b.finish(&x).unwrap()
}

/// Convolutions with a batch norm and a branch.
fn conv_net() -> Graph {
    let mut b = GraphBuilder::new("conv", &[1, 4, 4]);
    let x = b.input();
    let x = b.conv(&x, 3, 3, ConvOptions::default()).unwrap();
    let x = b.batch_norm(&x).unwrap();
    let r = b.unary("Relu", &x).unwrap();
    let y = b.conv(&r, 3, 1, ConvOptions::default()).unwrap();
    let x = b.add(&r, &y).unwrap();
    let x = b.unary("GlobalAveragePool", &x).unwrap();
    let x = b.unary("Flatten", &x).unwrap();
    let y = b.linear(&x, 3).unwrap();
    b.finish(&y).unwrap()
}

/// The batch's mean cross-entropy in f64 and scalar code, of a network of linear layers with Tanh between them.
struct Exact {
    inputs: Vec<f64>,
    labels: Vec<usize>,
    widths: Vec<usize>,
}

impl Exact {
    fn of(probe: &Probe, widths: &[usize], samples: u32) -> Self {
        // The batch by its own stream, drawn as the probe draws it.
        let data = noise(&widths[..1], samples);
        let mut order = data.train.clone();
        Rng::stream(3, "proxy batch").shuffle(&mut order);
        let (inputs, labels) = data.gather(&order);
        assert_eq!(labels.len(), probe.samples());
        Self {
            inputs: inputs.into_iter().map(f64::from).collect(),
            labels: labels.into_iter().map(|l| l as usize).collect(),
            widths: widths.to_vec(),
        }
    }

    /// Weights `[out, in]` of each layer; biases are zero.
    fn loss(&self, weights: &[Vec<f64>]) -> f64 {
        let samples = self.inputs.chunks_exact(self.widths[0]).zip(&self.labels);
        let each = samples.map(|(x, label)| {
            let mut x = x.to_vec();
            for (i, w) in weights.iter().enumerate() {
                if i > 0 {
                    x.iter_mut().for_each(|v| *v = v.tanh());
                }
                x = w.chunks_exact(x.len()).map(|row| row.iter().zip(&x).map(|(w, x)| w * x).sum()).collect();
            }
            x.iter().map(|v| v.exp()).sum::<f64>().ln() - x[*label]
        });
        each.sum::<f64>() / self.labels.len() as f64
    }

    /// Central differences.
    fn gradient(&self, weights: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let at = |l: usize, i: usize, by: f64| {
            let mut moved = weights.to_vec();
            moved[l][i] += by;
            self.loss(&moved)
        };
        let one = |l: usize, i: usize| (at(l, i, 1e-5) - at(l, i, -1e-5)) / 2e-5;
        (0..weights.len()).map(|l| (0..weights[l].len()).map(|i| one(l, i)).collect()).collect()
    }
}

fn weights(probe: &Probe) -> Vec<Vec<f64>> {
    probe.weights().map(|i| probe.values()[i].iter().map(|v| f64::from(*v)).collect()).collect()
}

fn close(what: &str, got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance * (1.0 + want.abs()), "{what}: {got} and {want}");
}

#[test]
fn every_proxy_explains_itself_scores_and_repeats_itself() {
    assert!(ALL.is_sorted_by(|a, b| a.method.id < b.method.id), "keep ALL in alphabetical order");
    for proxy in ALL {
        let m = proxy.method;
        assert!(m.sentence.ends_with('.') && m.citation.year > 1900 && !m.formula.is_empty(), "{}", m.id);
        let (a, b) = (score(m.id, &probe(conv_net(), 12)), score(m.id, &probe(conv_net(), 12)));
        assert!(a.is_finite(), "{}: {a}", m.id);
        assert_eq!(a, b, "{}", m.id);
    }
    assert!(get("nothing").is_none());
}

#[test]
fn proxies_of_gradients_agree_with_finite_differences() {
    let widths = [4, 5, 3];
    let probe = probe(mlp(&widths, Some("Tanh")), 9);
    let exact = Exact::of(&probe, &widths, 9);
    let w = weights(&probe);
    let g = exact.gradient(&w);
    let pairs = || w.iter().flatten().zip(g.iter().flatten());
    let length = |v: &Vec<f64>| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    close("grad-norm", score("grad-norm", &probe), g.iter().map(length).sum(), 1e-5);
    close("l2-norm", score("l2-norm", &probe), w.iter().map(length).sum(), 1e-6);
    close("snip", score("snip", &probe), pairs().map(|(w, g)| (w * g).abs()).sum(), 1e-5);
    close("plain", score("plain", &probe), pairs().map(|(w, g)| w * g).sum(), 1e-5);
    // By a step along the gradient, as the paper writes it; the proxy steps along the weights.
    let moved = |by: f64| -> Vec<Vec<f64>> {
        let layer = |(w, g): (&Vec<f64>, &Vec<f64>)| w.iter().zip(g).map(|(w, g)| w + by * g).collect();
        w.iter().zip(&g).map(layer).collect()
    };
    let along = |g: &[Vec<f64>]| w.iter().flatten().zip(g.iter().flatten()).map(|(w, g)| w * g).sum::<f64>();
    let (above, below) = (exact.gradient(&moved(1e-3)), exact.gradient(&moved(-1e-3)));
    let grasp = -(along(&above) - along(&below)) / 2e-3;
    assert!(grasp.abs() > 0.01, "{grasp} would hide an error");
    close("grasp", score("grasp", &probe), grasp, 1e-3);
    assert_eq!(score("params", &probe), (4 * 5 + 5 + 5 * 3 + 3) as f64);
    assert_eq!(score("macs", &probe), (4 * 5 + 5 * 3) as f64);
}

#[test]
fn grasp_of_layers_that_a_batch_norm_follows_is_their_gradients_norm() {
    // A loss that does not change with the scale of W_l has H·w_l = −g_l, so such a layer gives +‖g_l‖².
    let mut b = GraphBuilder::new("scale-free", &[1, 4, 4]);
    let mut x = b.input();
    for channels in [4, 3] {
        x = b.conv(&x, channels, 3, ConvOptions::default()).unwrap();
        x = b.batch_norm(&x).unwrap();
        x = b.unary("Relu", &x).unwrap();
    }
    let x = b.unary("GlobalAveragePool", &x).unwrap();
    let y = b.unary("Flatten", &x).unwrap();
    let probe = probe(b.finish(&y).unwrap(), 16);
    let gradients = now(Box::pin(probe.gradients())).unwrap();
    let square: f64 = probe.weights().map(|i| super::probe::dot(&gradients[i], &gradients[i])).sum();
    assert_eq!(probe.weights().count(), 2);
    close("grasp", score("grasp", &probe), square, 1e-3);
    assert!(square > 1e-3, "{square}");
}

#[test]
fn fisher_by_hand_on_one_layer() {
    // One linear layer: the gradient by logit k of sample n is (p − y) / N, so Δ_k = ½ mean_n (z · (p − y) / N)².
    let probe = probe(mlp(&[4, 3], None), 6);
    let exact = Exact::of(&probe, &[4, 3], 6);
    let w = &weights(&probe)[0];
    let mut sum = 0.0;
    for (x, label) in exact.inputs.chunks_exact(4).zip(&exact.labels) {
        let z: Vec<f64> = w.chunks_exact(4).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect();
        let total: f64 = z.iter().map(|v| v.exp()).sum();
        for (k, z) in z.iter().enumerate() {
            let target = f64::from(u8::from(k == *label));
            sum += (z * (z.exp() / total - target) / 6.0).powi(2);
        }
    }
    close("fisher", score("fisher", &probe), sum / 12.0, 1e-5);
}

#[test]
fn fisher_sums_positions_before_it_squares() {
    // A 1×1 convolution of weight w on 2×2 images, averaged, then a fixed layer: the same channel as a linear layer
    // on the mean, since activation times gradient is summed over positions first.
    let mut b = GraphBuilder::new("c", &[1, 2, 2]);
    let x = b.input();
    let c = b.conv(&x, 3, 1, ConvOptions::default()).unwrap();
    let p = b.unary("GlobalAveragePool", &c).unwrap();
    let y = b.unary("Flatten", &p).unwrap();
    let probe = probe(b.finish(&y).unwrap(), 5);
    let w = &weights(&probe)[0];
    let data = noise(&[1, 2, 2], 5);
    let mut sum = 0.0;
    for (x, label) in data.inputs.chunks_exact(4).zip(&data.labels) {
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / 4.0;
        let total: f64 = w.iter().map(|w| (w * mean).exp()).sum();
        for (k, w) in w.iter().enumerate() {
            let target = f64::from(u8::from(k == *label as usize));
            sum += (w * mean * ((w * mean).exp() / total - target) / 5.0).powi(2);
        }
    }
    close("fisher", score("fisher", &probe), sum / 10.0, 1e-5);
}

#[test]
fn synflow_is_the_sum_over_paths() {
    // R is the sum over all paths of the product of |w|; every layer's share is R, so the score is ln(layers · R).
    for activation in [None, Some("Relu")] {
        let probe = probe(mlp(&[4, 5, 2, 3], activation), 4);
        let w = weights(&probe);
        let mut paths = 0.0;
        for a in 0..4 {
            for b in 0..5 {
                for c in 0..2 {
                    for d in 0..3 {
                        paths += (w[0][b * 4 + a] * w[1][c * 5 + b] * w[2][d * 2 + c]).abs();
                    }
                }
            }
        }
        close("synflow", score("synflow", &probe), (3.0 * paths).ln(), 1e-5);
    }
}

#[test]
fn synflow_leaves_norms_out_and_outlives_f32() {
    let plain = |norms: bool, widths: &[usize]| {
        let mut b = GraphBuilder::new("n", &widths[..1]);
        let mut x = b.input();
        for width in &widths[1..] {
            x = b.linear(&x, *width).unwrap();
            if norms && *width != 3 {
                x = b.batch_norm(&x).unwrap();
            }
        }
        b.finish(&x).unwrap()
    };
    let widths = [4, 6, 3];
    assert_eq!(
        score("synflow", &probe(plain(true, &widths), 4)),
        score("synflow", &probe(plain(false, &widths), 4))
    );
    // 40 layers of 256 units: about (256 · E|w|)^40, with E|w| = √(2/256) · √(2/π), is far above 3.4e38.
    let mut deep = vec![256; 40];
    deep.push(3);
    let graph = plain(false, &deep);
    let score = score("synflow", &probe(graph.clone(), 4));
    // In f64: every layer's |W| on the vector so far.
    let model = Model::init(graph, 3);
    let mut x = vec![1.0; 256];
    for layer in 0..40 {
        let w = model.values(&format!("gemm{layer}.weight"));
        x = w
            .chunks_exact(x.len())
            .map(|row| row.iter().zip(&x).map(|(w, x)| f64::from(w.abs()) * x).sum())
            .collect();
    }
    let r: f64 = x.iter().sum();
    assert!(r > f64::from(f32::MAX) && r.is_finite());
    close("synflow", score, (40.0 * r).ln(), 1e-5);
}

#[test]
fn naswot_counts_agreeing_units() {
    let probe = probe(mlp(&[3, 12, 3], Some("Relu")), 3);
    let exact = Exact::of(&probe, &[3, 12, 3], 3);
    let w = &weights(&probe)[0];
    let code = |x: &[f64]| -> Vec<bool> {
        w.chunks_exact(3).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() > 0.0).collect()
    };
    let codes: Vec<Vec<bool>> = exact.inputs.chunks_exact(3).map(code).collect();
    let k = |i: usize, j: usize| codes[i].iter().zip(&codes[j]).filter(|(a, b)| a == b).count() as f64;
    // The determinant of a symmetric 3 × 3 matrix.
    let (a, b, c) = (k(0, 1), k(0, 2), k(1, 2));
    let det = 1728.0 + 2.0 * a * b * c - 12.0 * (a * a + b * b + c * c);
    assert!(det > 1.0, "the codes differ: {codes:?}");
    close("naswot", score("naswot", &probe), det.ln(), 1e-9);
    // Without units nothing is told apart.
    assert_eq!(score("naswot", &self::probe(mlp(&[3, 3], None), 3)), f64::NEG_INFINITY);
}

#[test]
fn jacob_cov_of_two_samples_by_hand() {
    let widths = [4, 6, 3];
    let probe = probe(mlp(&widths, Some("Tanh")), 2);
    let exact = Exact::of(&probe, &widths, 2);
    let w = weights(&probe);
    // d Σ outputs / dx in f64, by the chain rule.
    let gradient = |x: &[f64]| -> Vec<f64> {
        let hidden: Vec<f64> = w[0]
            .chunks_exact(4)
            .map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>().tanh())
            .collect();
        let by = |i: usize| -> f64 {
            let unit = |h: usize| {
                (0..3).map(|o| w[1][o * 6 + h]).sum::<f64>() * (1.0 - hidden[h] * hidden[h]) * w[0][h * 4 + i]
            };
            (0..6).map(unit).sum()
        };
        let g: Vec<f64> = (0..4).map(by).collect();
        let mean = g.iter().sum::<f64>() / 4.0;
        g.into_iter().map(|v| v - mean).collect()
    };
    let rows: Vec<Vec<f64>> = exact.inputs.chunks_exact(4).map(gradient).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let r = dot(&rows[0], &rows[1]) / (dot(&rows[0], &rows[0]) * dot(&rows[1], &rows[1])).sqrt();
    // [[1, r], [r, 1]] has the eigenvalues 1 ± r.
    let want: f64 = -[1.0 + r, 1.0 - r].iter().map(|v| (v + 1e-5).ln() + 1.0 / (v + 1e-5)).sum::<f64>();
    close("jacob-cov", score("jacob-cov", &probe), want, 1e-3);
    // A linear network reacts to all samples alike: the eigenvalues 2 and 0.
    let alike = score("jacob-cov", &self::probe(mlp(&[4, 3], None), 2));
    close("alike", alike, -((2.0f64 + 1e-5).ln() + 0.5 + (1e-5f64).ln() + 1e5), 1e-2);
}

#[test]
fn gradients_through_a_convolutional_network_are_those_of_finite_differences() {
    // Batch norms use the batch, which the reference interpreter does not: so without one here.
    let mut b = GraphBuilder::new("c", &[1, 4, 4]);
    let x = b.input();
    let x = b.conv(&x, 2, 3, ConvOptions::default()).unwrap();
    let x = b.unary("Tanh", &x).unwrap();
    let x = b.unary("GlobalAveragePool", &x).unwrap();
    let x = b.unary("Flatten", &x).unwrap();
    let y = b.linear(&x, 3).unwrap();
    let graph = b.finish(&y).unwrap();
    let probe = probe(graph.clone(), 5);
    let data = noise(&[1, 4, 4], 5);
    let loss = |model: &Model| -> f64 {
        let logits = reference::run(model, &data.inputs).unwrap();
        let rows = logits.chunks_exact(3).zip(&data.labels);
        let each = rows.map(|(z, label)| {
            let z: Vec<f64> = z.iter().map(|v| f64::from(*v)).collect();
            z.iter().map(|v| v.exp()).sum::<f64>().ln() - z[*label as usize]
        });
        each.sum::<f64>() / 5.0
    };
    let model = Model::init(graph, 3);
    let (mut snip, mut compared) = (0.0, 0);
    for name in ["conv0.weight", "gemm0.weight"] {
        let weight = &model.weights[name];
        let values = weight.to_f32();
        for i in 0..values.len() {
            let at = |by: f32| {
                let mut values = values.clone();
                values[i] += by;
                let mut moved = model.clone();
                moved.weights.insert(name.into(), Weight::dense(weight.shape.clone(), values));
                loss(&moved)
            };
            snip += (f64::from(values[i]) * (at(1e-2) - at(-1e-2)) / 2e-2).abs();
            compared += 1;
        }
    }
    assert_eq!(compared, 18 + 6);
    close("snip", score("snip", &probe), snip, 1e-3);
}

#[test]
fn what_cannot_be_probed_is_answered_in_words() {
    let graph = mlp(&[4, 3], None);
    let new = |data: &Dataset, samples| {
        let result = Probe::new(graph.clone(), data, samples, 1, &Device::flex());
        result.err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert!(new(&noise(&[5], 4), 4).contains("[5]"));
    assert!(new(&noise(&[4], 4), 1).contains("at least two"));
    assert_eq!(new(&noise(&[4], 4), 99), "");
}
