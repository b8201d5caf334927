//! One list of small cases for every operator: attributes, shapes and values on which gradients,
//! the two implementations (scalar and Burn), pruning ties and GPU kernels are compared.

use super::{Call, Forward, Operator, Value};
use crate::model::{Attr, Attrs, Node};
use crate::rng::Rng;
use crate::{Error, Result, map_value, ops};
use burn::tensor::{Device, Tensor};

/// An operator at work on small random inputs.
#[derive(Debug, Clone)]
pub struct Case {
    /// ONNX operator type.
    pub op: &'static str,
    /// Attributes.
    pub attrs: Attrs,
    /// Input shapes; empty for an omitted input.
    pub inputs: Vec<Vec<usize>>,
    /// Number of outputs.
    pub outputs: usize,
    /// Points where the operator has no derivative; values keep away from them.
    pub kinks: Vec<f32>,
    /// Whether no two values may lie close together (maxima).
    pub distinct: bool,
    /// Inputs that must be positive (variances).
    pub positive: Vec<usize>,
    /// Inputs without a gradient (running statistics).
    pub fixed: Vec<usize>,
}

fn case(op: &'static str, inputs: &[&[usize]]) -> Case {
    Case {
        op,
        attrs: Attrs::new(),
        inputs: inputs.iter().map(|s| s.to_vec()).collect(),
        outputs: 1,
        kinks: vec![],
        distinct: false,
        positive: vec![],
        fixed: vec![],
    }
}

impl Case {
    fn with(mut self, key: &str, value: impl Into<Attr>) -> Self {
        self.attrs.insert(key.into(), value.into());
        self
    }

    fn ints(self, key: &str, values: &[i64]) -> Self {
        self.with(key, values.to_vec())
    }

    fn outputs(mut self, n: usize) -> Self {
        self.outputs = n;
        self
    }

    fn kinks(mut self, kinks: &[f32]) -> Self {
        self.kinks = kinks.to_vec();
        self
    }

    fn distinct(mut self) -> Self {
        self.distinct = true;
        self
    }

    /// The operator, where the registry has it.
    pub fn operator(&self) -> Option<&'static dyn Operator> {
        ops::get(self.op)
    }

    /// What it is called in messages.
    pub fn label(&self) -> String {
        format!("{} {:?} {:?}", self.op, self.inputs, self.attrs)
    }

    /// The node.
    pub fn node(&self) -> Node {
        let name =
            |(i, shape): (usize, &Vec<usize>)| if shape.is_empty() { String::new() } else { format!("i{i}") };
        Node {
            name: "node".into(),
            op: self.op.into(),
            inputs: self.inputs.iter().enumerate().map(name).collect(),
            outputs: (0..self.outputs).map(|i| format!("o{i}")).collect(),
            attrs: self.attrs.clone(),
        }
    }

    /// Input values of a seed: uniform in -2 to 2, away from kinks; in 0.5 to 1.5 where positive.
    pub fn values(&self, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = Rng::stream(seed, &self.label());
        let draw = |(i, shape): (usize, &Vec<usize>)| {
            let n = if shape.is_empty() { 0 } else { shape.iter().product() };
            if self.distinct {
                let mut order: Vec<usize> = (0..n).collect();
                rng.shuffle(&mut order);
                return order.iter().map(|k| (*k as f32 + 0.5) * 4.0 / n as f32 - 2.0).collect();
            }
            let (low, high) = if self.positive.contains(&i) { (0.5, 1.5) } else { (-2.0, 2.0) };
            let mut value = || loop {
                let x = rng.uniform(low, high);
                if self.kinks.iter().all(|k| (x - k).abs() > 0.05) {
                    return x;
                }
            };
            (0..n).map(|_| value()).collect::<Vec<f32>>()
        };
        self.inputs.iter().enumerate().map(draw).collect()
    }
}

