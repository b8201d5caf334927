//! From strokes to the 8 × 8 digit that the network sees.
//!
//! As the UCI digits were made (Alpaydin and Kaynak, 1998): a 32 × 32 bitmap that the digit fills
//! from top to bottom, cut into 4 × 4 blocks whose set pixels are counted. Values are counts / 16.

/// Side of the bitmap.
const FINE: usize = 32;
/// Side of the result.
pub const SIDE: usize = 8;
/// Radius of the pen on the bitmap: strokes about as thick as in the data.
const PEN: f64 = 1.9;

/// One stroke as points in the unit square, x to the right, y down.
pub type Stroke = Vec<(f64, f64)>;

/// Whether a drawing is empty.
fn bounds(strokes: &[Stroke]) -> Option<(f64, f64, f64, f64)> {
    let finite = strokes.iter().flatten().filter(|p| p.0.is_finite() && p.1.is_finite());
    finite.fold(None, |b, p| {
        let (x0, y0, x1, y1) = b.unwrap_or((p.0, p.1, p.0, p.1));
        Some((x0.min(p.0), y0.min(p.1), x1.max(p.0), y1.max(p.1)))
    })
}

/// The drawing as 64 values from 0 to 1, row-major: scaled without distortion to the bitmap's
/// height (or its width, where the drawing is wider), centred, drawn with a round pen, counted.
pub fn rasterise(strokes: &[Stroke]) -> Vec<f32> {
    let mut out = vec![0.0f32; SIDE * SIDE];
    let Some((x0, y0, x1, y1)) = bounds(strokes) else { return out };
    let room = FINE as f64 - 2.0 * PEN;
    let size = (y1 - y0).max(x1 - x0);
    // A single dot is a dot, not a digit blown up from nothing.
    let scale = if size > 0.02 { room / size } else { 0.0 };
    let (cx, cy) = ((x0 + x1) / 2.0, (y0 + y1) / 2.0);
    let middle = FINE as f64 / 2.0;
    let place = |p: &(f64, f64)| (middle + (p.0 - cx) * scale, middle + (p.1 - cy) * scale);
    let mut bitmap = vec![false; FINE * FINE];
    for stroke in strokes {
        let points: Vec<(f64, f64)> =
            stroke.iter().filter(|p| p.0.is_finite() && p.1.is_finite()).map(place).collect();
        for (i, b) in points.iter().enumerate() {
            let a = points[i.saturating_sub(1)];
            segment(&mut bitmap, a, *b);
        }
    }
    for (i, _) in bitmap.iter().enumerate().filter(|(_, on)| **on) {
        let (x, y) = (i % FINE, i / FINE);
        out[y / 4 * SIDE + x / 4] += 1.0 / 16.0;
    }
    out
}

/// Sets the pixels whose centre is within the pen's radius of a segment.
fn segment(bitmap: &mut [bool], a: (f64, f64), b: (f64, f64)) {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let low = |v: f64| (v - PEN - 1.0).max(0.0) as usize;
    let high = |v: f64| ((v + PEN + 1.0).max(0.0) as usize).min(FINE - 1);
    for y in low(a.1.min(b.1))..=high(a.1.max(b.1)) {
        for x in low(a.0.min(b.0))..=high(a.0.max(b.0)) {
            let (px, py) = (x as f64 + 0.5, y as f64 + 0.5);
            let along = ((px - a.0) * dx + (py - a.1) * dy) / length;
            let t = if length > 0.0 { along.clamp(0.0, 1.0) } else { 0.0 };
            if (px - a.0 - t * dx).hypot(py - a.1 - t * dy) <= PEN {
                bitmap[y * FINE + x] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stroke_fills_the_height_wherever_it_was_drawn() {
        let one = |x: f64, y: f64, size: f64| rasterise(&[vec![(x, y), (x, y + size)]]);
        let image = one(0.1, 0.1, 0.2);
        assert_eq!(image, one(0.7, 0.3, 0.5));
        for row in 0..SIDE {
            let sum: f32 = image[row * SIDE..(row + 1) * SIDE].iter().sum();
            assert!(sum > 0.3, "row {row} is empty");
            assert_eq!(image[row * SIDE], 0.0);
        }
        assert!(image.iter().all(|v| (0.0..=1.0).contains(v)));
        // Values are counts of sixteen pixels.
        assert!(image.iter().all(|v| (v * 16.0).fract() == 0.0));
    }

    #[test]
    fn nothing_and_dots_are_no_digits() {
        assert_eq!(rasterise(&[]), vec![0.0; 64]);
        assert_eq!(rasterise(&[vec![(f64::NAN, 0.0)]]), vec![0.0; 64]);
        let dot = rasterise(&[vec![(0.9, 0.9)]]);
        assert!(dot.iter().sum::<f32>() < 1.0 && dot[27] > 0.0);
    }
}
