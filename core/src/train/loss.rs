//! Losses on logits: differentiable on Burn, and the same numbers on the host for the curves.

use super::Loss;
use burn::tensor::{Tensor, activation::log_softmax};

/// The targets of a batch, row-major `[batch, classes]`: one-hot, smoothed by mixing with the
/// uniform distribution (Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016).
pub fn targets(labels: &[u32], classes: usize, smoothing: f32) -> Vec<f32> {
    let mut targets = vec![smoothing / classes as f32; labels.len() * classes];
    for (row, label) in targets.chunks_exact_mut(classes).zip(labels) {
        if let Some(hit) = row.get_mut(*label as usize) {
            *hit += 1.0 - smoothing;
        }
    }
    targets
}

/// The loss of a batch, `[1]`: `logits` and `targets` are `[batch, classes]`.
///
/// Cross-entropy is the mean over samples of −Σ target · log softmax(logits). Squared error is the
/// mean over samples and classes of (logit − target)².
pub fn loss(kind: Loss, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let batch = logits.dims()[0] as f32;
    match kind {
        Loss::CrossEntropy => (log_softmax(logits, 1) * targets).sum().div_scalar(-batch),
        Loss::SquaredError => (logits - targets).square().mean(),
    }
}

/// Sum of losses and number of right answers of some rows of logits, without smoothing.
pub fn tally(kind: Loss, logits: &[f32], labels: &[u32], classes: usize) -> (f64, usize) {
    let (mut sum, mut right) = (0.0, 0);
    for (row, label) in logits.chunks_exact(classes).zip(labels) {
        let label = *label as usize;
        sum += match kind {
            Loss::CrossEntropy => {
                let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let log_sum = row.iter().map(|v| f64::from(v - max).exp()).sum::<f64>().ln();
                log_sum - f64::from(row[label] - max)
            }
            Loss::SquaredError => {
                let error = |(i, v): (usize, &f32)| f64::from(v - f32::from(i == label)).powi(2);
                row.iter().enumerate().map(error).sum::<f64>() / classes as f64
            }
        };
        right += usize::from(argmax(row) == label);
    }
    (sum, right)
}

/// The index of the largest value, the first of equals; 0 where there are none.
pub fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, v) in row.iter().enumerate() {
        if *v > row[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    const LOGITS: [f32; 6] = [2.0, -1.0, 0.5, 0.0, 3.0, 3.0];

    #[test]
    fn device_and_host_agree_and_match_the_formula() {
        let device = Device::flex();
        let tensor = |v: Vec<f32>| Tensor::<2>::from_data(TensorData::new(v, [2, 3]), &device);
        for kind in [Loss::CrossEntropy, Loss::SquaredError] {
            let (sum, right) = tally(kind, &LOGITS, &[0, 2], 3);
            let device_loss =
                loss(kind, tensor(LOGITS.to_vec()), tensor(targets(&[0, 2], 3, 0.0))).into_scalar::<f32>();
            assert!((f64::from(device_loss) - sum / 2.0).abs() < 1e-6, "{kind:?}: {device_loss} {sum}");
            assert_eq!(right, 1, "of equal logits the first counts");
        }
        // By hand: ln(e^2 + e^-1 + e^0.5) - 2 = 0.24131...
        let (first, _) = tally(Loss::CrossEntropy, &LOGITS[..3], &[0], 3);
        assert!((first - 0.241_311).abs() < 1e-5, "{first}");
    }

    #[test]
    fn smoothing_mixes_with_the_uniform_distribution() {
        let t = targets(&[1], 4, 0.2);
        assert_eq!(t, [0.05, 0.85, 0.05, 0.05]);
    }
}
