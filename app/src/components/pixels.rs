//! Small images as crisp SVG squares: themeable, sharp at every size, and exportable.

/// Shades between nothing and full.
const LEVELS: usize = 16;

/// The squares of one shade: an SVG path in units of one pixel, and the opacity of its fill.
#[derive(Debug, Clone, PartialEq)]
pub struct Shade {
    /// Path data.
    pub d: String,
    /// Opacity, above 0 to 1.
    pub opacity: f64,
    /// Whether the values are negative.
    pub negative: bool,
}

/// Cuts row-major values into shades of `value / full`; runs of equal shade in a row become one
/// rectangle. Missing values and values that are no numbers are left blank.
pub fn shades(values: &[f32], width: usize, full: f32) -> Vec<Shade> {
    if width == 0 || full <= 0.0 || !full.is_finite() {
        return Vec::new();
    }
    let level = |v: f32| {
        let part = (v / full).clamp(-1.0, 1.0);
        if part.is_finite() { (part * LEVELS as f32).round() as i32 } else { 0 }
    };
    let mut paths = vec![String::new(); 2 * LEVELS + 1];
    for (y, row) in values.chunks(width).enumerate() {
        let mut x = 0;
        while x < row.len() {
            let here = level(row[x]);
            let run = row[x..].iter().take_while(|v| level(**v) == here).count().max(1);
            if here != 0 {
                let path = &mut paths[(here + LEVELS as i32) as usize];
                path.push_str(&format!("M{x} {y}h{run}v1h-{run}z"));
            }
            x += run;
        }
    }
    let each = paths.into_iter().enumerate().filter(|(_, d)| !d.is_empty());
    each.map(|(i, d)| {
        let signed = i as i32 - LEVELS as i32;
        Shade { d, opacity: f64::from(signed.abs()) / LEVELS as f64, negative: signed < 0 }
    })
    .collect()
}

/// The largest magnitude among finite values; 1 where there is none, so that it can divide.
pub fn full_scale(values: &[f32]) -> f32 {
    let most = values.iter().filter(|v| v.is_finite()).fold(0.0f32, |a, v| a.max(v.abs()));
    if most > 0.0 { most } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_join_and_signs_part() {
        let shades = shades(&[1.0, 1.0, 0.0, -0.5, f32::NAN, 1.0], 3, 1.0);
        assert_eq!(shades.len(), 2);
        assert_eq!(shades[0], Shade { d: "M0 1h1v1h-1z".into(), opacity: 0.5, negative: true });
        assert_eq!(shades[1], Shade { d: "M0 0h2v1h-2zM2 1h1v1h-1z".into(), opacity: 1.0, negative: false });
    }
}
