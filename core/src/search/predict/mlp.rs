//! A fully connected network that predicts one number, trained by Adam.
//!
//! The neural predictor of White, Neiswanger and Savani, "BANANAS" (AAAI 2021, arXiv:1910.11858): ReLU layers, Adam
//! (Kingma and Ba, 2015) with the authors' decay rates, absolute error, weights that start as in Glorot and Bengio
//! (2010). Targets are standardised first, so that one learning rate suits percentages and milliseconds alike.
//!
//! Encodings of architectures are mostly zeros, and so is what a ReLU lets through: weights are stored by input, and
//! an input of zero is skipped on both ways.

use super::{Samples, Scale};
use crate::rng::Rng;
use crate::{Error, Result};

/// Decay rates and guard of Adam, as in the authors' code.
const BETAS: (f64, f64) = (0.9, 0.99);
const EPSILON: f64 = 1e-7;

/// What is minimised, on standardised targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The mean of |prediction − target|; what BANANAS uses.
    Absolute,
    /// The mean of (prediction − target)².
    Squared,
}

/// How the network is made and trained.
#[derive(Debug, Clone, PartialEq)]
pub struct MlpConfig {
    /// Units of each hidden layer; none is a linear function.
    pub hidden: Vec<usize>,
    /// Loss.
    pub loss: Loss,
    /// Passes over the samples.
    pub epochs: usize,
    /// Samples in a step.
    pub batch: usize,
    /// Learning rate.
    pub rate: f64,
}

/// A trained network.
#[derive(Debug, Clone, PartialEq)]
pub struct Mlp {
    /// Width of every layer, from the features to the one output.
    sizes: Vec<usize>,
    /// For each layer its weights `[inputs, outputs]`, then its biases `[outputs]`.
    theta: Vec<f64>,
    target: Scale,
}

fn length(sizes: &[usize]) -> usize {
    sizes.windows(2).map(|w| (w[0] + 1) * w[1]).sum()
}

impl Mlp {
    /// A network as it starts, for targets on this scale.
    fn init(features: usize, hidden: &[usize], target: Scale, rng: &mut Rng) -> Self {
        let mut sizes = vec![features];
        sizes.extend(hidden);
        sizes.push(1);
        let mut theta = Vec::with_capacity(length(&sizes));
        for w in sizes.windows(2) {
            let limit = (6.0 / (w[0] + w[1]).max(1) as f64).sqrt();
            theta.extend((0..w[0] * w[1]).map(|_| limit * (2.0 * rng.f64() - 1.0)));
            theta.extend(std::iter::repeat_n(0.0, w[1]));
        }
        Self { sizes, theta, target }
    }

    /// Trains a network.
    ///
    /// # Errors
    /// As [`Samples::check`]; a hidden layer without units, a batch of none, or a rate that is no positive number.
    pub fn fit(samples: Samples<'_>, config: &MlpConfig, rng: &mut Rng) -> Result<Self> {
        let features = samples.check()?;
        let sound = config.rate > 0.0 && config.rate.is_finite() && config.batch > 0;
        if !sound || config.hidden.contains(&0) {
            return Err(Error::Numeric(format!("a predictor cannot be trained so: {config:?}")));
        }
        let target = Scale::of(samples.y.iter().copied());
        let y: Vec<f64> = samples.y.iter().map(|y| target.down(*y)).collect();
        let mut mlp = Self::init(features, &config.hidden, target, rng);
        let mut order: Vec<usize> = (0..y.len()).collect();
        let mut gradient = vec![0.0; mlp.theta.len()];
        let mut moments = vec![(0.0, 0.0); mlp.theta.len()];
        let mut layers = mlp.layers();
        let mut decay = (1.0, 1.0);
        for _ in 0..config.epochs {
            rng.shuffle(&mut order);
            for batch in order.chunks(config.batch) {
                gradient.fill(0.0);
                for i in batch {
                    mlp.backward(
                        &samples.x[*i],
                        y[*i],
                        config.loss,
                        1.0 / batch.len() as f64,
                        &mut layers,
                        &mut gradient,
                    );
                }
                decay = (decay.0 * BETAS.0, decay.1 * BETAS.1);
                let rate = config.rate * (1.0 - decay.1).sqrt() / (1.0 - decay.0);
                for ((theta, (m, v)), g) in mlp.theta.iter_mut().zip(&mut moments).zip(&gradient) {
                    // A weight that no sample has used yet stays where it is.
                    if *g == 0.0 && *v == 0.0 {
                        continue;
                    }
                    *m = BETAS.0 * *m + (1.0 - BETAS.0) * g;
                    *v = BETAS.1 * *v + (1.0 - BETAS.1) * g * g;
                    *theta -= rate * *m / (v.sqrt() + EPSILON);
                }
            }
        }
        Ok(mlp)
    }

