//! Images of one disc, square or triangle on a noisy ground, rendered as in [`super::scenes`] but larger; the class is
//! the shape.

use super::super::Dataset;
use super::scenes::{CLASSES, inside};
use crate::rng::Rng;

/// Side of an image in pixels.
pub const SIDE: usize = 12;
const SAMPLES: usize = 2400;
/// Standard deviation of the noise.
const NOISE: f32 = 0.1;

/// Samples are `[1, SIDE, SIDE]`, 0 to 1.
pub fn make(name: &str, seed: u64) -> Dataset {
    let mut rng = Rng::stream(seed, "shapes");
    let (mut inputs, mut labels) = (Vec::with_capacity(SAMPLES * SIDE * SIDE), Vec::with_capacity(SAMPLES));
    let side = SIDE as f32;
    for _ in 0..SAMPLES {
        let class = 1 + rng.below(CLASSES.len() - 1);
        let radius = rng.uniform(0.2, 0.4) * side;
        let (cx, cy) = (rng.uniform(radius, side - radius), rng.uniform(radius, side - radius));
        let (ground, level) = (rng.uniform(0.0, 0.3), rng.uniform(0.5, 1.0));
        for i in 0..SIDE * SIDE {
            let (x, y) = ((i % SIDE) as f32 + 0.5 - cx, (i / SIDE) as f32 + 0.5 - cy);
            let pixel = if inside(class, x / radius, y / radius) { level } else { ground };
            inputs.push((pixel + NOISE * rng.normal()).clamp(0.0, 1.0));
        }
        labels.push(class as u32 - 1);
    }
    let part = |from: usize, to: usize| (from as u32..to as u32).collect();
    Dataset {
        name: name.into(),
        shape: vec![1, SIDE, SIDE],
        inputs,
        labels,
        classes: CLASSES[1..].iter().map(|c| (*c).to_owned()).collect(),
        train: part(0, SAMPLES / 2),
        validation: part(SAMPLES / 2, 2 * SAMPLES / 3),
        test: part(2 * SAMPLES / 3, SAMPLES),
        table: None,
    }
}
