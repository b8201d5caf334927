//! NumPy broadcasting, shared by the elementwise operators.

use crate::model::Node;
use crate::{Error, Result};

/// The shape of `a op b`.
///
/// # Errors
/// Two lengths that are neither equal nor 1.
pub fn shape(node: &Node, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(Error::shape(
                node,
                format!("{a:?} and {b:?} do not fit together: each length must be equal, or 1"),
            )),
        })
        .collect()
}

/// `out[i] = f(a[i], b[i])` with broadcasting.
pub fn zip(
    a: (&[f32], &[usize]),
    b: (&[f32], &[usize]),
    out: (&mut [f32], &[usize]),
    f: impl Fn(f32, f32) -> f32,
) {
    if a.1 == out.1 && b.1 == out.1 {
        for ((o, x), y) in out.0.iter_mut().zip(a.0).zip(b.0) {
            *o = f(*x, *y);
        }
        return;
    }
    let strides = |shape: &[usize]| {
        let mut strides = vec![0; out.1.len()];
        let mut step = 1;
        for (i, len) in shape.iter().enumerate().rev() {
            if *len > 1 {
                strides[out.1.len() - shape.len() + i] = step;
            }
            step *= len;
        }
        strides
    };
    let (sa, sb) = (strides(a.1), strides(b.1));
    let mut index = vec![0; out.1.len()];
    let (mut ia, mut ib) = (0, 0);
    for o in out.0.iter_mut() {
        *o = f(a.0[ia], b.0[ib]);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            ia += sa[axis];
            ib += sb[axis];
            if index[axis] < out.1[axis] {
                break;
            }
            ia -= sa[axis] * index[axis];
            ib -= sb[axis] * index[axis];
            index[axis] = 0;
        }
    }
}
