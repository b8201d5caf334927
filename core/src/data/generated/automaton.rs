//! Strings read by a random finite automaton: the class of a string is the state in which the
//! automaton ends. The task of recognising regular languages from examples (Giles et al.,
//! "Learning and Extracting Finite State Automata with Second-Order Recurrent Neural Networks",
//! Neural Computation 4(3), 1992), with a state for a class.

use super::super::Dataset;
use crate::rng::Rng;

/// States, and classes.
pub const STATES: usize = 8;
/// Tokens of the alphabet.
pub const TOKENS: usize = 4;
/// Tokens in a string.
pub const LENGTH: usize = 10;
const SAMPLES: usize = 2400;

/// Samples are `[LENGTH, TOKENS]`, one-hot.
///
/// Half of the tokens permute the states, so that what was read long ago still counts; the others
/// send every state to one of two, so that it does not count for ever. Strings are drawn uniformly.
pub fn make(name: &str, seed: u64) -> Dataset {
    let mut rng = Rng::stream(seed, "automaton");
    let next: Vec<Vec<usize>> = (0..TOKENS)
        .map(|token| {
            let mut to: Vec<usize> = (0..STATES).collect();
            rng.shuffle(&mut to);
            if token >= TOKENS / 2 {
                to = to.into_iter().map(|s| s % 2 + token).collect();
            }
            to
        })
        .collect();
    let mut rng = Rng::stream(seed, "strings");
    let mut inputs = vec![0.0; SAMPLES * LENGTH * TOKENS];
    let mut labels = Vec::with_capacity(SAMPLES);
    for sample in inputs.chunks_exact_mut(LENGTH * TOKENS) {
        let mut state = 0;
        for step in sample.chunks_exact_mut(TOKENS) {
            let token = rng.below(TOKENS);
            step[token] = 1.0;
            state = next[token][state];
        }
        labels.push(state as u32);
    }
    let part = |from: usize, to: usize| (from as u32..to as u32).collect();
    Dataset {
        name: name.into(),
        shape: vec![LENGTH, TOKENS],
        inputs,
        labels,
        classes: (0..STATES).map(|s| format!("state {s}")).collect(),
        train: part(0, SAMPLES * 2 / 3),
        validation: part(SAMPLES * 2 / 3, SAMPLES * 3 / 4),
        test: part(SAMPLES * 3 / 4, SAMPLES),
        table: None,
    }
}
