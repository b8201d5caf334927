//! The smallest and the largest value seen (Jacob et al., 2018, arXiv:1712.05877): nothing is
//! clipped, and a single outlier sets the step of all the others.

/// Smallest and largest value.
pub fn range(values: &[f32]) -> (f32, f32) {
    let mut values = values.iter().copied();
    let Some(first) = values.next() else { return (0.0, 0.0) };
    values.fold((first, first), |(low, high), v| (low.min(v), high.max(v)))
}
