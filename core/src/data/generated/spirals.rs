//! Points of the plane on intertwined spirals; the class is the spiral. After Wieland's benchmark of
//! two spirals (Lang and Witbrock, "Learning to Tell Two Spirals Apart", Proceedings of the 1988
//! Connectionist Models Summer School).

use super::super::Dataset;
use crate::rng::Rng;
use std::f64::consts::TAU;

/// Spirals, and classes.
pub const ARMS: usize = 3;
const SAMPLES: usize = 2400;
/// Turns of a spiral from the centre outwards.
const TURNS: f64 = 0.75;
/// Standard deviation of a point's distance from its spiral, of an outermost radius of 1.
const NOISE: f32 = 0.03;

/// Samples are `[2]`: x and y, about −1 to 1. The whole figure is turned by a random angle.
pub fn make(name: &str, seed: u64) -> Dataset {
    let mut rng = Rng::stream(seed, "spirals");
    let start = TAU * rng.f64();
    let (mut inputs, mut labels) = (Vec::with_capacity(2 * SAMPLES), Vec::with_capacity(SAMPLES));
    for i in 0..SAMPLES {
        let arm = i % ARMS;
        let radius = rng.f64().sqrt();
        let angle = start + TAU * (arm as f64 / ARMS as f64 + TURNS * radius);
        for v in [radius * angle.cos(), radius * angle.sin()] {
            inputs.push(v as f32 + NOISE * rng.normal());
        }
        labels.push(arm as u32);
    }
    let part = |from: usize, to: usize| (from as u32..to as u32).collect();
    Dataset {
        name: name.into(),
        shape: vec![2],
        inputs,
        labels,
        classes: (1..=ARMS).map(|s| format!("spiral {s}")).collect(),
        train: part(0, SAMPLES / 3),
        validation: part(SAMPLES / 3, SAMPLES / 2),
        test: part(SAMPLES / 2, SAMPLES),
        table: None,
    }
}
