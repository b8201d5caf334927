//! Policies over genomes, trained by REINFORCE: one softmax per gene, or an LSTM that writes gene after gene.
//!
//! Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning" (Machine
//! Learning 8, 1992). The LSTM is the controller of Zoph and Le, "Neural Architecture Search with Reinforcement
//! Learning" (ICLR 2017, arXiv:1611.01578), with one layer: its input is an embedding of the choice before, its
//! output one softmax per gene. The independent form is the one that NAS-Bench-201 (arXiv:2001.00326) runs.
//!
//! Controllers are small and decide, so they are computed here in f64 and not by an engine.

use crate::rng::Rng;
use crate::space::Genome;

/// Decay rates and guard of Adam (Kingma and Ba, 2015).
const BETAS: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;

/// A distribution over genomes with parameters that can be learned.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Options of each gene.
    sizes: Vec<usize>,
    /// Units of the LSTM; 0 is one softmax per gene.
    hidden: usize,
    /// All parameters, in the order of [`Layout`].
    theta: Vec<f64>,
    moments: Vec<(f64, f64)>,
    steps: i32,
}

/// Where the parameters of an LSTM of `h` units stand: the gates' weights `[4h, 2h]` and biases `[4h]` (input,
/// forget, output, candidate), then for each gene its embeddings (of the choices before it) and its head.
struct Layout {
    bias: usize,
    /// For each gene: its embeddings `[choices before, h]`, its head `[options, h]` and the head's bias.
    genes: Vec<(usize, usize, usize)>,
    len: usize,
}

