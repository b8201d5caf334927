//! Shared by the elementwise activations.

/// `out[i] = f(x[i])`.
pub fn map(inputs: &[&[f32]], outputs: &mut [&mut [f32]], f: impl Fn(f32) -> f32) {
    for (o, x) in outputs[0].iter_mut().zip(inputs[0]) {
        *o = f(*x);
    }
}
