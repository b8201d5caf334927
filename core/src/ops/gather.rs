//! Shared by the operators that only pick indices along axes: Slice, Split, Pad, Resize.

/// In a map: the value lies outside the input.
pub const OUTSIDE: usize = usize::MAX;

/// `out[o0, o1, ..] = x[maps[0][o0], maps[1][o1], ..]`, or `fill` where a map says [`OUTSIDE`].
/// One map per axis; a map's length is the output's length along that axis.
pub fn eval(x: &[f32], shape: &[usize], maps: &[Vec<usize>], fill: f32, out: &mut [f32]) {
    let rank = shape.len();
    if rank == 0 {
        out.copy_from_slice(x);
        return;
    }
    let mut strides = vec![1; rank];
    for axis in (0..rank - 1).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    let row = &maps[rank - 1];
    if row.is_empty() {
        return;
    }
    let mut index = vec![0; rank - 1];
    for to in out.chunks_exact_mut(row.len()) {
        let mut base = 0;
        let mut outside = false;
        for (axis, o) in index.iter().enumerate() {
            match maps[axis][*o] {
                OUTSIDE => outside = true,
                i => base += i * strides[axis],
            }
        }
        for (o, i) in to.iter_mut().zip(row) {
            *o = if outside || *i == OUTSIDE { fill } else { x[base + i] };
        }
        for axis in (0..rank - 1).rev() {
            index[axis] += 1;
            if index[axis] < maps[axis].len() {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// The map that keeps an axis of length `len` as it is.
pub fn identity(len: usize) -> Vec<usize> {
    (0..len).collect()
}

/// Whether a map keeps an axis of length `len` as it is.
pub fn is_identity(map: &[usize], len: usize) -> bool {
    map.len() == len && map.iter().copied().eq(0..len)
}

/// The same on a Burn tensor; no map may say [`OUTSIDE`]. Runs of neighbours become slices,
/// everything else a select, whose gradient adds up where an index occurs twice.
#[cfg(feature = "compute")]
pub fn forward(value: super::Value, maps: &[Vec<usize>]) -> super::Value {
    use burn::tensor::{Int, Tensor, TensorData};
    let dims = value.dims();
    let mut value = value;
    for (axis, map) in maps.iter().enumerate().take(dims.len()) {
        if is_identity(map, dims[axis]) {
            continue;
        }
        let start = map.first().copied().unwrap_or(0);
        if map.iter().copied().eq(start..start + map.len()) {
            value = crate::map_value!(value, t => t.slice_dim(axis, start..start + map.len()));
        } else {
            let indices: Vec<i32> = map.iter().map(|i| *i as i32).collect();
            value = crate::map_value!(value, t => {
                let data = TensorData::new(indices.clone(), [indices.len()]);
                let indices = Tensor::<1, Int>::from_data(data, &t.device());
                t.select(axis, indices)
            });
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_and_fills() {
        let x: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let mut out = [0.0; 6];
        eval(&x, &[2, 3], &[vec![1, OUTSIDE], vec![2, 0, 0]], 9.0, &mut out);
        assert_eq!(out, [5.0, 3.0, 3.0, 9.0, 9.0, 9.0]);
    }
}
