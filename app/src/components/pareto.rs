//! Candidates by their metrics, and the front of those that nothing beats.

use super::order_by;
use espalier_core::protocol::{Metric, Metrics, Tone};

/// A candidate on the Pareto plot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dot {
    /// Number of the candidate; unique within the plot.
    pub id: u32,
    /// Name for people.
    pub label: String,
    /// Group, e.g. a strategy or a baseline.
    pub group: String,
    /// Its hue.
    pub tone: Tone,
    /// Its metrics.
    pub metrics: Metrics,
}

impl Dot {
    /// Its value of a metric, where it has a finite one.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.metrics.iter().find(|(m, _)| *m == metric).map(|(_, v)| *v).filter(|v| v.is_finite())
    }
}

/// Indices of the points that no other point beats or equals in both metrics (of equal points the
/// first), in ascending x.
pub fn front(points: &[(f64, f64)], x_up: bool, y_up: bool) -> Vec<usize> {
    let cost = |i: usize| {
        let (x, y) = points[i];
        (if x_up { -x } else { x }, if y_up { -y } else { y })
    };
    let order = order_by(points.len(), &|a, b| {
        let ((ax, ay), (bx, by)) = (cost(a), cost(b));
        ax.total_cmp(&bx).then(ay.total_cmp(&by))
    });
    let mut best = f64::INFINITY;
    let mut kept: Vec<usize> = Vec::new();
    for i in order {
        if cost(i).1 < best {
            best = cost(i).1;
            kept.push(i);
        }
    }
    if x_up {
        kept.reverse();
    }
    kept
}

/// The candidates as comma-separated values: one column for each metric that any of them has.
pub fn csv(dots: &[Dot]) -> String {
    let metrics: Vec<Metric> =
        Metric::ALL.into_iter().filter(|m| dots.iter().any(|d| d.value(*m).is_some())).collect();
    let mut out = String::from("id,name,group");
    metrics.iter().for_each(|m| {
        out.push(',');
        out.push_str(m.label());
    });
    out.push('\n');
    for dot in dots {
        out.push_str(&format!("{},{},{}", dot.id, super::csv_cell(&dot.label), super::csv_cell(&dot.group)));
        for metric in &metrics {
            out.push(',');
            out.push_str(&dot.value(*metric).map(|v| v.to_string()).unwrap_or_default());
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_what_nothing_beats() {
        // Parameters (less is better) against accuracy (more is better).
        let points = [(10.0, 0.5), (20.0, 0.9), (15.0, 0.4), (30.0, 0.8), (40.0, 0.95), (10.0, 0.5)];
        assert_eq!(front(&points, false, true), [0, 1, 4]);
        // Both better when larger.
        assert_eq!(front(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0), (1.0, 1.0)], true, true), [0, 1, 2]);
        assert!(front(&[], false, true).is_empty());
    }

    #[test]
    fn every_point_is_beaten_by_the_front_or_on_it() {
        let mut rng = espalier_core::rng::Rng::new(3);
        let points: Vec<(f64, f64)> = (0..200).map(|_| (rng.f64(), rng.f64())).collect();
        let front = front(&points, false, true);
        for (i, p) in points.iter().enumerate() {
            let beaten = front.iter().any(|f| points[*f].0 <= p.0 && points[*f].1 >= p.1);
            assert!(beaten, "{i}");
        }
        for pair in front.windows(2) {
            assert!(points[pair[0]].0 < points[pair[1]].0 && points[pair[0]].1 < points[pair[1]].1);
        }
    }
}
