//! Scenes of simple shapes on a noisy ground, with what a class for each sample cannot say: the class of
//! every pixel, and a box around every shape. For segmentation and detection.

use crate::rng::Rng;

/// What a pixel can belong to; the first is the ground.
pub const CLASSES: [&str; 4] = ["ground", "disc", "square", "triangle"];

/// A shape in a scene.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object {
    /// Its class, an index of [`CLASSES`], never 0.
    pub class: usize,
    /// Its box in pixels: left, top, right, bottom; the last two are just outside.
    pub bounds: [f32; 4],
}

/// An image of one channel with its shapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Row-major, `side` × `side`, about 0 to 1.
    pub pixels: Vec<f32>,
    /// The class of every pixel.
    pub mask: Vec<u8>,
    /// The shapes of which something is to be seen, in the order in which they were drawn.
    pub objects: Vec<Object>,
}

/// Standard deviation of the noise.
const NOISE: f32 = 0.1;

/// Whether a pixel's centre, relative to a shape's centre, in parts of its radius, is within it.
pub(super) fn inside(class: usize, x: f32, y: f32) -> bool {
    match class {
        1 => x * x + y * y <= 1.0,
        2 => x.abs() <= 0.85 && y.abs() <= 0.85,
        // Upright, from its tip at −1 to its base at 0.8.
        _ => (-1.0..=0.8).contains(&y) && x.abs() <= (y + 1.0) / 1.8,
    }
}

/// Scenes of `side` × `side` pixels with one to `most` shapes each, every one from a substream of its own, so that
/// scene i is the same however many there are.
pub fn draw(seed: u64, count: usize, side: usize, most: usize) -> Vec<Scene> {
    (0..count).map(|i| scene(&mut Rng::stream(seed, &format!("scene {i}")), side, most)).collect()
}

fn scene(rng: &mut Rng, side: usize, most: usize) -> Scene {
    let mut scene = Scene {
        pixels: vec![rng.uniform(0.0, 0.3); side * side],
        mask: vec![0; side * side],
        objects: vec![],
    };
    let size = side as f32;
    let mut owner = vec![None; side * side];
    let mut classes = Vec::new();
    for shape in 0..1 + rng.below(most.max(1)) {
        let class = 1 + rng.below(CLASSES.len() - 1);
        let radius = rng.uniform(0.12, 0.26) * size;
        let (cx, cy) = (rng.uniform(radius, size - radius), rng.uniform(radius, size - radius));
        let level = rng.uniform(0.5, 1.0);
        for (i, pixel) in scene.pixels.iter_mut().enumerate() {
            let (x, y) = ((i % side) as f32 + 0.5 - cx, (i / side) as f32 + 0.5 - cy);
            if inside(class, x / radius, y / radius) {
                *pixel = level;
                scene.mask[i] = class as u8;
                owner[i] = Some(shape);
            }
        }
        classes.push(class);
    }
    // The box is around what is left to be seen.
    for (shape, class) in classes.into_iter().enumerate() {
        let mut bounds = [size, size, 0.0, 0.0];
        for i in (0..side * side).filter(|i| owner[*i] == Some(shape)) {
            let (x, y) = ((i % side) as f32, (i / side) as f32);
            bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x + 1.0), bounds[3].max(y + 1.0)];
        }
        if bounds[2] > bounds[0] {
            scene.objects.push(Object { class, bounds });
        }
    }
    scene.pixels.iter_mut().for_each(|p| *p += NOISE * rng.normal());
    scene
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_boxes_say_where_the_shapes_are() {
        let scenes = draw(3, 200, 16, 3);
        assert_eq!(scenes[..50], draw(3, 50, 16, 3));
        assert_ne!(scenes[0], draw(4, 1, 16, 3)[0]);
        let mut seen = [0usize; 4];
        for scene in &scenes {
            assert!((1..=3).contains(&scene.objects.len()));
            scene.mask.iter().for_each(|c| seen[usize::from(*c)] += 1);
            let within = |i: usize, o: &Object| {
                let (x, y) = ((i % 16) as f32, (i / 16) as f32);
                x >= o.bounds[0] && x < o.bounds[2] && y >= o.bounds[1] && y < o.bounds[3]
            };
            for (i, class) in scene.mask.iter().enumerate().filter(|(_, c)| **c > 0) {
                let class = usize::from(*class);
                assert!(
                    scene.objects.iter().any(|o| o.class == class && within(i, o)),
                    "pixel {i} in no box"
                );
            }
            for object in &scene.objects {
                let hit = |i: usize| usize::from(scene.mask[i]) == object.class && within(i, object);
                assert!((0..256).any(hit), "an empty box");
            }
        }
        // Shapes are lighter than the ground, and every class is there.
        let mean = |ground: bool| {
            let all = scenes.iter().flat_map(|s| s.pixels.iter().zip(&s.mask));
            let these: Vec<f32> = all.filter(|(_, c)| (**c == 0) == ground).map(|(p, _)| *p).collect();
            these.iter().sum::<f32>() / these.len() as f32
        };
        assert!(mean(false) > mean(true) + 0.4 && seen.iter().all(|n| *n > 1000), "{seen:?}");
    }
}