/// Output shapes of a node.
///
/// # Errors
/// The operator is unknown, or refuses the shapes.
pub fn infer(node: &Node, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
    let op = ops::get(&node.op).ok_or_else(|| Error::shape(node, "unknown operator"))?;
    ops::check_arity(op, node)?;
    let shapes: Vec<&[usize]> = inputs.iter().map(Vec::as_slice).collect();
    let mut out = op.infer(node, &shapes)?;
    out.truncate(node.outputs.len());
    Ok(out)
}

/// Runs `f` with the node's call.
pub fn with_call<T>(
    node: &Node,
    inputs: &[Vec<usize>],
    f: impl FnOnce(&'static dyn Operator, &Call) -> T,
) -> Result<T> {
    let out = infer(node, inputs)?;
    let op = ops::get(&node.op).ok_or_else(|| Error::shape(node, "unknown operator"))?;
    let ins: Vec<&[usize]> = inputs.iter().map(Vec::as_slice).collect();
    let outs: Vec<&[usize]> = out.iter().map(Vec::as_slice).collect();
    Ok(f(op, &Call { node, inputs: &ins, outputs: &outs }))
}

/// The scalar implementation. Outputs start as NaN, so that an element left unwritten shows.
///
/// # Errors
/// The shapes do not fit.
pub fn eval(node: &Node, shapes: &[Vec<usize>], values: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
    with_call(node, shapes, |op, call| {
        let mut outputs: Vec<Vec<f32>> =
            call.outputs.iter().map(|s| vec![f32::NAN; s.iter().product()]).collect();
        let ins: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
        let mut outs: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        op.eval(call, &ins, &mut outs);
        outputs
    })
}

/// Inputs on a device; with autodiff each is a leaf whose gradient is kept.
///
/// # Errors
/// A rank above 5.
pub fn upload(case: &Case, values: &[Vec<f32>], device: &Device, leaf: bool) -> Result<Vec<Option<Value>>> {
    let up = |(v, shape): (&Vec<f32>, &Vec<usize>)| {
        if shape.is_empty() {
            return Ok(None);
        }
        let value = Value::from_host(v.clone(), shape, device)?;
        if !leaf {
            return Ok(Some(value));
        }
        Ok(Some(map_value!(value, t => t.autodiff().require_grad())))
    };
    values.iter().zip(&case.inputs).map(up).collect()
}

/// The Burn implementation.
///
/// # Errors
/// The operator refuses.
pub fn forward(case: &Case, inputs: &[Option<Value>], ctx: &mut Forward) -> Result<Vec<Value>> {
    with_call(&case.node(), &case.inputs, |op, call| op.forward(call, inputs, ctx))?
}

/// What a case makes of its values on a device: outputs, and the gradients of a loss.
pub struct Measured {
    /// The outputs.
    pub outputs: Vec<Value>,
    /// The loss is the sum of all output values, each times its fixed random weight.
    pub weights: Vec<Vec<f32>>,
    /// The loss's gradient with respect to each input that has one, by the input's number. A missing one
    /// means that autodiff found no path.
    pub gradients: Vec<(usize, Option<Value>)>,
}

/// Forward and backward on Burn, on a device.
///
/// # Errors
/// The operator refuses, or autodiff follows no output.
pub fn measure(
    case: &Case,
    values: &[Vec<f32>],
    seed: u64,
    device: &Device,
    ctx: &mut Forward,
) -> Result<Measured> {
    let inputs = upload(case, values, device, true)?;
    let outputs = forward(case, &inputs, ctx)?;
    let mut rng = Rng::stream(seed, "loss");
    let mut weights = Vec::with_capacity(outputs.len());
    let mut total: Option<Tensor<1>> = None;
    for output in &outputs {
        let drawn: Vec<f32> =
            (0..output.dims().iter().product::<usize>()).map(|_| rng.uniform(-1.0, 1.0)).collect();
        let weight = Value::from_host(drawn.clone(), &[drawn.len()], device)?;
        let flat = output.clone().reshape(&[drawn.len()])?;
        let (Some(o), Some(w)) = (flat.r1(), weight.r1()) else { continue };
        let part = (o * w).sum();
        total = Some(match total {
            Some(total) => total + part,
            None => part,
        });
        weights.push(drawn);
    }
    let total = total
        .filter(Tensor::is_tracked)
        .ok_or_else(|| Error::Unsupported(format!("{}: no output can be derived", case.label())))?;
    let grads = total.backward();
    let derived = |(i, value): (usize, &Option<Value>)| {
        let value = value.as_ref().filter(|_| !case.fixed.contains(&i))?;
        Some((i, value.gradient(&grads)))
    };
    let gradients = inputs.iter().enumerate().filter_map(derived).collect();
    let plain = |value: Value| map_value!(value, t => t.inner());
    Ok(Measured { outputs: outputs.into_iter().map(plain).collect(), weights, gradients })
}

/// Every case, by operator.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(elementwise());
    cases.extend(products());
    cases.extend(norms_and_pools());
    cases.extend(shapes());
    cases
}