    /// The prediction for one row of features, in the targets' units.
    pub fn predict(&self, x: &[f64]) -> f64 {
        let mut layers = self.layers();
        self.target.up(self.forward(x, &mut layers))
    }

    /// Room for what each layer puts out, the last included.
    fn layers(&self) -> Vec<Vec<f64>> {
        self.sizes[1..].iter().map(|n| vec![0.0; *n]).collect()
    }

    /// Fills the layers and returns the output, standardised.
    fn forward(&self, x: &[f64], layers: &mut [Vec<f64>]) -> f64 {
        let mut at = 0;
        for l in 0..layers.len() {
            let (before, rest) = layers.split_at_mut(l);
            let Some(out) = rest.first_mut() else { break };
            let input = before.last().map_or(x, Vec::as_slice);
            let n = out.len();
            let (weights, biases) = (&self.theta[at..at + self.sizes[l] * n], at + self.sizes[l] * n);
            out.copy_from_slice(&self.theta[biases..biases + n]);
            for (x, row) in input.iter().zip(weights.chunks_exact(n)) {
                if *x != 0.0 {
                    out.iter_mut().zip(row).for_each(|(o, w)| *o += x * w);
                }
            }
            if l + 2 < self.sizes.len() {
                out.iter_mut().for_each(|o| *o = o.max(0.0));
            }
            at = biases + n;
        }
        layers.last().and_then(|l| l.first()).copied().unwrap_or(0.0)
    }

