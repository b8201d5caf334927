//! Every ONNX backend node test whose operator is one of ours, on the scalar code and on Burn.

use burn::tensor::Device;
use espalier_core::io::{onnx, proto};
use espalier_core::ops::{self, Call, Constant, Forward, Value};
use espalier_core::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Cases that must be covered, by operator: what was measured, so that coverage cannot shrink
/// unseen. The rest of an operator's cases are refused with a message.
const COVERED: &[(&str, usize)] = &[
    ("Add", 1),
    ("AveragePool", 7),
    ("BatchNormalization", 1),
    ("Clip", 4),
    ("Concat", 5),
    ("Conv", 4),
    ("Div", 1),
    ("Flatten", 1),
    ("Gelu", 1),
    ("Gemm", 4),
    ("HardSigmoid", 1),
    ("Identity", 1),
    ("LayerNormalization", 13),
    ("MatMul", 2),
    ("MaxPool", 6),
    ("Mul", 1),
    ("Pad", 2),
    ("ReduceMean", 4),
    ("ReduceSum", 4),
    ("Relu", 1),
    ("Reshape", 5),
    ("Resize", 13),
    ("Sigmoid", 1),
    ("Slice", 1),
    ("Softmax", 4),
    ("Split", 10),
    ("Sub", 1),
];

/// How one case ended.
enum Outcome {
    Covered,
    /// Not done here, said in words.
    Refused(String),
    Failed(String),
}

/// The value of a future that is ready at once, as everything on the CPU is.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the CPU does not wait"),
    }
}

fn tensors(folder: &Path, kind: &str) -> Result<Vec<(Vec<usize>, Constant)>, String> {
    let mut all = Vec::new();
    for i in 0.. {
        let path = folder.join(format!("test_data_set_0/{kind}_{i}.pb"));
        if !path.exists() {
            break;
        }
        let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
        let (_, known) = onnx::tensor(&bytes, &format!("{kind} {i}")).map_err(|e| e.to_string())?;
        all.push((known.shape, known.values));
    }
    Ok(all)
}

fn compare(what: &str, have: &[f32], want: &[f32]) -> Result<(), String> {
    if have.len() != want.len() {
        return Err(format!("{what}: {} values where {} belong", have.len(), want.len()));
    }
    for (i, (h, w)) in have.iter().zip(want).enumerate() {
        let close = (h - w).abs() <= 1e-5 + 1e-4 * w.abs() || h == w || (h.is_nan() && w.is_nan());
        if !close {
            return Err(format!("{what}: value {i} is {h} where {w} belongs"));
        }
    }
    Ok(())
}

