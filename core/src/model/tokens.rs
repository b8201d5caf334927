//! Parts of token networks for the [`GraphBuilder`]: tensors of shape `[batch, tokens, features]`.

use super::{Attr, Attrs, GraphBuilder, Init};
use crate::{Error, Result};
use std::ops::Range;

/// What stands for minus infinity in a mask: its exponential is 0 in f32, and sums with it stay finite.
const MASKED: f32 = -1e9;

impl GraphBuilder {
    fn single(&mut self, op: &str, inputs: &[&str], attrs: Attrs) -> Result<String> {
        Ok(self.node(op, inputs, attrs, 1)?.swap_remove(0))
    }

    /// A name for parameters that no layer has yet: the next node of this operator will be called so.
    fn layer(&self, kind: &str) -> String {
        let n = (0..).find(|n| self.shape(&format!("{kind}{n}.weight")).is_empty()).unwrap_or(0);
        format!("{kind}{n}")
    }

    /// x·W, with b added where there is a `bias`, over the last axis; W is `[features before, features]`.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn dense(&mut self, x: &str, features: usize, bias: bool) -> Result<String> {
        let name = self.layer("dense");
        let fan_in = self.shape(x).last().copied().unwrap_or(0);
        let init = Init::Glorot { fan_in, fan_out: features };
        let weight = self.param(format!("{name}.weight"), vec![fan_in, features], init, true);
        let y = self.matmul(x, &weight)?;
        if !bias {
            return Ok(y);
        }
        let bias = self.param(format!("{name}.bias"), vec![features], Init::Constant(0.0), true);
        self.add(&y, &bias)
    }

    /// LayerNormalization over the last axis, with scale and shift.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn layer_norm(&mut self, x: &str) -> Result<String> {
        let name = self.layer("norm");
        let n = self.shape(x).last().copied().unwrap_or(0);
        let scale = self.param(format!("{name}.weight"), vec![n], Init::Constant(1.0), true);
        let bias = self.param(format!("{name}.bias"), vec![n], Init::Constant(0.0), true);
        self.single("LayerNormalization", &[x, &scale, &bias], Attrs::from([("axis".into(), Attr::Int(-1))]))
    }

    /// The same values in another shape, given without the batch axis.
    ///
    /// # Errors
    /// The sizes differ.
    pub fn reshape(&mut self, x: &str, shape: &[usize]) -> Result<String> {
        let shape = std::iter::once(0).chain(shape.iter().map(|n| *n as i64)).collect();
        self.single("Reshape", &[x], Attrs::from([("shape".into(), Attr::Ints(shape))]))
    }

    /// Axes in another order; `perm` names all of them, the batch's among them.
    ///
    /// # Errors
    /// It is no permutation.
    pub fn transpose(&mut self, x: &str, perm: &[usize]) -> Result<String> {
        let perm = perm.iter().map(|n| *n as i64).collect();
        self.single("Transpose", &[x], Attrs::from([("perm".into(), Attr::Ints(perm))]))
    }

    /// A range of one axis.
    ///
    /// # Errors
    /// The axis does not exist.
    pub fn slice(&mut self, x: &str, axis: usize, range: Range<usize>) -> Result<String> {
        let one = |n: usize| Attr::Ints(vec![n as i64]);
        let attrs = [("starts", range.start), ("ends", range.end), ("axes", axis)];
        self.single("Slice", &[x], attrs.map(|(key, n)| (key.into(), one(n))).into())
    }

    /// Elementwise product.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn mul(&mut self, a: &str, b: &str) -> Result<String> {
        self.single("Mul", &[a, b], Attrs::new())
    }

    /// Product of matrices over the last two axes.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn matmul(&mut self, a: &str, b: &str) -> Result<String> {
        self.single("MatMul", &[a, b], Attrs::new())
    }

    /// All values times a number.
    ///
    /// # Errors
    /// There is no such tensor.
    pub fn scaled(&mut self, x: &str, factor: f32) -> Result<String> {
        let name = self.layer("factor");
        let factor = self.fixed(format!("{name}.weight"), vec![1], vec![factor]);
        self.mul(x, &factor)
    }

    /// A table that is part of the architecture and not trained, row-major.
    pub fn fixed(&mut self, name: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) -> String {
        self.param(name.into(), shape, Init::Values(values), false)
    }

    /// What is added to scores `[batch, heads, tokens, tokens]` so that no token sees a later one:
    /// `[tokens, tokens]`, 0 on and below the diagonal.
    pub fn causal_mask(&mut self, tokens: usize) -> String {
        let values =
            (0..tokens * tokens).map(|i| if i % tokens > i / tokens { MASKED } else { 0.0 }).collect();
        let name = self.layer("mask");
        self.fixed(format!("{name}.weight"), vec![tokens, tokens], values)
    }

    /// `[batch, channels, height, width]` as `[batch, height·width, channels]`.
    ///
    /// # Errors
    /// `x` is of another rank.
    pub fn tokens(&mut self, x: &str) -> Result<String> {
        let (c, h, w) = match self.shape(x) {
            [_, c, h, w] => (*c, *h, *w),
            other => return Err(Error::Unsupported(format!("tokens are made of images, not of {other:?}"))),
        };
        let y = self.reshape(x, &[c, h * w])?;
        self.transpose(&y, &[0, 2, 1])
    }

    /// `[batch, height·width, channels]` as `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// `x` has not so many tokens.
    pub fn image(&mut self, x: &str, height: usize, width: usize) -> Result<String> {
        let channels = self.shape(x).last().copied().unwrap_or(0);
        let y = self.transpose(x, &[0, 2, 1])?;
        self.reshape(&y, &[channels, height, width])
    }

    /// `[batch, tokens, heads·width]` as `[batch, heads, tokens, width]`.
    ///
    /// # Errors
    /// The features are not so many.
    pub fn split_heads(&mut self, x: &str, heads: usize, width: usize) -> Result<String> {
        let tokens = self.shape(x).get(1).copied().unwrap_or(0);
        let y = self.reshape(x, &[tokens, heads, width])?;
        self.transpose(&y, &[0, 2, 1, 3])
    }

    /// `[batch, heads, tokens, width]` as `[batch, tokens, heads·width]`.
    ///
    /// # Errors
    /// `x` is of another rank.
    pub fn join_heads(&mut self, x: &str) -> Result<String> {
        let (heads, tokens, width) = match self.shape(x) {
            [_, h, t, w] => (*h, *t, *w),
            other => {
                return Err(Error::Unsupported(format!("heads stand on axis 1 of four, not in {other:?}")));
            }
        };
        let y = self.transpose(x, &[0, 2, 1, 3])?;
        self.reshape(&y, &[tokens, heads * width])
    }

    /// What each token takes from the others: scores as shares. The first `softmax` heads, counted along `axis`,
    /// by a softmax; the others divide by the number of tokens (scaling attention: Zeng et al., "MPCViT", ICCV
    /// 2023, arXiv:2211.13955).
    ///
    /// # Errors
    /// The scores have no such axis.
    pub fn shares(&mut self, scores: &str, axis: usize, softmax: usize) -> Result<String> {
        let shape = self.shape(scores);
        let (tokens, heads) = (shape.last().copied().unwrap_or(1), shape.get(axis).copied().unwrap_or(0));
        let last = Attrs::from([("axis".into(), Attr::Int(-1))]);
        match softmax {
            0 => self.scaled(scores, 1.0 / tokens as f32),
            n if n >= heads => self.single("Softmax", &[scores], last),
            n => {
                let first = self.slice(scores, axis, 0..n)?;
                let first = self.single("Softmax", &[&first], last)?;
                let rest = self.slice(scores, axis, n..heads)?;
                let rest = self.scaled(&rest, 1.0 / tokens as f32)?;
                self.concat(&[&first, &rest], axis as i64)
            }
        }
    }

    /// Multi-head self-attention (Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762):
    /// softmax(Q·Kᵀ/√width + mask)·V for each head, then a projection back to as many features as `x` has.
    /// No shortcut, no norm, no biases on queries and keys. A `mask` is added to the scores.
    ///
    /// # Errors
    /// `x` is not `[batch, tokens, features]`, or the mask does not fit.
    pub fn attention(&mut self, x: &str, heads: usize, width: usize, mask: Option<&str>) -> Result<String> {
        self.attention_by(x, heads, width, &mut |b, scores| {
            let softmax = Attrs::from([("axis".into(), Attr::Int(-1))]);
            match mask {
                Some(mask) => {
                    let scores = b.add(scores, mask)?;
                    b.single("Softmax", &[&scores], softmax)
                }
                None => b.single("Softmax", &[scores], softmax),
            }
        })
    }

    /// The same with other shares than softmax's: what `shares` makes of Q·Kᵀ/√width,
    /// `[batch, heads, tokens, tokens]`.
    ///
    /// # Errors
    /// As those of [`Self::attention`] and of `shares`.
    pub fn attention_by(
        &mut self,
        x: &str,
        heads: usize,
        width: usize,
        shares: &mut dyn FnMut(&mut Self, &str) -> Result<String>,
    ) -> Result<String> {
        let features = match self.shape(x) {
            [_, _, features] => *features,
            other => return Err(Error::Unsupported(format!("attention is over tokens, not over {other:?}"))),
        };
        let parts = [false, false, true].map(|bias| -> Result<String> {
            let y = self.dense(x, heads * width, bias)?;
            self.split_heads(&y, heads, width)
        });
        let [q, k, v] = parts;
        let k = self.transpose(&k?, &[0, 1, 3, 2])?;
        let scores = self.matmul(&q?, &k)?;
        let scores = self.scaled(&scores, 1.0 / (width.max(1) as f32).sqrt())?;
        let shares = shares(self, &scores)?;
        let y = self.matmul(&shares, &v?)?;
        let y = self.join_heads(&y)?;
        self.dense(&y, features, true)
    }
}

