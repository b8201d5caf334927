//! Data sets that are made, not loaded: functions of a seed, named `made:<id>:<seed>`, so that a
//! job can name one and every worker makes the same. One file per generator, and this list.

pub mod automaton;
pub mod scenes;
pub mod shapes;
pub mod spirals;
pub mod tasks;

use super::Dataset;

/// A generator of data sets.
#[derive(Clone, Copy)]
pub struct Generator {
    /// As in the name `made:<id>:<seed>`.
    pub id: &'static str,
    /// What it makes, in one sentence.
    pub summary: &'static str,
    make: fn(&str, u64) -> Dataset,
}

/// Every generator, alphabetical.
pub static ALL: &[Generator] = &[
    Generator {
        id: "automaton",
        summary: "Strings of tokens; the class is the state in which a random finite automaton ends.",
        make: automaton::make,
    },
    Generator {
        id: "shapes",
        summary: "Images of a disc, a square or a triangle; the class is the shape.",
        make: shapes::make,
    },
    Generator {
        id: "spirals",
        summary: "Points of the plane on intertwined spirals; the class is the spiral.",
        make: spirals::make,
    },
    Generator {
        id: "tasks",
        summary: "Digits to copy, to sort or to add up; the class is the next token of the answer.",
        make: tasks::make,
    },
];

/// The name under which a job finds a generated data set.
pub fn name(id: &str, seed: u64) -> String {
    format!("made:{id}:{seed}")
}

/// The data set of such a name; `None` where it is not one.
pub fn open(name: &str) -> Option<Dataset> {
    let (id, seed) = name.strip_prefix("made:")?.split_once(':')?;
    let seed = seed.parse().ok()?;
    ALL.iter().find(|g| g.id == id).map(|g| (g.make)(name, seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Order;

    #[test]
    fn every_generator_makes_sound_data_from_its_seed_alone() {
        assert!(ALL.is_sorted_by(|a, b| a.id < b.id));
        for generator in ALL {
            let data = open(&name(generator.id, 7)).unwrap();
            assert_eq!(Some(&data), open(&name(generator.id, 7)).as_ref());
            assert_ne!(data.inputs, open(&name(generator.id, 8)).unwrap().inputs);
            assert_eq!(data.inputs.len(), data.labels.len() * data.sample_len());
            assert!(data.labels.iter().all(|l| (*l as usize) < data.classes.len()));
            let mut all = [&data.train[..], &data.validation, &data.test].concat();
            all.order();
            assert!(all.iter().copied().eq(0..data.labels.len() as u32), "each sample in one split");
        }
        assert!(open("made:nothing:1").is_none() && open("made:automaton:x").is_none());
        assert!(open("digits").is_none());
    }
}