fn elementwise() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["Add", "Mul", "Sub"] {
        cases.push(case(op, &[&[2, 3, 4], &[2, 3, 4]]));
        cases.push(case(op, &[&[2, 3, 2, 2], &[3, 1, 1]]));
        cases.push(case(op, &[&[1, 3], &[2, 1, 3]]));
        cases.push(case(op, &[&[2, 3, 2, 2], &[2, 3, 1, 1]]));
    }
    for (a, b) in
        [(&[2, 3, 4][..], &[2, 1, 1][..]), (&[2, 3, 4], &[3, 1]), (&[3], &[2, 3]), (&[2, 3, 2, 2], &[1])]
    {
        let mut case = case("Div", &[a, b]);
        case.positive = vec![1];
        cases.push(case);
    }
    for op in ["Gelu", "Identity", "Sigmoid", "Tanh"] {
        cases.push(case(op, &[&[7]]));
        cases.push(case(op, &[&[2, 3, 2, 2]]));
    }
    cases.push(case("Gelu", &[&[2, 3]]).with("approximate", "tanh"));
    cases.push(case("Relu", &[&[2, 3, 2, 2]]).kinks(&[0.0]));
    cases.push(case("Sign", &[&[2, 3, 2, 2]]).kinks(&[0.0]));
    // Narrowed, so that all three of its pieces are met within -2 to 2.
    cases.push(case("HardSigmoid", &[&[4, 6]]).kinks(&[-2.5, 2.5]));
    cases
        .push(case("HardSigmoid", &[&[4, 6]]).with("alpha", 0.5f32).with("beta", 0.6f32).kinks(&[-1.2, 0.8]));
    cases.push(case("HardSwish", &[&[2, 3, 2, 2]]).kinks(&[-3.0, 3.0]));
    cases.push(case("Clip", &[&[2, 6]]).with("min", 0.0f32).with("max", 1.0f32).kinks(&[0.0, 1.0]));
    cases.push(case("Clip", &[&[2, 6]]).with("max", 0.5f32).kinks(&[0.5]));
    cases.push(case("Clip", &[&[6]]));
    cases.push(case("Clip", &[&[6]]).with("min", 1.0f32).with("max", -1.0f32).kinks(&[1.0, -1.0]));
    cases
}

