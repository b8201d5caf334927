//! Lines of a chart before they are drawn: nearest points and decimation.

use super::order_by;
use espalier_core::protocol::Tone;

/// A line of a chart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    /// Its direct label.
    pub label: String,
    /// Its hue.
    pub tone: Tone,
    /// Points in ascending x.
    pub points: Vec<(f64, f64)>,
    /// A band around it, as (x, low, high) in ascending x: the spread over seeds. May be empty.
    pub band: Vec<(f64, f64, f64)>,
}

/// Thins points to what can be seen: in each of `columns` equal slices of `(low, high)` the first,
/// the smallest, the largest and the last, in their order. Nothing that would stick out is lost.
pub fn decimate(points: &[(f64, f64)], low: f64, high: f64, columns: usize) -> Vec<(f64, f64)> {
    if points.len() <= columns.max(1) * 4 || high <= low {
        return points.to_vec();
    }
    let column = |x: f64| (((x - low) / (high - low)) * columns as f64).floor() as i64;
    let mut out = Vec::with_capacity(columns * 4);
    let mut start = 0;
    while start < points.len() {
        let here = column(points[start].0);
        let len = points[start..].iter().take_while(|p| column(p.0) == here).count().max(1);
        let slice = &points[start..start + len];
        let by_y = |a: &usize, b: &usize| slice[*a].1.total_cmp(&slice[*b].1);
        let smallest = (0..len).min_by(by_y).unwrap_or(0);
        let largest = (0..len).max_by(by_y).unwrap_or(0);
        let keep = [0, smallest.min(largest), smallest.max(largest), len - 1];
        for (i, index) in keep.iter().enumerate() {
            if i == 0 || keep[i - 1] != *index {
                out.push(slice[*index]);
            }
        }
        start += len;
    }
    out
}

/// The point whose x is nearest; `None` where there are no points.
pub fn nearest(points: &[(f64, f64)], x: f64) -> Option<(f64, f64)> {
    let after = points.partition_point(|p| p.0 < x);
    let candidates = [after.checked_sub(1), Some(after)];
    let near = candidates.into_iter().flatten().filter_map(|i| points.get(i).copied());
    near.min_by(|a, b| (a.0 - x).abs().total_cmp(&(b.0 - x).abs()))
}

/// Every x at which some line has a point, ascending, each once.
pub fn stops(lines: &[Line]) -> Vec<f64> {
    let all: Vec<f64> = lines.iter().flat_map(|l| &l.points).map(|p| p.0).filter(|x| x.is_finite()).collect();
    let order = order_by(all.len(), &|a, b| all[a].total_cmp(&all[b]));
    let mut xs: Vec<f64> = order.into_iter().map(|i| all[i]).collect();
    xs.dedup();
    xs
}

/// The lines as comma-separated values: line, x, y.
pub fn csv(lines: &[Line], x_label: &str, y_label: &str) -> String {
    let mut out = format!("line,{},{}\n", super::csv_cell(x_label), super::csv_cell(y_label));
    for line in lines {
        for (x, y) in &line.points {
            out.push_str(&format!("{},{x},{y}\n", super::csv_cell(&line.label)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimation_keeps_the_peaks() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        points[4321].1 = 99.0;
        points[8765].1 = -99.0;
        let thin = decimate(&points, 0.0, 10_000.0, 300);
        assert!(thin.len() <= 1300, "{}", thin.len());
        assert!(thin.contains(&(4321.0, 99.0)) && thin.contains(&(8765.0, -99.0)));
        assert!(thin.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!((thin.first(), thin.last()), (points.first(), points.last()));
    }

    #[test]
    fn the_nearest_point_is_found() {
        let points = [(0.0, 1.0), (2.0, 2.0), (10.0, 3.0)];
        assert_eq!(nearest(&points, 5.0), Some((2.0, 2.0)));
        assert_eq!(nearest(&points, 99.0), Some((10.0, 3.0)));
        assert_eq!(nearest(&points, -1.0), Some((0.0, 1.0)));
        assert_eq!(nearest(&[], 1.0), None);
    }
}