fn run(folder: &Path, model: &proto::Model, bytes: &[u8]) -> Outcome {
    let (inputs, wanted) = match (tensors(folder, "input"), tensors(folder, "output")) {
        (Ok(inputs), Ok(wanted)) => (inputs, wanted),
        (Err(e), _) | (_, Err(e)) => return Outcome::Refused(e),
    };
    // The first input is live; the others are known, as an exported model has them.
    let names: Vec<&str> = model.graph.inputs.iter().map(|i| i.name.as_str()).collect();
    let rest = names.iter().zip(&inputs).skip(1).map(|(name, (shape, values))| {
        let known = onnx::Known { shape: shape.clone(), values: values.clone(), uniform: false };
        ((*name).to_owned(), known)
    });
    let imported = match onnx::import_with(bytes, "model.onnx", rest.collect()) {
        Ok(imported) => imported,
        Err(e) => return Outcome::Refused(e.to_string()),
    };
    let live = &inputs[0];
    let [node] = imported.graph.nodes.as_slice() else {
        return Outcome::Failed(format!("{} nodes came of one", imported.graph.nodes.len()));
    };
    let (analysis, op) =
        match (imported.graph.analyze(live.0.first().copied().unwrap_or(1)), ops::get(&node.op)) {
            (Ok(analysis), Some(op)) => (analysis, op),
            (Err(e), _) => return Outcome::Refused(e.to_string()),
            (_, None) => return Outcome::Failed("the operator changed its name".into()),
        };
    let shape = |name: &String| analysis.shapes.get(name).map_or(&[][..], Vec::as_slice);
    let values: Vec<Vec<f32>> = node
        .inputs
        .iter()
        .map(|name| match (imported.weights.get(name), &live.1) {
            (Some(weight), _) => weight.to_f32(),
            (None, Constant::Floats(values)) if !name.is_empty() => values.clone(),
            _ => Vec::new(),
        })
        .collect();
    let in_shapes: Vec<&[usize]> = node.inputs.iter().map(shape).collect();
    let out_shapes: Vec<&[usize]> = node.outputs.iter().map(shape).collect();
    let call = Call { node, inputs: &in_shapes, outputs: &out_shapes };
    for (name, (want, _)) in node.outputs.iter().zip(&wanted) {
        if !name.is_empty() && shape(name) != want {
            return Outcome::Failed(format!("shape {:?} inferred where {want:?} belongs", shape(name)));
        }
    }
    // NaN, so that a value that is not written is seen.
    let mut made: Vec<Vec<f32>> = out_shapes.iter().map(|s| vec![f32::NAN; s.iter().product()]).collect();
    let refs: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    let mut slots: Vec<&mut [f32]> = made.iter_mut().map(Vec::as_mut_slice).collect();
    op.eval(&call, &refs, &mut slots);

    let device = Device::flex();
    let uploaded: Result<Vec<Option<Value>>, _> = node
        .inputs
        .iter()
        .zip(&values)
        .zip(&in_shapes)
        .map(|((name, v), s)| (!name.is_empty()).then(|| Value::from_host(v.clone(), s, &device)).transpose())
        .collect();
    let forward = uploaded.and_then(|v| op.forward(&call, &v, &mut Forward::default()));
    let forward = match forward {
        Ok(values) => values,
        Err(e) => return Outcome::Refused(format!("Burn: {e}")),
    };
    let mut compared = 0;
    for (i, name) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        let Some((want_shape, Constant::Floats(want))) = wanted.get(i) else {
            return Outcome::Failed(format!("output {i} (“{name}”) has no real numbers to compare with"));
        };
        let Some(value) = forward.get(i) else {
            return Outcome::Failed(format!("Burn made no output {i}"));
        };
        let dims = value.dims();
        if dims != *want_shape && !(want_shape.is_empty() && dims == [1]) {
            return Outcome::Failed(format!("Burn: shape {dims:?} where {want_shape:?} belongs"));
        }
        let burn = match now(value.to_host()) {
            Ok(burn) => burn,
            Err(e) => return Outcome::Failed(e.to_string()),
        };
        let result = compare("scalar", &made[i], want).and_then(|()| compare("Burn", &burn, want));
        if let Err(e) = result {
            return Outcome::Failed(format!("output {i}: {e}"));
        }
        compared += 1;
    }
    if compared == 0 { Outcome::Failed("nothing was compared".into()) } else { Outcome::Covered }
}

#[test]
fn node_vectors() {
    let Some(root) = espalier_tests::reference("onnx-node") else { return };
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() > 400, "the folder of vectors is not complete: {} cases", folders.len());
    let mut covered: BTreeMap<String, usize> = BTreeMap::new();
    let (mut refused, mut failed) = (0, 0);
    for folder in folders {
        let case = folder.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(folder.join("model.onnx")).unwrap();
        let model = match proto::Model::read(&bytes, "model.onnx") {
            Ok(model) => model,
            Err(e) => panic!("{case}: {e}"),
        };
        let [node] = model.graph.nodes.as_slice() else { continue };
        if ops::get(&node.op).is_none() {
            continue;
        }
        let op = node.op.clone();
        match run(&folder, &model, &bytes) {
            Outcome::Covered => *covered.entry(op).or_default() += 1,
            Outcome::Refused(why) => {
                refused += 1;
                println!("refused  {op:20} {case}: {why}");
            }
            Outcome::Failed(why) => {
                failed += 1;
                println!("FAILED   {op:20} {case}: {why}");
            }
        }
    }
    println!("\noperator              covered");
    for (op, n) in &covered {
        println!("{op:20} {n:8}");
    }
    println!("{} covered, {refused} refused, {failed} failed", covered.values().sum::<usize>());
    let bare: BTreeSet<&str> =
        ops::ALL.iter().map(|op| op.name()).filter(|name| !covered.contains_key(*name)).collect();
    println!("without a vector: {bare:?}");
    assert_eq!(failed, 0, "cases disagree with ONNX; see above");
    for (op, least) in COVERED {
        let n = covered.get(*op).copied().unwrap_or(0);
        assert!(n >= *least, "{op}: {n} cases are covered where {least} were");
    }
}