fn products() -> Vec<Case> {
    vec![
        case("Conv", &[&[2, 3, 4, 4], &[4, 3, 3, 3], &[4]]).ints("pads", &[1, 1, 1, 1]),
        case("Conv", &[&[1, 2, 5, 4], &[3, 2, 2, 3]]).ints("strides", &[2, 1]).ints("pads", &[0, 1, 1, 2]),
        case("Conv", &[&[1, 4, 4, 4], &[4, 1, 3, 3]]).with("group", 4).with("auto_pad", "SAME_UPPER"),
        case("Conv", &[&[1, 2, 4, 4], &[4, 1, 3, 3], &[4]]).with("group", 2).ints("pads", &[1, 1, 1, 1]),
        case("Conv", &[&[1, 4, 3, 3], &[6, 2, 1, 1], &[6]]).with("group", 2),
        case("Conv", &[&[1, 1, 6, 6], &[1, 1, 3, 3]]).ints("dilations", &[2, 2]),
        case("Gemm", &[&[2, 3], &[4, 3], &[4]]).with("transB", 1),
        case("Gemm", &[&[3, 2], &[3, 4]]).with("transA", 1).with("alpha", 0.5f32),
        case("Gemm", &[&[2, 3], &[3, 4], &[2, 4]]).with("beta", 2.0f32).with("alpha", -1.5f32),
        case("Gemm", &[&[2, 3], &[3, 4], &[2, 1]]),
        case("MatMul", &[&[2, 3], &[3, 4]]),
        case("MatMul", &[&[2, 2, 3], &[2, 3, 4]]),
        case("MatMul", &[&[2, 2, 3], &[3, 4]]),
        case("MatMul", &[&[2, 1, 2, 3], &[3, 3, 2]]),
    ]
}

fn norms_and_pools() -> Vec<Case> {
    let norm = |x: &[usize]| {
        let c = &x[1..2];
        let mut case = case("BatchNormalization", &[x, c, c, c, c]);
        case.positive = vec![4];
        case.fixed = vec![3, 4];
        case
    };
    vec![
        norm(&[2, 3, 2, 2]),
        norm(&[4, 3]).with("epsilon", 0.1f32),
        case("LayerNormalization", &[&[2, 6], &[6], &[6]]),
        case("LayerNormalization", &[&[2, 3, 4], &[3, 4], &[3, 4]]).with("axis", 1).with("epsilon", 0.01f32),
        case("LayerNormalization", &[&[2, 3, 4], &[4]]).with("axis", -1),
        case("Softmax", &[&[2, 5]]),
        case("Softmax", &[&[2, 3, 4]]).with("axis", 1),
        case("MaxPool", &[&[1, 2, 4, 4]]).ints("kernel_shape", &[2, 2]).ints("strides", &[2, 2]).distinct(),
        case("MaxPool", &[&[1, 2, 5, 4]])
            .ints("kernel_shape", &[3, 3])
            .ints("strides", &[2, 1])
            .ints("pads", &[1, 1, 1, 1])
            .distinct(),
        case("AveragePool", &[&[1, 2, 4, 4]]).ints("kernel_shape", &[2, 2]).ints("strides", &[2, 2]),
        case("AveragePool", &[&[1, 2, 4, 4]]).ints("kernel_shape", &[3, 3]).ints("pads", &[1, 1, 1, 1]),
        case("AveragePool", &[&[1, 2, 4, 5]])
            .ints("kernel_shape", &[3, 3])
            .ints("strides", &[2, 2])
            .ints("pads", &[1, 1, 1, 1])
            .with("count_include_pad", 1),
        case("GlobalAveragePool", &[&[2, 3, 2, 4]]),
        case("ReduceMean", &[&[2, 3, 4]]).ints("axes", &[1]),
        case("ReduceMean", &[&[2, 3, 2, 2]]).ints("axes", &[-1, 2]).with("keepdims", 0),
        case("ReduceMean", &[&[2, 3]]),
        case("ReduceSum", &[&[2, 3, 4]]).ints("axes", &[-1]),
        case("ReduceSum", &[&[2, 3, 2, 2]]).ints("axes", &[1, 2]).with("keepdims", 0),
        case("ReduceSum", &[&[2, 3]]),
    ]
}

