//! Genomes as rows of numbers, for predictors.
//!
//! The path encoding is that of White, Neiswanger and Savani, "BANANAS" (AAAI 2021, arXiv:1910.11858): one
//! feature for every sequence of operations that can lead from a cell's input to its output, 1 where the cell has it.
//! A space says which of its paths a genome has ([`Space::paths`]); where it knows none, every choice is one-hot.

use crate::params::Config;
use crate::space::{Gene, Genome, Space};

/// One feature per option of each gene.
pub fn one_hot(genes: &[Gene], genome: &Genome) -> Vec<f64> {
    let one = |(i, gene): (usize, &Gene)| {
        let chosen = genome.at(i);
        (0..gene.options.len()).map(move |option| f64::from(u8::from(option == chosen)))
    };
    genes.iter().enumerate().flat_map(one).collect()
}

/// The path encoding; `None` where the space has no paths.
pub fn paths(space: &dyn Space, config: &Config, genome: &Genome) -> Option<Vec<f64>> {
    let (count, present) = space.paths(config, genome)?;
    let mut row = vec![0.0; count];
    for path in present {
        if let Some(feature) = row.get_mut(path) {
            *feature = 1.0;
        }
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Order;
    use crate::rng::Rng;
    use crate::space::{self, nb201};
    use std::collections::BTreeSet;

    #[test]
    fn one_hot_has_a_one_for_each_choice() {
        let config = Config::default();
        let nb201 = space::get("nb201").unwrap();
        let row = one_hot(&nb201.genes(&config), &Genome(vec![3, 0, 1, 4, 2, 0]));
        let ones: Vec<usize> = (0..row.len()).filter(|i| row[*i] == 1.0).collect();
        assert_eq!((row.len(), ones), (30, vec![3, 5, 11, 19, 22, 25]));
    }

    #[test]
    fn a_cell_s_paths_are_its_four_ways_from_input_to_output() {
        let (config, space) = (Config::default(), space::get("nb201").unwrap());
        let cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|";
        let genome = nb201::parse_cell(cell).unwrap();
        let (count, mut present) = space.paths(&config, &genome).unwrap();
        assert_eq!(count, 5 + 25 + 125);
        // Directly: pool (4). By node 1: 3×3 then 1×1, 5 + 3·5 + 2. By node 2: none then none, 5 + 0. By both:
        // 3×3, skip, none: 30 + 3·25 + 1·5 + 0.
        present.order();
        assert_eq!(present, [4, 5, 22, 110]);
        let row = paths(space, &config, &genome).unwrap();
        assert_eq!((row.len(), row.iter().sum::<f64>()), (155, 4.0));
    }

    #[test]
    fn paths_forget_which_node_they_lead_through_and_nothing_else() {
        let (config, space) = (Config::default(), space::get("nb201").unwrap());
        let row = |genes: [u8; 6]| paths(space, &config, &Genome(genes.to_vec())).unwrap();
        // Nodes 1 and 2 change places where nothing joins them: the same network, the same features.
        assert_eq!(row([1, 2, 0, 3, 4, 2])[..30], row([2, 1, 0, 3, 2, 4])[..30]);
        let mut rng = Rng::new(1);
        let genes = space.genes(&config);
        let mut rows = BTreeSet::new();
        let mut genomes = BTreeSet::new();
        while genomes.len() < 500 {
            let genome = space::sample(&genes, &mut rng);
            let row: Vec<bool> = paths(space, &config, &genome).unwrap().iter().map(|v| *v > 0.0).collect();
            rows.insert(row);
            genomes.insert(genome);
        }
        assert!(rows.len() > 480, "{} of 500 cells are told apart", rows.len());
    }
}
