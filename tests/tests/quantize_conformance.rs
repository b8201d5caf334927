//! The affine arithmetic against ONNX: QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear,
//! where their numbers are those of a grid (2 to 8 bits, per tensor or per axis).

use espalier_core::io::proto;
use espalier_core::model::Grid;
use espalier_core::quant::affine;
use std::path::Path;

/// A tensor of a case: reals or whole numbers with their bits and sign.
#[derive(Debug)]
enum Values {
    Reals(Vec<f32>),
    Ints { values: Vec<i32>, bits: u8, signed: bool },
}

struct Tensor {
    dims: Vec<usize>,
    values: Values,
}

/// `None` for a type that has no grid here (floats of 8 bits, integers of 16).
fn tensor(path: &Path) -> Option<Tensor> {
    let bytes = std::fs::read(path).unwrap();
    let t = proto::Tensor::read(&bytes, "case").unwrap();
    let dims: Vec<usize> = t.dims.iter().map(|d| *d as usize).collect();
    let n: usize = dims.iter().product();
    let packed = |bits: u8, signed: bool| {
        // Without raw bytes each number of the list is one packed byte.
        let bytes = t.raw.map_or_else(|| t.ints.iter().map(|i| *i as u8).collect(), <[u8]>::to_vec);
        assert_eq!(bytes.len(), (n * usize::from(bits)).div_ceil(8));
        let grid = Grid { bits, signed, axis: None, scale: vec![1.0], zero_point: vec![0] };
        let values = affine::unpack(&espalier_core::model::Packed { grid, bytes }, n);
        Some(Values::Ints { values, bits, signed })
    };
    let values = match t.data_type {
        1 => {
            let raw = t.raw.map(|r| {
                r.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<f32>>()
            });
            Some(Values::Reals(raw.unwrap_or(t.floats)))
        }
        2 => packed(8, false),
        3 => packed(8, true),
        21 => packed(4, false),
        22 => packed(4, true),
        25 => packed(2, false),
        26 => packed(2, true),
        _ => None,
    };
    values.map(|values| Tensor { dims, values })
}

fn reals(t: &Tensor) -> &[f32] {
    match &t.values {
        Values::Reals(v) => v,
        Values::Ints { .. } => panic!("reals belong here"),
    }
}

fn ints(t: &Tensor) -> &[i32] {
    match &t.values {
        Values::Ints { values, .. } => values,
        Values::Reals(_) => panic!("integers belong here"),
    }
}

/// How a case ended: covered, or why its arithmetic is not that of a grid.
fn case(folder: &Path) -> Result<(), String> {
    let bytes = std::fs::read(folder.join("model.onnx")).unwrap();
    let model = proto::Model::read(&bytes, "model.onnx").unwrap();
    let [node] = model.graph.nodes.as_slice() else { return Err("it is a graph of several nodes".into()) };
    let read = |kind: &str, i: usize| {
        let path = folder.join(format!("test_data_set_0/{kind}_{i}.pb"));
        if !path.exists() {
            return Err(format!("{kind} {i} is absent"));
        }
        tensor(&path).ok_or_else(|| format!("{kind} {i} has a type without a grid of 2 to 8 bits"))
    };
    let attribute = |name: &str| node.attributes.iter().find(|a| a.name == name).and_then(|a| a.i);
    if attribute("block_size").unwrap_or(0) != 0 {
        return Err("blocks have no grid here".into());
    }
    let x = read("input", 0)?;
    if node.op == "DynamicQuantizeLinear" {
        let values = reals(&x);
        let low = values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let grid = affine::per_tensor(low, high, 8, false).unwrap();
        assert_eq!(affine::quantize(values, &x.dims, &grid), ints(&read("output", 0)?), "{folder:?}");
        assert_eq!(grid.scale, reals(&read("output", 1)?), "{folder:?}");
        assert_eq!(grid.zero_point, ints(&read("output", 2)?), "{folder:?}");
        return Ok(());
    }
    let (scale, zero, y) = (read("input", 1)?, read("input", 2)?, read("output", 0)?);
    let scale = reals(&scale).to_vec();
    let integers = if node.op == "QuantizeLinear" { &y } else { &x };
    let Values::Ints { bits, signed, .. } = integers.values else { return Err("no integers".into()) };
    let axis = attribute("axis").unwrap_or(1);
    let axis = if axis < 0 { axis + x.dims.len() as i64 } else { axis } as usize;
    let grid = Grid {
        bits,
        signed,
        axis: (scale.len() > 1).then_some(axis),
        scale,
        zero_point: ints(&zero).to_vec(),
    };
    affine::check(&grid, &x.dims).unwrap();
    if node.op == "QuantizeLinear" {
        assert_eq!(affine::quantize(reals(&x), &x.dims, &grid), ints(&y), "{folder:?}");
    } else {
        assert_eq!(affine::dequantize_ints(ints(&x), &x.dims, &grid), reals(&y), "{folder:?}");
    }
    Ok(())
}

#[test]
fn the_arithmetic_is_that_of_onnx() {
    let Some(root) = espalier_tests::reference("onnx-node") else { return };
    let mut covered = Vec::new();
    let mut folders: Vec<_> = std::fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if !name.contains("quantizelinear") {
            continue;
        }
        match case(&folder) {
            Ok(()) => covered.push(name),
            Err(why) => println!("{name}: not done here: {why}"),
        }
    }
    println!("covered: {}", covered.join(", "));
    let wanted = [
        "test_dequantizelinear_axis",
        "test_dequantizelinear_int4",
        "test_dequantizelinear_uint4",
        "test_dynamicquantizelinear",
        "test_dynamicquantizelinear_max_adjusted",
        "test_dynamicquantizelinear_min_adjusted",
        "test_quantizelinear_int4",
        "test_quantizelinear_uint2",
    ];
    assert_eq!(covered, wanted);
}
