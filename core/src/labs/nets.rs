//! Parts of networks that labs share.

use crate::model::{Attr, Attrs, GraphBuilder, Init};
use crate::{Error, Result};

/// An LSTM (Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997; with
/// forget gates) over `x` of shape `[batch, length, features]`, unrolled; gives its last state, of
/// shape `[batch, units]`. Gates i, f, g, o; c ← σ(f)·c + σ(i)·tanh(g); h ← σ(o)·tanh(c).
///
/// All steps share one matrix for inputs and state, `lstm.kernel` of shape
/// `[features + units, 4·units]`, and one bias for each gate.
///
/// # Errors
/// `x` is of another rank, or has no steps.
pub fn lstm(b: &mut GraphBuilder, x: &str, units: usize) -> Result<String> {
    let (length, features) = match b.shape(x) {
        [_, length, features] if *length > 0 => (*length, *features),
        other => return Err(Error::Unsupported(format!("an LSTM reads sequences, not {other:?}"))),
    };
    let one = |b: &mut GraphBuilder, op: &str, inputs: &[&str], attrs: Attrs| -> Result<String> {
        Ok(b.node(op, inputs, attrs, 1)?.swap_remove(0))
    };
    let slice = |axis: i64, from: usize, to: usize| {
        Attrs::from([
            ("starts".into(), Attr::Ints(vec![from as i64])),
            ("ends".into(), Attr::Ints(vec![to as i64])),
            ("axes".into(), Attr::Ints(vec![axis])),
        ])
    };
    let glorot = Init::Glorot { fan_in: features + units, fan_out: units };
    let kernel = b.param("lstm.kernel".into(), vec![features + units, 4 * units], glorot, true);
    let input = one(b, "Slice", &[&kernel], slice(0, 0, features))?;
    let recurrent = one(b, "Slice", &[&kernel], slice(0, features, features + units))?;
    // Forget gates begin open (Jozefowicz et al., 2015).
    let biases = ["i", "f", "g", "o"].map(|gate| {
        let start = if gate == "f" { 1.0 } else { 0.0 };
        b.param(format!("lstm.bias.{gate}"), vec![units], Init::Constant(start), true)
    });
    let bias = b.concat(&biases.each_ref().map(String::as_str), 0)?;
    // [batch, length, 4·units]: what the inputs add to the gates, for all steps at once.
    let all = one(b, "MatMul", &[x, &input], Attrs::new())?;
    let all = b.add(&all, &bias)?;
    let (mut h, mut c): (Option<String>, Option<String>) = (None, None);
    for t in 0..length {
        let step = one(b, "Slice", &[&all], slice(1, t, t + 1))?;
        let mut gate = b.unary("Flatten", &step)?;
        if let Some(h) = &h {
            let add = one(b, "MatMul", &[h, &recurrent], Attrs::new())?;
            gate = b.add(&gate, &add)?;
        }
        let split =
            Attrs::from([("axis".into(), Attr::Int(1)), ("split".into(), Attr::Ints(vec![units as i64; 4]))]);
        let parts = b.node("Split", &[&gate], split, 4)?;
        let i = b.unary("Sigmoid", &parts[0])?;
        let f = b.unary("Sigmoid", &parts[1])?;
        let g = b.unary("Tanh", &parts[2])?;
        let o = b.unary("Sigmoid", &parts[3])?;
        let new = one(b, "Mul", &[&i, &g], Attrs::new())?;
        let cell = match &c {
            Some(c) => {
                let old = one(b, "Mul", &[&f, c], Attrs::new())?;
                b.add(&old, &new)?
            }
            None => new,
        };
        let squashed = b.unary("Tanh", &cell)?;
        h = Some(one(b, "Mul", &[&o, &squashed], Attrs::new())?);
        c = Some(cell);
    }
    Ok(h.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reference;
    use crate::model::Model;

    #[test]
    fn the_unrolled_lstm_is_the_recurrence() {
        let (length, features, units) = (3, 2, 4);
        let mut b = GraphBuilder::new("lstm", &[length, features]);
        let x = b.input();
        let h = lstm(&mut b, &x, units).unwrap();
        let graph = b.finish(&h).unwrap();
        assert_eq!(graph.trainable_params() as usize, (features + units) * 4 * units + 4 * units);
        let model = Model::init(graph, 3);
        let input: Vec<f32> = (0..length * features).map(|i| (i as f32 - 2.0) / 3.0).collect();
        let have = reference::run(&model, &input).unwrap();

        let kernel = model.values("lstm.kernel");
        let bias: Vec<f32> =
            ["i", "f", "g", "o"].iter().flat_map(|g| model.values(&format!("lstm.bias.{g}"))).collect();
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let (mut h, mut c) = (vec![0.0; units], vec![0.0; units]);
        for x in input.chunks(features) {
            let both: Vec<f32> = x.iter().chain(&h).copied().collect();
            let gate = |g: usize, j: usize| {
                let column = g * units + j;
                bias[column]
                    + both.iter().enumerate().map(|(r, v)| v * kernel[r * 4 * units + column]).sum::<f32>()
            };
            let next: Vec<f32> = (0..units)
                .map(|j| {
                    c[j] = sigmoid(gate(1, j)) * c[j] + sigmoid(gate(0, j)) * gate(2, j).tanh();
                    sigmoid(gate(3, j)) * c[j].tanh()
                })
                .collect();
            h = next;
        }
        for (have, want) in have.iter().zip(&h) {
            assert!((have - want).abs() < 1e-5, "{have} {want}");
        }
    }
}