/// Weightless graphs of well-known networks: they import, work with any batch, and count as
/// published (torchvision's documentation: 25,557,032 parameters and 4.09 GMACs for ResNet-50,
/// 143,667,240 and 19.63 for VGG-19, 7,978,856 and 2.83 for DenseNet-121).
#[test]
fn light_models() {
    let Some(root) = espalier_tests::reference("onnx-light") else { return };
    // This file's DenseNet scales and shifts after every normalization once more (Caffe's Scale
    // layer), which doubles the 83,648 parameters of its normalizations.
    for (file, params, macs) in [
        ("light_resnet50.onnx", 25_557_032, 4_089_184_256),
        ("light_vgg19.onnx", 143_667_240, 19_632_062_464),
        ("light_densenet121.onnx", 7_978_856 + 83_648, 2_834_161_664),
    ] {
        let bytes = std::fs::read(root.join(file)).unwrap();
        let imported = onnx::import(&bytes, file).unwrap_or_else(|e| panic!("{e}"));
        let graph = &imported.graph;
        let analysis = graph.analyze(1).unwrap_or_else(|e| panic!("{e}"));
        // Published counts are of convolutions and matrix products.
        let counted = |op: &str| matches!(op, "Conv" | "Gemm" | "MatMul");
        let nodes = graph.nodes.iter().zip(&analysis.nodes).filter(|(n, _)| counted(&n.op));
        let products: u64 = nodes.map(|(_, cost)| cost.macs).sum();
        println!(
            "{file}: {} params, {products} MACs in products, {:?}",
            analysis.total.params, analysis.total
        );
        assert_eq!((analysis.total.params, products), (params, macs), "{file}");
        assert!(analysis.total.macs >= products && analysis.total.macs < products + products / 50);
        assert_eq!(graph.inputs.len(), 1, "{file}: weights are no inputs");
        let seven = graph.analyze(7).unwrap_or_else(|e| panic!("{e}")).total;
        assert_eq!(seven.macs, 7 * analysis.total.macs, "{file}: the batch axis is open");
        // The weights were taken out of these files; what is left does not make a network.
        assert!(imported.model().is_none());
    }
}

/// Truncated and corrupted files are answered in words: any prefix, and thousands of random
/// changes, of real files.
#[test]
fn damaged_files_are_answered() {
    let Some(root) = espalier_tests::reference("onnx-light") else { return };
    let good = std::fs::read(root.join("light_vgg19.onnx")).unwrap();
    let mut answered = 0;
    for cut in (0..good.len()).step_by(7) {
        if let Err(e) = onnx::import(&good[..cut], "cut.onnx") {
            assert!(e.to_string().contains("“cut.onnx”") || e.to_string().contains("vgg19"), "{e}");
            answered += 1;
        }
    }
    // What comes after the graph (the operator set) may be missing; nothing else.
    assert!(answered > good.len() / 7 - 10, "{answered} of {} prefixes", good.len() / 7);
    let mut rng = Rng::stream(7, "damage");
    let mut refused = 0;
    for _ in 0..1500 {
        let mut bad = good.clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(bad.len());
            match rng.below(3) {
                0 => bad[at] = rng.below(256) as u8,
                1 => drop(bad.remove(at)),
                _ => bad[at] = 0xff,
            }
        }
        refused += usize::from(onnx::import(&bad, "bad.onnx").is_err());
    }
    println!("{answered} prefixes and {refused} of 1500 damaged files were answered with an error");
    assert!(refused > 300);
}
