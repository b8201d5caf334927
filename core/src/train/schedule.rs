//! The learning rate at a step.

use super::{Schedule, TrainConfig};

/// The learning rate at step `step` (from 0) of training with `per_epoch` steps in an epoch.
pub fn rate(config: &TrainConfig, step: u32, per_epoch: u32) -> f32 {
    match config.schedule {
        Schedule::Constant => config.rate,
        Schedule::Cosine { warmup } => {
            let total = (config.epochs * per_epoch).max(1) as f32;
            let warm = (warmup.clamp(0.0, 1.0) * total).floor();
            let step = step as f32;
            if step < warm {
                config.rate * (step + 1.0) / warm
            } else {
                let part = (step - warm) / (total - warm).max(1.0);
                config.rate * 0.5 * (1.0 + (std::f32::consts::PI * part).cos())
            }
        }
        Schedule::Step { every, factor } => {
            let epoch = step / per_epoch.max(1);
            config.rate * factor.powi((epoch / every.max(1)) as i32)
        }
        Schedule::Exponential { warmup, factor, floor } => {
            let warm = (warmup.clamp(0.0, 1.0) * (config.epochs * per_epoch) as f32).floor();
            let warmth = if (step as f32) < warm { (step as f32 + 1.0) / warm } else { 1.0 };
            config.rate * warmth * factor.powf(step as f32 / per_epoch.max(1) as f32).max(floor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_follow_their_formulas() {
        let with = |schedule| TrainConfig { epochs: 10, rate: 1.0, schedule, ..TrainConfig::default() };
        let cosine = with(Schedule::Cosine { warmup: 0.1 });
        let rates: Vec<f32> = (0..100).map(|s| rate(&cosine, s, 10)).collect();
        assert_eq!(rates[0], 0.1);
        assert_eq!(rates[9], 1.0);
        assert!((rates[10] - 1.0).abs() < 1e-6);
        assert!((rates[55] - 0.5).abs() < 1e-6, "half way down at half time: {}", rates[55]);
        assert!(rates[99] < 1e-3 && rates[10..].is_sorted_by(|a, b| a >= b));
        let step = with(Schedule::Step { every: 3, factor: 0.5 });
        assert_eq!([0, 29, 30, 60, 90].map(|s| rate(&step, s, 10)), [1.0, 1.0, 0.5, 0.25, 0.125]);
        let exponential = with(Schedule::Exponential { warmup: 0.0, factor: 0.5, floor: 0.1 });
        let rates = [0, 5, 10, 30, 40, 90].map(|s| rate(&exponential, s, 10));
        for (have, want) in rates.iter().zip([1.0, 0.5f32.sqrt(), 0.5, 0.125, 0.1, 0.1]) {
            assert!((have - want).abs() < 1e-6, "{rates:?}");
        }
        let warm = with(Schedule::Exponential { warmup: 0.2, factor: 1.0, floor: 0.1 });
        assert_eq!([0, 9, 19, 20, 99].map(|s| rate(&warm, s, 10)), [0.05, 0.5, 1.0, 1.0, 1.0]);
        assert_eq!(rate(&with(Schedule::Constant), 77, 10), 1.0);
    }
}