/// What one step of the LSTM leaves for the way back.
struct Step {
    /// `[x, h before]`.
    input: Vec<f64>,
    cell_before: Vec<f64>,
    /// Input, forget and output gates and the candidate, after their nonlinearities.
    gates: Vec<f64>,
    cell: Vec<f64>,
    out: Vec<f64>,
    p: Vec<f64>,
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exp: Vec<f64> = logits.iter().map(|l| (l - most).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.into_iter().map(|e| e / sum).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The gradient by the logits of `advantage · log p[choice] + entropy · H(p)`.
fn by_logits(p: &[f64], choice: usize, advantage: f64, entropy: f64) -> Vec<f64> {
    let log = |p: f64| p.max(1e-300).ln();
    let h: f64 = -p.iter().map(|p| p * log(*p)).sum::<f64>();
    let each = p.iter().enumerate().map(|(k, p)| {
        let chosen = f64::from(u8::from(k == choice));
        advantage * (chosen - p) - entropy * p * (log(*p) + h)
    });
    each.collect()
}

impl Policy {
    /// Genes with these numbers of options, each at least 1; an LSTM of `hidden` units, or none for 0. It begins
    /// close to uniform.
    pub fn new(sizes: Vec<usize>, hidden: usize, rng: &mut Rng) -> Self {
        let mut policy = Self { sizes, hidden, theta: Vec::new(), moments: Vec::new(), steps: 0 };
        let (len, scale) = match hidden {
            0 => (policy.sizes.iter().sum(), 1e-3),
            _ => (policy.layout().len, 0.1),
        };
        policy.theta = (0..len).map(|_| scale * f64::from(rng.normal())).collect();
        policy.moments = vec![(0.0, 0.0); len];
        policy
    }

    fn layout(&self) -> Layout {
        let h = self.hidden;
        let bias = 8 * h * h;
        let mut at = bias + 4 * h;
        let mut before = 1;
        let mut genes = Vec::new();
        for n in &self.sizes {
            let (embedding, head) = (at, at + before * h);
            genes.push((embedding, head, head + n * h));
            at = head + n * h + n;
            before = *n;
        }
        Layout { bias, genes, len: at }
    }

    /// Runs the LSTM; `choose` picks each gene's option from its probabilities.
    fn unroll(&self, mut choose: impl FnMut(usize, &[f64]) -> usize) -> Vec<Step> {
        let (h, layout) = (self.hidden, self.layout());
        let (mut out, mut cell, mut before) = (vec![0.0; h], vec![0.0; h], 0);
        let mut steps = Vec::new();
        for (gene, (embedding, head, head_bias)) in layout.genes.iter().enumerate() {
            let mut input = self.theta[embedding + before * h..][..h].to_vec();
            input.extend(&out);
            let gates: Vec<f64> = (0..4 * h)
                .map(|k| {
                    let z = dot(&self.theta[k * 2 * h..][..2 * h], &input) + self.theta[layout.bias + k];
                    if k < 3 * h { sigmoid(z) } else { z.tanh() }
                })
                .collect();
            let cell_before = std::mem::take(&mut cell);
            cell = (0..h).map(|k| gates[h + k] * cell_before[k] + gates[k] * gates[3 * h + k]).collect();
            out = (0..h).map(|k| gates[2 * h + k] * cell[k].tanh()).collect();
            let logits: Vec<f64> = (0..self.sizes[gene])
                .map(|o| dot(&self.theta[head + o * h..][..h], &out) + self.theta[head_bias + o])
                .collect();
            let p = softmax(&logits);
            before = choose(gene, &p);
            steps.push(Step { input, cell_before, gates, cell: cell.clone(), out: out.clone(), p });
        }
        steps
    }

    /// Each gene's probabilities, given this genome's choices before it.
    pub fn probabilities(&self, genome: &Genome) -> Vec<Vec<f64>> {
        if self.hidden > 0 {
            return self.unroll(|gene, _| genome.at(gene)).into_iter().map(|s| s.p).collect();
        }
        let mut at = 0;
        let each = self.sizes.iter().map(|n| {
            at += n;
            softmax(&self.theta[at - n..at])
        });
        each.collect()
    }

    /// Draws a genome.
    pub fn sample(&self, rng: &mut Rng) -> Genome {
        let mut pick = |p: &[f64]| {
            let mut left = rng.f64();
            p.iter().position(|p| {
                left -= p;
                left < 0.0
            })
        };
        let last = |p: &[f64]| p.len().saturating_sub(1);
        let mut genome = Genome(Vec::new());
        if self.hidden > 0 {
            self.unroll(|_, p| {
                let choice = pick(p).unwrap_or(last(p));
                genome.0.push(choice as u8);
                choice
            });
        } else {
            for p in self.probabilities(&genome) {
                genome.0.push(pick(&p).unwrap_or(last(&p)) as u8);
            }
        }
        genome
    }

    /// The gradient of `advantage · log p(genome) + entropy · Σ H(p of each gene)` by every parameter.
    pub fn gradient(&self, genome: &Genome, advantage: f64, entropy: f64) -> Vec<f64> {
        if self.hidden == 0 {
            let genes = self.probabilities(genome).into_iter().enumerate();
            return genes.flat_map(|(g, p)| by_logits(&p, genome.at(g), advantage, entropy)).collect();
        }
        let (h, layout) = (self.hidden, self.layout());
        let steps = self.unroll(|gene, _| genome.at(gene));
        let mut grad = vec![0.0; self.theta.len()];
        let (mut by_out, mut by_cell) = (vec![0.0; h], vec![0.0; h]);
        for (gene, step) in steps.iter().enumerate().rev() {
            let (embedding, head, head_bias) = layout.genes[gene];
            for (o, d) in by_logits(&step.p, genome.at(gene), advantage, entropy).into_iter().enumerate() {
                grad[head_bias + o] += d;
                for k in 0..h {
                    grad[head + o * h + k] += d * step.out[k];
                    by_out[k] += d * self.theta[head + o * h + k];
                }
            }
            let mut by_input = vec![0.0; 2 * h];
            for k in 0..h {
                let [i, f, o, c] = [0, 1, 2, 3].map(|g| step.gates[g * h + k]);
                let t = step.cell[k].tanh();
                let by_c = by_cell[k] + by_out[k] * o * (1.0 - t * t);
                // Before the nonlinearities.
                let by_gates = [
                    by_c * c * i * (1.0 - i),
                    by_c * step.cell_before[k] * f * (1.0 - f),
                    by_out[k] * t * o * (1.0 - o),
                    by_c * i * (1.0 - c * c),
                ];
                by_cell[k] = by_c * f;
                for (g, d) in by_gates.into_iter().enumerate() {
                    let row = g * h + k;
                    grad[layout.bias + row] += d;
                    for (j, x) in step.input.iter().enumerate() {
                        grad[row * 2 * h + j] += d * x;
                        by_input[j] += d * self.theta[row * 2 * h + j];
                    }
                }
            }
            let before = if gene == 0 { 0 } else { genome.at(gene - 1) };
            for k in 0..h {
                grad[embedding + before * h + k] += by_input[k];
            }
            by_out = by_input.split_off(h);
        }
        grad
    }

    /// One step of Adam uphill.
    pub fn ascend(&mut self, gradient: &[f64], rate: f64) {
        self.steps += 1;
        let correct = [BETAS.0, BETAS.1].map(|b| 1.0 - b.powi(self.steps));
        for ((theta, (m, v)), g) in self.theta.iter_mut().zip(&mut self.moments).zip(gradient) {
            *m = BETAS.0 * *m + (1.0 - BETAS.0) * g;
            *v = BETAS.1 * *v + (1.0 - BETAS.1) * g * g;
            *theta += rate * (*m / correct[0]) / ((*v / correct[1]).sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(policy: &Policy, genome: &Genome, advantage: f64, entropy: f64) -> f64 {
        let genes = policy.probabilities(genome).into_iter().enumerate();
        let each = genes.map(|(g, p)| {
            let h: f64 = -p.iter().map(|p| p * p.ln()).sum::<f64>();
            advantage * p[genome.at(g)].ln() + entropy * h
        });
        each.sum()
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for hidden in [0, 3] {
            let mut rng = Rng::new(7);
            let mut policy = Policy::new(vec![3, 1, 4, 2], hidden, &mut rng);
            policy.theta.iter_mut().for_each(|t| *t = 0.7 * f64::from(rng.normal()));
            let genome = policy.sample(&mut rng);
            let gradient = policy.gradient(&genome, 0.8, 0.3);
            assert_eq!(gradient.len(), policy.theta.len());
            for (i, expected) in gradient.iter().enumerate() {
                let at = |by: f64| {
                    let mut moved = policy.clone();
                    moved.theta[i] += by;
                    objective(&moved, &genome, 0.8, 0.3)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((slope - expected).abs() < 1e-6, "{hidden}, {i}: {slope} and {expected}");
            }
        }
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let mut rng = Rng::new(3);
        for hidden in [0, 4] {
            let policy = Policy::new(vec![2, 3], hidden, &mut rng);
            let p = policy.probabilities(&Genome(vec![0, 0]))[0][0];
            let drawn = (0..4000).filter(|_| policy.sample(&mut rng).at(0) == 0).count();
            assert!((drawn as f64 / 4000.0 - p).abs() < 0.04, "{hidden}: {drawn} of 4000 at {p}");
        }
    }

    #[test]
    fn both_learn_what_is_rewarded_and_the_lstm_what_depends_on_the_choice_before() {
        // Rewarded: the second choice equals the first; no policy of independent genes is sure of that.
        let reward = |g: &Genome| f64::from(u8::from(g.at(0) == g.at(1)));
        let learned = |hidden: usize| {
            let mut rng = Rng::new(11);
            let mut policy = Policy::new(vec![3, 3], hidden, &mut rng);
            let mut baseline = 1.0 / 3.0;
            for _ in 0..600 {
                let genome = policy.sample(&mut rng);
                let gradient = policy.gradient(&genome, reward(&genome) - baseline, 0.02);
                policy.ascend(&gradient, 0.02);
                baseline = 0.9 * baseline + 0.1 * reward(&genome);
            }
            (0..200).map(|_| reward(&policy.sample(&mut rng))).sum::<f64>() / 200.0
        };
        let (independent, lstm) = (learned(0), learned(8));
        assert!(independent > 0.5, "{independent}");
        assert!(lstm > 0.9, "{lstm}");
    }
}