#[cfg(all(test, feature = "compute"))]
mod tests {
    use super::*;
    use crate::engine::reference;
    use crate::model::Model;

    const TOKENS: usize = 3;
    const FEATURES: usize = 4;

    fn by_hand(model: &Model, x: &[f32], causal: bool) -> Vec<f32> {
        let (heads, width) = (2, 2);
        let dense = |x: &[f32], name: &str| -> Vec<f32> {
            let weight = model.values(&format!("{name}.weight"));
            let (n, bias) = (weight.len() / FEATURES, model.values(&format!("{name}.bias")));
            x.chunks(FEATURES)
                .flat_map(|row| {
                    let out = (0..n).map(|j| {
                        row.iter().enumerate().map(|(i, v)| v * weight[i * n + j]).sum::<f32>()
                            + bias.get(j).copied().unwrap_or(0.0)
                    });
                    out.collect::<Vec<f32>>()
                })
                .collect()
        };
        let [q, k, v] = ["dense0", "dense1", "dense2"].map(|name| dense(x, name));
        let mut joined = vec![0.0; TOKENS * FEATURES];
        for head in 0..heads {
            let at = |t: usize, i: usize| t * FEATURES + head * width + i;
            for t in 0..TOKENS {
                let seen = if causal { t + 1 } else { TOKENS };
                let scores: Vec<f32> = (0..seen)
                    .map(|s| {
                        (0..width).map(|i| q[at(t, i)] * k[at(s, i)]).sum::<f32>() / (width as f32).sqrt()
                    })
                    .map(f32::exp)
                    .collect();
                for i in 0..width {
                    let sum: f32 = scores.iter().enumerate().map(|(s, e)| e * v[at(s, i)]).sum();
                    joined[at(t, i)] = sum / scores.iter().sum::<f32>();
                }
            }
        }
        dense(&joined, "dense3")
    }

