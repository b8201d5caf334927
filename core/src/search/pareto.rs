//! Pareto dominance, fronts and hypervolume; everything is minimised.
//!
//! The fast non-dominated sort and the crowding distance are those of Deb et al. (2002); the
//! hypervolume indicator is that of Zitzler and Thiele (1998), exact in one, two and three
//! dimensions.

use crate::order::Order;
/// Whether `a` is nowhere worse than `b` and somewhere better.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x <= y) && a.iter().zip(b).any(|(x, y)| x < y)
}

/// Indices of the points that none dominates, in order. Equal points are all kept.
pub fn front(points: &[Vec<f64>]) -> Vec<usize> {
    (0..points.len()).filter(|i| !points.iter().any(|q| dominates(q, &points[*i]))).collect()
}

/// Fast non-dominated sort (Deb et al., 2002, section III-A): the fronts, best first, as indices.
pub fn sort_fronts(points: &[Vec<f64>]) -> Vec<Vec<usize>> {
    let n = points.len();
    let mut dominated: Vec<Vec<usize>> = vec![Vec::new(); n];
    let mut dominators = vec![0usize; n];
    for p in 0..n {
        for q in 0..n {
            if dominates(&points[p], &points[q]) {
                dominated[p].push(q);
                dominators[q] += 1;
            }
        }
    }
    let mut fronts = Vec::new();
    let mut current: Vec<usize> = (0..n).filter(|p| dominators[*p] == 0).collect();
    while !current.is_empty() {
        let mut next = Vec::new();
        for p in &current {
            for q in &dominated[*p] {
                dominators[*q] -= 1;
                if dominators[*q] == 0 {
                    next.push(*q);
                }
            }
        }
        next.order();
        fronts.push(std::mem::replace(&mut current, next));
    }
    fronts
}

/// Crowding distance (Deb et al., 2002, section III-B) of each member of one front, in the order
/// of `front`. Extremes are infinitely far from their neighbours.
pub fn crowding(points: &[Vec<f64>], front: &[usize]) -> Vec<f64> {
    let mut distance = vec![0.0; front.len()];
    let dimensions = front.first().map_or(0, |i| points[*i].len());
    let value = |member: usize, d: usize| points[front[member]][d];
    for d in 0..dimensions {
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.order_by(|a, b| value(*a, d).total_cmp(&value(*b, d)));
        let at = |k: usize| value(order[k], d);
        let span = at(order.len() - 1) - at(0);
        distance[order[0]] = f64::INFINITY;
        distance[order[order.len() - 1]] = f64::INFINITY;
        if span > 0.0 && span.is_finite() {
            for k in 1..order.len().saturating_sub(1) {
                distance[order[k]] += (at(k + 1) - at(k - 1)) / span;
            }
        }
    }
    distance
}

/// The volume that the points dominate within the box below `reference`; points outside the box
/// add nothing. Exact; `None` for more than three dimensions.
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> Option<f64> {
    let inside: Vec<&[f64]> = points
        .iter()
        .map(Vec::as_slice)
        .filter(|p| p.len() == reference.len() && p.iter().zip(reference).all(|(x, r)| x < r))
        .collect();
    match reference.len() {
        1 => Some(inside.iter().map(|p| reference[0] - p[0]).fold(0.0, f64::max)),
        2 => Some(area(inside.iter().map(|p| [p[0], p[1]]).collect(), [reference[0], reference[1]])),
        3 => Some(volume(inside, reference)),
        _ => None,
    }
}

fn area(mut points: Vec<[f64; 2]>, reference: [f64; 2]) -> f64 {
    points.order_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let mut floor = reference[1];
    let mut sum = 0.0;
    for [x, y] in points {
        if y < floor {
            sum += (reference[0] - x) * (floor - y);
            floor = y;
        }
    }
    sum
}

/// Slices along the third axis: between two heights the section is that of all points below.
fn volume(mut points: Vec<&[f64]>, reference: &[f64]) -> f64 {
    points.order_by(|a, b| a[2].total_cmp(&b[2]));
    let mut sum = 0.0;
    for i in 0..points.len() {
        let top = points.get(i + 1).map_or(reference[2], |p| p[2]);
        if top > points[i][2] {
            let below = points[..=i].iter().map(|p| [p[0], p[1]]).collect();
            sum += area(below, [reference[0], reference[1]]) * (top - points[i][2]);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn cloud(rng: &mut Rng, n: usize, dimensions: usize) -> Vec<Vec<f64>> {
        // A coarse grid, so that ties and equal points occur.
        (0..n).map(|_| (0..dimensions).map(|_| rng.below(8) as f64 / 8.0).collect()).collect()
    }

    #[test]
    fn fronts_match_the_definition() {
        let mut rng = Rng::new(1);
        for dimensions in 1..=4 {
            for _ in 0..50 {
                let points = cloud(&mut rng, 30, dimensions);
                let fronts = sort_fronts(&points);
                assert_eq!(fronts.iter().map(Vec::len).sum::<usize>(), points.len());
                // By definition: front k is what none dominates once the fronts before it are gone.
                let mut left: Vec<usize> = (0..points.len()).collect();
                for found in &fronts {
                    let expected: Vec<usize> = left
                        .iter()
                        .copied()
                        .filter(|i| !left.iter().any(|j| dominates(&points[*j], &points[*i])))
                        .collect();
                    assert_eq!(*found, expected);
                    left.retain(|i| !expected.contains(i));
                }
                assert_eq!(front(&points), fronts[0]);
            }
        }
    }

    #[test]
    fn crowding_by_hand() {
        let points = vec![vec![0.0, 4.0], vec![1.0, 2.0], vec![3.0, 1.0], vec![4.0, 0.0]];
        let d = crowding(&points, &[0, 1, 2, 3]);
        assert!(d[0].is_infinite() && d[3].is_infinite());
        assert!((d[1] - (3.0 / 4.0 + 3.0 / 4.0)).abs() < 1e-12, "{d:?}");
        assert!((d[2] - (3.0 / 4.0 + 2.0 / 4.0)).abs() < 1e-12, "{d:?}");
        assert!(crowding(&points, &[2]).iter().all(|x| x.is_infinite()));
    }

    #[test]
    fn hypervolume_by_counting_cells() {
        assert_eq!(hypervolume(&[vec![1.0, 2.0], vec![2.0, 1.0]], &[3.0, 3.0]), Some(3.0));
        assert_eq!(hypervolume(&[vec![4.0, 0.0]], &[3.0, 3.0]), Some(0.0));
        assert_eq!(hypervolume(&[vec![0.0; 4]], &[1.0; 4]), None);
        let mut rng = Rng::new(2);
        for dimensions in 1..=3usize {
            for _ in 0..30 {
                let points = cloud(&mut rng, 10, dimensions);
                let exact = hypervolume(&points, &vec![1.0; dimensions]).unwrap();
                // Coordinates are multiples of 1/8, so cells of that size are in or out as wholes.
                let cells = 8usize.pow(dimensions as u32);
                let hit = (0..cells)
                    .filter(|c| {
                        let corner = |d: usize| (c / 8usize.pow(d as u32) % 8) as f64 / 8.0;
                        points.iter().any(|p| p.iter().enumerate().all(|(d, x)| *x <= corner(d)))
                    })
                    .count();
                assert!((exact - hit as f64 / cells as f64).abs() < 1e-12, "{exact} {hit}/{cells}");
            }
        }
    }
}