    /// Adds `share` times the gradient of one sample's loss.
    fn backward(
        &self,
        x: &[f64],
        y: f64,
        loss: Loss,
        share: f64,
        layers: &mut [Vec<f64>],
        gradient: &mut [f64],
    ) {
        let error = self.forward(x, layers) - y;
        let slope = match loss {
            Loss::Absolute if error == 0.0 => 0.0,
            Loss::Absolute => error.signum(),
            Loss::Squared => 2.0 * error,
        };
        let mut by_out = vec![share * slope];
        let mut end = self.theta.len();
        for l in (0..layers.len()).rev() {
            let (inputs, n) = (self.sizes[l], self.sizes[l + 1]);
            let (biases, weights) = (end - n, end - n - inputs * n);
            gradient[biases..end].iter_mut().zip(&by_out).for_each(|(g, d)| *g += d);
            let input = if l == 0 { x } else { &layers[l - 1] };
            let mut by_in = vec![0.0; if l == 0 { 0 } else { inputs }];
            for (i, x) in input.iter().enumerate() {
                // Zero is either an input that is off, or a ReLU that is: no gradient goes through.
                if *x == 0.0 {
                    continue;
                }
                let row = weights + i * n;
                gradient[row..row + n].iter_mut().zip(&by_out).for_each(|(g, d)| *g += x * d);
                if let Some(by_in) = by_in.get_mut(i) {
                    *by_in = self.theta[row..row + n].iter().zip(&by_out).map(|(w, d)| w * d).sum();
                }
            }
            by_out = by_in;
            end = weights;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(hidden: &[usize], loss: Loss) -> MlpConfig {
        MlpConfig { hidden: hidden.to_vec(), loss, epochs: 400, batch: 8, rate: 0.01 }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let mut rng = Rng::new(6);
        for loss in [Loss::Absolute, Loss::Squared] {
            for hidden in [&[][..], &[5], &[4, 3], &[4, 4, 4]] {
                let mut mlp = Mlp::init(6, hidden, Scale { mean: 0.0, deviation: 1.0 }, &mut rng);
                // Away from zero, where gradients by biases could be wrong unseen and few ReLUs would be on.
                mlp.theta.iter_mut().for_each(|t| *t += 0.4 + 0.1 * f64::from(rng.normal()));
                let x = [0.5, 0.0, -1.2, 0.0, 2.0, 1.0];
                let value = |mlp: &Mlp| {
                    let error = mlp.forward(&x, &mut mlp.layers()) - 0.3;
                    if loss == Loss::Absolute { error.abs() } else { error * error }
                };
                let mut gradient = vec![0.0; mlp.theta.len()];
                mlp.backward(&x, 0.3, loss, 1.0, &mut mlp.layers(), &mut gradient);
                let mut nonzero = 0;
                for (i, expected) in gradient.iter().enumerate() {
                    let at = |by: f64| {
                        let mut moved = mlp.clone();
                        moved.theta[i] += by;
                        value(&moved)
                    };
                    let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
                    assert!((slope - expected).abs() < 1e-6, "{hidden:?}, {i}: {slope} and {expected}");
                    nonzero += usize::from(*expected != 0.0);
                }
                assert!(nonzero > gradient.len() / 4, "{hidden:?}: {nonzero} of {}", gradient.len());
            }
        }
    }

    #[test]
    fn it_learns_what_no_linear_function_is() {
        let x: Vec<Vec<f64>> = (0..64).map(|i| (0..6).map(|b| f64::from(i >> b & 1)).collect()).collect();
        // Exclusive or of the first two, in percent.
        let y: Vec<f64> = x.iter().map(|x| 80.0 + 10.0 * (x[0] - x[1]).abs() + x[2]).collect();
        let samples = Samples { x: &x, y: &y };
        for loss in [Loss::Absolute, Loss::Squared] {
            let error = |hidden: &[usize]| {
                let mlp = Mlp::fit(samples, &config(hidden, loss), &mut Rng::new(1)).unwrap();
                x.iter().zip(&y).map(|(x, y)| (mlp.predict(x) - y).abs()).sum::<f64>() / 64.0
            };
            let (linear, deep) = (error(&[]), error(&[20, 20]));
            assert!(linear > 4.0, "{loss:?}: {linear}");
            assert!(deep < 1.0, "{loss:?}: {deep}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_network_and_bad_settings_are_refused() {
        let x = vec![vec![1.0, 0.0], vec![0.0, 1.0], vec![1.0, 1.0]];
        let samples = Samples { x: &x, y: &[1.0, 2.0, 4.0] };
        let fit = |seed| Mlp::fit(samples, &config(&[3], Loss::Absolute), &mut Rng::new(seed)).unwrap();
        assert_eq!(fit(1), fit(1));
        assert_ne!(fit(1), fit(2));
        // All targets equal: that is what is predicted.
        let same = Samples { x: &x, y: &[5.0; 3] };
        let mlp = Mlp::fit(same, &config(&[3], Loss::Absolute), &mut Rng::new(1)).unwrap();
        assert!((mlp.predict(&x[0]) - 5.0).abs() < 0.1, "{}", mlp.predict(&x[0]));
        for bad in [
            config(&[0], Loss::Absolute),
            MlpConfig { rate: f64::NAN, ..config(&[3], Loss::Absolute) },
            MlpConfig { batch: 0, ..config(&[3], Loss::Absolute) },
        ] {
            assert!(Mlp::fit(samples, &bad, &mut Rng::new(1)).is_err());
        }
    }
}