    #[test]
    fn attention_is_the_formula_with_and_without_a_mask() {
        for causal in [false, true] {
            let mut b = GraphBuilder::new("attention", &[TOKENS, FEATURES]);
            let x = b.input();
            let mask = causal.then(|| b.causal_mask(TOKENS));
            let y = b.attention(&x, 2, 2, mask.as_deref()).unwrap();
            let model = Model::init(b.finish(&y).unwrap(), 4);
            let input: Vec<f32> = (0..TOKENS * FEATURES).map(|i| (i as f32 * 1.7).sin()).collect();
            let have = reference::run(&model, &input).unwrap();
            for (have, want) in have.iter().zip(by_hand(&model, &input, causal)) {
                assert!((have - want).abs() < 1e-5, "{have} {want}");
            }
        }
    }

    #[test]
    fn some_heads_take_softmax_shares_and_the_others_scaled_scores() {
        let input: Vec<f32> = (0..2 * 9).map(|i| (i as f32 * 1.3).cos()).collect();
        let softmax = |row: &[f32]| -> Vec<f32> {
            let sum: f32 = row.iter().map(|v| v.exp()).sum();
            row.iter().map(|v| v.exp() / sum).collect()
        };
        let scaled = |row: &[f32]| -> Vec<f32> { row.iter().map(|v| v / 3.0).collect() };
        for heads in 0..=2 {
            // [batch, heads, tokens, tokens]
            let mut b = GraphBuilder::new("shares", &[2, 3, 3]);
            let x = b.input();
            let y = b.shares(&x, 1, heads).unwrap();
            let have = reference::run(&Model::init(b.finish(&y).unwrap(), 1), &input).unwrap();
            let want = input.chunks(3).enumerate();
            let want = want.flat_map(|(i, row)| if i / 3 < heads { softmax(row) } else { scaled(row) });
            assert!(have.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{heads}: {have:?}");
        }
    }

    #[test]
    fn images_become_tokens_and_come_back() {
        let mut b = GraphBuilder::new("tokens", &[2, 2, 3]);
        let x = b.input();
        let tokens = b.tokens(&x).unwrap();
        assert_eq!(b.shape(&tokens), [1, 6, 2]);
        let norm = b.layer_norm(&tokens).unwrap();
        let y = b.image(&norm, 2, 3).unwrap();
        let model = Model::init(b.finish(&y).unwrap(), 1);
        let out = reference::run(&model, &(0..12).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
        // The two channels of a pixel, brought to mean 0 and variance 1.
        assert!(out[..6].iter().all(|v| (v + 1.0).abs() < 1e-3), "{out:?}");
        assert!(out[6..].iter().all(|v| (v - 1.0).abs() < 1e-3), "{out:?}");
    }
}
