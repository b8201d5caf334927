//! Counts, equivalences and wiring of NASNet-style cells.

use super::*;
use crate::params::ParamValue;
use crate::rng::Rng;
use crate::space::{crossover, mutate, sample};

fn config(values: &[(&str, i64)]) -> Config {
    values
        .iter()
        .fold(Config::default(), |c, (key, v)| c.with(&format!("nasnet-cell.{key}"), ParamValue::Int(*v)))
}

#[test]
fn one_block_of_known_operations_has_the_parameters_of_the_formula() {
    // One stage, one normal cell of one block: s3 of the last cell + s5 of the one before.
    let config = config(&[("channels", 4), ("blocks", 1), ("stages", 1)]);
    let genome = Genome(vec![1, 1, 0, 2]);
    let graph = NasnetCell.graph(&config, &genome, &[1, 8, 8], 10).unwrap();
    let (c, norm) = (4, 2 * 4);
    let stem = 9 * c + norm;
    let projections = 2 * (c * c + norm);
    let separables = (9 * c + c * c + norm) + (25 * c + c * c + norm);
    let classifier = 10 * c + 10;
    let total = graph.analyze(1).unwrap().total;
    assert_eq!(total.params, (stem + projections + separables + classifier) as u64);
    // Every convolution keeps 8 × 8 here.
    let per_pixel = 9 * c + 2 * c * c + (9 * c + c * c) + (25 * c + c * c);
    let macs: u64 = total.macs;
    assert!(macs >= (64 * per_pixel + 10 * c) as u64, "{macs}");
    // A second application of the separable convolutions adds what one has.
    let twice = config.clone().with("nasnet-cell.repeats", ParamValue::Int(2));
    let graph = NasnetCell.graph(&twice, &genome, &[1, 8, 8], 10).unwrap();
    assert_eq!(graph.analyze(1).unwrap().total.params, total.params + separables as u64);
}

#[test]
fn blocks_that_no_other_takes_are_concatenated() {
    let config = config(&[("channels", 4), ("blocks", 2), ("stages", 1)]);
    let width = |genome: Vec<u8>| {
        let graph = NasnetCell.graph(&config, &Genome(genome), &[1, 8, 8], 10).unwrap();
        let gemm = graph.nodes.iter().find(|n| n.op == "Gemm").unwrap();
        graph.params[&gemm.inputs[1]].shape[1]
    };
    assert_eq!(width(vec![1, 1, 1, 0, 0, 1, 1, 0]), 8, "two loose blocks");
    assert_eq!(width(vec![1, 1, 1, 0, 2, 1, 1, 0]), 4, "the second takes the first");
}

#[test]
fn the_same_cell_written_otherwise_is_the_same_genome() {
    let config = config(&[("blocks", 3), ("stages", 1)]);
    // Block 3 takes block 1; block 2 stands alone. Written with blocks 1 and 2 exchanged and the
    // pairs of block 3 turned round.
    let a = Genome(vec![0, 1, 1, 2, 1, 3, 1, 0, 2, 4, 0, 0]);
    let b = Genome(vec![1, 0, 1, 3, 1, 2, 0, 1, 0, 0, 3, 4]);
    assert_eq!(NasnetCell.canonical(&config, &a), NasnetCell.canonical(&config, &b));
    let other = Genome(vec![0, 1, 1, 2, 1, 3, 1, 0, 3, 4, 0, 0]);
    assert_ne!(NasnetCell.canonical(&config, &a), NasnetCell.canonical(&config, &other));
}

#[test]
fn every_genome_crossed_or_changed_is_a_network_of_the_promised_size() {
    for values in [&[][..], &[("blocks", 5), ("stages", 3), ("channels", 3)], &[("repeats", 2), ("cells", 2)]]
    {
        let config = config(values);
        let genes = NasnetCell.genes(&config);
        let mut rng = Rng::new(11);
        let mut parent = sample(&genes, &mut rng);
        for _ in 0..60 {
            let other = sample(&genes, &mut rng);
            let child = mutate(&genes, &crossover(&parent, &other, &mut rng), &mut rng);
            for genome in [&other, &child] {
                let graph = NasnetCell.graph(&config, genome, &[1, 8, 8], 10).unwrap();
                let analysis = graph.analyze(5).unwrap();
                assert_eq!(analysis.shapes[&graph.outputs[0]], [5, 10]);
                if values.is_empty() {
                    let params = analysis.total.params;
                    assert!((300..=30_000).contains(&params), "{params} parameters");
                }
            }
            parent = child;
        }
    }
}

#[test]
fn what_does_not_fit_is_answered_in_words() {
    let genome = |config: &Config| Genome(vec![0; NasnetCell.genes(config).len()]);
    let message = |config: &Config, shape: &[usize]| {
        NasnetCell.graph(config, &genome(config), shape, 10).unwrap_err().to_string()
    };
    assert!(message(&Config::default(), &[4]).contains("MLP"));
    assert!(message(&config(&[("stages", 4)]), &[1, 12, 12]).contains("12 × 12"));
}