fn shapes() -> Vec<Case> {
    vec![
        case("Concat", &[&[2, 1, 3], &[2, 2, 3], &[2, 4, 3]]).with("axis", 1),
        case("Concat", &[&[2, 3], &[2, 2]]).with("axis", -1),
        case("Concat", &[&[2, 3, 2, 2]]).with("axis", 0),
        case("Split", &[&[2, 6, 2]]).with("axis", 1).outputs(3),
        case("Split", &[&[2, 7]]).with("axis", -1).with("num_outputs", 3).outputs(3),
        case("Split", &[&[1, 5, 2, 2]]).with("axis", 1).ints("split", &[1, 4]).outputs(2),
        case("Slice", &[&[4, 5]]).ints("starts", &[1, 0]).ints("ends", &[3, -1]),
        case("Slice", &[&[2, 6, 3]])
            .ints("starts", &[5])
            .ints("ends", &[-100])
            .ints("axes", &[1])
            .ints("steps", &[-1]),
        case("Slice", &[&[2, 7]])
            .ints("starts", &[-1])
            .ints("ends", &[0])
            .ints("axes", &[-1])
            .ints("steps", &[-2]),
        case("Slice", &[&[2, 3, 6, 6]])
            .ints("starts", &[0, 1])
            .ints("ends", &[i64::MAX, i64::MAX])
            .ints("axes", &[2, 3])
            .ints("steps", &[2, 2]),
        case("Reshape", &[&[2, 3, 4]]).ints("shape", &[0, -1]),
        case("Reshape", &[&[2, 6]]).ints("shape", &[2, 3, 2]),
        case("Reshape", &[&[2, 4, 3]]).ints("shape", &[-1, 6]),
        case("Reshape", &[&[2, 4, 1, 1]]).ints("shape", &[2, 4]),
        case("Flatten", &[&[2, 3, 2, 2]]),
        case("Flatten", &[&[2, 3, 2, 2]]).with("axis", 0),
        case("Flatten", &[&[2, 3, 2]]).with("axis", -1),
        case("Transpose", &[&[2, 3]]),
        case("Transpose", &[&[2, 3, 4, 5]]).ints("perm", &[0, 2, 3, 1]),
        case("Transpose", &[&[1, 2, 3, 2, 2]]).ints("perm", &[0, 2, 1, 3, 4]),
        case("Pad", &[&[2, 3]]).ints("pads", &[0, 1, 0, 2]).with("value", 0.5f32),
        case("Pad", &[&[1, 2, 3, 3]]).ints("pads", &[0, 1, 1, 0, 0, 0, 1, 2]),
        case("Pad", &[&[1, 2, 4, 4]])
            .ints("pads", &[1, 2, 2, 1])
            .ints("axes", &[2, 3])
            .with("mode", "reflect"),
        case("Pad", &[&[2, 3]]).ints("pads", &[0, 1, 1, 2]).with("mode", "edge"),
        case("Pad", &[&[2, 3]]).ints("pads", &[0, 1, 1, 2]).with("mode", "wrap"),
        case("Pad", &[&[2, 4]]).ints("pads", &[0, -1, 0, 2]),
        case("Resize", &[&[1, 2, 2, 3]]).ints("sizes", &[1, 2, 4, 6]),
        case("Resize", &[&[1, 2, 3, 4]])
            .with("scales", Attr::Floats(vec![0.6, 0.6]))
            .ints("axes", &[2, 3])
            .with("coordinate_transformation_mode", "asymmetric")
            .with("nearest_mode", "floor"),
        case("Resize", &[&[1, 2, 2, 3]]).ints("sizes", &[1, 2, 5, 6]).with("mode", "linear"),
        case("Resize", &[&[1, 2, 4, 4]])
            .with("scales", Attr::Floats(vec![0.6, 1.7]))
            .ints("axes", &[2, 3])
            .with("mode", "linear")
            .with("coordinate_transformation_mode", "align_corners"),
        case("Resize", &[&[1, 2, 4]])
            .ints("sizes", &[7])
            .ints("axes", &[2])
            .with("coordinate_transformation_mode", "align_corners")
            .with("nearest_mode", "round_prefer_ceil"),
    ]
}
