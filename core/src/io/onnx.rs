//! Reads ONNX models into graphs and weights.
//!
//! What shapes depend on becomes an attribute ([`crate::ops::Operator::import`]); what is computed
//! from constants alone (`Constant`, `ConstantOfShape`, `Unsqueeze`, `Reshape`, `Identity` of a
//! weight) is folded; `Sum` becomes additions and `Dropout` disappears, as both are at inference.
//! A weight that is one value everywhere stays that: a file whose weights were taken out
//! ("light" models) gives a graph that can be counted, without gigabytes of the same number.

use super::proto;
use crate::model::{Attr, Attrs, Dim, Graph, Init, Model, Node, Param, Port, Weight};
use crate::ops::{self, Constant};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// What a file gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The architecture. Its first axis is the batch where the file leaves it open, or where it is
    /// 1 and the graph works with any.
    pub graph: Graph,
    /// The weights that the file holds. A parameter that is missing here is one value everywhere
    /// ([`Init::Constant`]).
    pub weights: BTreeMap<String, Weight>,
}

impl Imported {
    /// The network, where the file holds every weight.
    pub fn model(self) -> Option<Model> {
        let complete = self.graph.params.keys().all(|name| self.weights.contains_key(name));
        complete.then_some(Model { graph: self.graph, weights: self.weights, activations: BTreeMap::new() })
    }
}

/// A constant of the file with its shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Lengths.
    pub shape: Vec<usize>,
    /// Values; a single one stands for all (of any number) where `uniform`.
    pub values: Constant,
    /// Whether the one value in `values` is repeated throughout.
    pub uniform: bool,
}

/// More values than this are not a tensor that a browser can hold.
const MOST_VALUES: usize = 1 << 31;
/// Whole-number constants become attributes; longer ones are no shape.
const MOST_INTS: usize = 1 << 20;

/// Reads a model file. `file` is its name, for messages.
///
/// # Errors
/// The file is damaged ([`Error::Format`]), uses what is not known here ([`Error::Unsupported`]),
/// or its shapes do not fit.
pub fn import(bytes: &[u8], file: &str) -> Result<Imported> {
    import_with(bytes, file, BTreeMap::new())
}

/// As [`import`], with the values of some inputs known beforehand, as if they were constants.
///
/// # Errors
/// As [`import`].
pub fn import_with(bytes: &[u8], file: &str, fixed: BTreeMap<String, Known>) -> Result<Imported> {
    let proto::Model { graph: source, opset } = proto::Model::read(bytes, file)?;
    let mut known = fixed;
    for tensor in &source.initializers {
        known.insert(tensor.name.clone(), read_tensor(tensor, file)?);
    }
    let mut import = Import {
        file,
        opset,
        known,
        renamed: BTreeMap::new(),
        names: BTreeSet::new(),
        graph: Graph::default(),
    };
    import.graph.name = if source.name.is_empty() { file.to_owned() } else { source.name.clone() };
    for input in source.inputs.iter().filter(|i| !import.known.contains_key(&i.name)) {
        import.graph.inputs.push(port(input, file)?);
    }
    for node in &source.nodes {
        import.node(node)?;
    }
    import.finish(&source)
}

/// Reads a tensor file (a `TensorProto` by itself) with its name.
///
/// # Errors
/// The file is damaged, or of an element type that is not read here.
pub fn tensor(bytes: &[u8], file: &str) -> Result<(String, Known)> {
    let tensor = proto::Tensor::read(bytes, file)?;
    let known = read_tensor(&tensor, file)?;
    Ok((tensor.name, known))
}

struct Import<'a> {
    file: &'a str,
    opset: i64,
    known: BTreeMap<String, Known>,
    /// Tensors that are another one under a new name.
    renamed: BTreeMap<String, String>,
    /// Names of nodes that are taken.
    names: BTreeSet<String>,
    graph: Graph,
}

impl Import<'_> {
    fn node(&mut self, source: &proto::Node) -> Result<()> {
        let name = self.unique(if source.name.is_empty() { &source.outputs[0] } else { &source.name });
        let file = self.file;
        let unsupported = |message: String| {
            Error::Unsupported(format!("“{file}”: node “{name}” ({}): {message}", source.op))
        };
        if !matches!(source.domain.as_str(), "" | "ai.onnx") {
            return Err(unsupported(format!("operators of the set “{}” are not known here", source.domain)));
        }
        if self.fold(source, &name)? {
            return Ok(());
        }
        let inputs: Vec<String> =
            source.inputs.iter().map(|i| self.renamed.get(i).unwrap_or(i).clone()).collect();
        match (source.op.as_str(), inputs.as_slice()) {
            ("Dropout", [x, ..]) => {
                self.renamed.insert(source.outputs[0].clone(), x.clone());
                return Ok(());
            }
            ("Sum", [x]) => {
                self.renamed.insert(source.outputs[0].clone(), x.clone());
                return Ok(());
            }
            ("Sum", [first, rest @ ..]) => {
                let mut left = first.clone();
                for (i, right) in rest.iter().enumerate() {
                    let last = i + 1 == rest.len();
                    let part = format!("{name}.{i}");
                    let output = if last { source.outputs[0].clone() } else { self.unique(&part) };
                    let name = if i == 0 { name.clone() } else { self.unique(&part) };
                    let inputs = vec![std::mem::replace(&mut left, output.clone()), right.clone()];
                    let node =
                        Node { name, op: "Add".into(), inputs, outputs: vec![output], attrs: Attrs::new() };
                    self.push(node)?;
                }
                return Ok(());
            }
            _ => {}
        }
        let Some(op) = ops::get(&source.op) else {
            return Err(unsupported("this operator is not known here".into()));
        };
        let mut attrs = Attrs::new();
        for a in &source.attributes {
            let attr = match (a.kind, a) {
                (1, proto::Attribute { f: Some(v), .. }) => Attr::Float(*v),
                (2, proto::Attribute { i: Some(v), .. }) => Attr::Int(*v),
                (3, proto::Attribute { s: Some(v), .. }) => Attr::Str(v.clone()),
                (6, _) => Attr::Floats(a.floats.clone()),
                (7, _) => Attr::Ints(a.ints.clone()),
                // The format leaves out zeros and empty strings.
                (1, _) => Attr::Float(0.0),
                (2, _) => Attr::Int(0),
                (3, _) => Attr::Str(String::new()),
                (kind, _) => {
                    return Err(unsupported(format!(
                        "the attribute “{}” is of type {kind}, which is not read here",
                        a.name
                    )));
                }
            };
            attrs.insert(a.name.clone(), attr);
        }
        let mut node = Node { name, op: source.op.clone(), inputs, outputs: source.outputs.clone(), attrs };
        ops_arity(op, &node)?;
        let constants: Vec<Option<Constant>> = node.inputs.iter().map(|i| self.constant(i)).collect();
        let kept = op.import(&mut node, &constants, self.opset)?;
        node.inputs.truncate(kept);
        while node.inputs.last().is_some_and(String::is_empty) {
            node.inputs.pop();
        }
        self.push(node)
    }

    /// A constant's values, where it is short enough to feed a shape. Long ones are weights.
    fn constant(&self, name: &str) -> Option<Constant> {
        let known = self.known.get(name)?;
        let count = known.shape.iter().product::<usize>();
        match (&known.values, known.uniform) {
            (values, false) => Some(values.clone()),
            (Constant::Floats(v), true) if count <= MOST_INTS => {
                Some(Constant::Floats(vec![*v.first()?; count]))
            }
            (Constant::Ints(v), true) if count <= MOST_INTS => Some(Constant::Ints(vec![*v.first()?; count])),
            _ => None,
        }
    }

    /// Adds a node, and makes parameters of the constants it reads.
    fn push(&mut self, node: Node) -> Result<()> {
        for (i, input) in node.inputs.iter().enumerate() {
            let Some(known) = self.known.get(input) else { continue };
            let Constant::Floats(values) = &known.values else {
                return Err(Error::Unsupported(format!(
                    "“{}”: node “{}” ({}) computes on the whole numbers of “{input}”; only real numbers are computed on here",
                    self.file, node.name, node.op
                )));
            };
            // Running statistics are no parameters of the gradient.
            let trainable = !(node.op == "BatchNormalization" && i >= 3);
            let init = Init::Constant(values.first().copied().unwrap_or(0.0));
            let param = Param { shape: known.shape.clone(), init, trainable };
            let entry = self.graph.params.entry(input.clone()).or_insert(param);
            entry.trainable &= trainable;
        }
        self.graph.nodes.push(node);
        Ok(())
    }

    /// A node name that no other node has.
    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut i = 1;
        while !self.names.insert(name.clone()) {
            name = format!("{wanted}.{i}");
            i += 1;
        }
        name
    }

    /// Folds a node that only moves constants about; says whether it did.
    fn fold(&mut self, source: &proto::Node, name: &str) -> Result<bool> {
        let wrong =
            |message: String| Error::format(self.file, format!("node “{name}” ({}): {message}", source.op));
        let attribute = |key: &str| source.attributes.iter().find(|a| a.name == key);
        let input = |i: usize| source.inputs.get(i).and_then(|n| self.known.get(n));
        let integers = |i: usize| match input(i) {
            Some(Known { values: Constant::Ints(v), uniform: false, .. }) => Some(v.clone()),
            _ => None,
        };
        let folded = match source.op.as_str() {
            "Constant" => match source.attributes.first() {
                Some(proto::Attribute { name, t: Some(t), .. }) if name == "value" => {
                    read_tensor(t, self.file)?
                }
                Some(a) if a.name == "value_float" => {
                    plain(vec![], Constant::Floats(vec![a.f.unwrap_or(0.0)]))
                }
                Some(a) if a.name == "value_int" => plain(vec![], Constant::Ints(vec![a.i.unwrap_or(0)])),
                Some(a) if a.name == "value_floats" => {
                    plain(vec![a.floats.len()], Constant::Floats(a.floats.clone()))
                }
                Some(a) if a.name == "value_ints" => {
                    plain(vec![a.ints.len()], Constant::Ints(a.ints.clone()))
                }
                _ => return Err(wrong("its value is missing or of a kind that is not read here".into())),
            },
            "ConstantOfShape" => {
                let Some(dims) = integers(0) else { return Ok(false) };
                let shape = lengths(&dims).map_err(wrong)?;
                let value = match attribute("value").and_then(|a| a.t.as_ref()) {
                    Some(t) => read_tensor(t, self.file)?.values,
                    None => Constant::Floats(vec![0.0]),
                };
                Known { shape, values: value, uniform: true }
            }
            "Identity" => {
                let Some(x) = input(0) else { return Ok(false) };
                x.clone()
            }
            "Unsqueeze" | "Squeeze" | "Reshape" => {
                let Some(x) = input(0) else { return Ok(false) };
                let key = if source.op == "Reshape" { "shape" } else { "axes" };
                let Some(target) = integers(1).or_else(|| attribute(key).map(|a| a.ints.clone())) else {
                    return Ok(false);
                };
                let shape = match source.op.as_str() {
                    "Unsqueeze" => unsqueezed(&x.shape, &target),
                    "Squeeze" => squeezed(&x.shape, &target),
                    _ => reshaped(&x.shape, &target),
                };
                let shape = shape.ok_or_else(|| wrong(format!("{target:?} does not fit {:?}", x.shape)))?;
                Known { shape, ..x.clone() }
            }
            _ => return Ok(false),
        };
        self.known.insert(source.outputs[0].clone(), folded);
        Ok(true)
    }

    fn finish(mut self, source: &proto::Graph) -> Result<Imported> {
        for output in &source.outputs {
            let name = self.renamed.get(&output.name).unwrap_or(&output.name);
            self.graph.outputs.push(name.clone());
        }
        if self.graph.outputs.is_empty() || self.graph.inputs.is_empty() {
            return Err(Error::format(self.file, "the graph has no input or no output"));
        }
        self.graph.sort()?;
        self.graph.analyze(1)?;
        let graph = any_batch(&self.graph).unwrap_or(self.graph);
        let mut weights = BTreeMap::new();
        for name in graph.params.keys() {
            // Taken out, not copied: weights are most of a file.
            if let Some(Known { shape, values: Constant::Floats(values), uniform: false }) =
                self.known.remove(name)
            {
                weights.insert(name.clone(), Weight::dense(shape, values));
            }
        }
        Ok(Imported { graph, weights })
    }
}

fn ops_arity(op: &dyn ops::Operator, node: &Node) -> Result<()> {
    // Only the lower end: constant inputs may yet become attributes.
    if node.inputs.len() < *op.arity().start() { ops::check_arity(op, node) } else { Ok(()) }
}

/// The graph with an open batch axis, where it was exported for a batch of 1 and works with any.
fn any_batch(graph: &Graph) -> Option<Graph> {
    let mut open = graph.clone();
    for port in &mut open.inputs {
        match port.shape.first_mut() {
            Some(first) if matches!(first, Dim::Fixed(1) | Dim::Batch) => *first = Dim::Batch,
            _ => return None,
        }
    }
    for node in open.nodes.iter_mut().filter(|n| n.op == "Reshape") {
        if let Some(Attr::Ints(target)) = node.attrs.get_mut("shape")
            && let [first, ..] = target.as_mut_slice()
            && *first == 1
        {
            // "As long as the input's", which a batch of 1 wrote as 1.
            *first = 0;
        }
    }
    let (one, two) = (open.analyze(1).ok()?, open.analyze(2).ok()?);
    let before = graph.analyze(1).ok()?;
    let follows = open.outputs.iter().all(|o| {
        let (one, two) = (&one.shapes[o], &two.shapes[o]);
        one.first() == Some(&1) && two.first() == Some(&2) && one[1..] == two[1..]
    });
    (follows && one.shapes == before.shapes).then_some(open)
}

fn plain(shape: Vec<usize>, values: Constant) -> Known {
    Known { shape, values, uniform: false }
}

fn port(info: &proto::ValueInfo, file: &str) -> Result<Port> {
    let wrong =
        |message: String| Err(Error::Unsupported(format!("“{file}”: the input “{}” {message}", info.name)));
    // Float, float16, double, bfloat16.
    if !matches!(info.data_type, 1 | 10 | 11 | 16) {
        return wrong(format!("holds {}; only real numbers are computed on here", type_name(info.data_type)));
    }
    let mut shape = Vec::with_capacity(info.dims.len());
    for (axis, dim) in info.dims.iter().enumerate() {
        shape.push(match (axis, dim.map(usize::try_from)) {
            (_, Some(Ok(n))) if n > 0 && n <= MOST_VALUES => Dim::Fixed(n),
            (0, None) => Dim::Batch,
            (_, None) => {
                return wrong(format!(
                    "has an open length along axis {axis}; only the batch (axis 0) may be open"
                ));
            }
            _ => return wrong(format!("has an impossible length along axis {axis}: {dim:?}")),
        });
    }
    Ok(Port { name: info.name.clone(), shape })
}

/// Lengths whose product is a tensor that can be held.
fn lengths(dims: &[i64]) -> std::result::Result<Vec<usize>, String> {
    let shape: Option<Vec<usize>> = dims.iter().map(|d| usize::try_from(*d).ok()).collect();
    let volume = shape.as_ref().and_then(|s| s.iter().try_fold(1usize, |a, b| a.checked_mul(*b)));
    match (shape, volume) {
        (Some(shape), Some(volume)) if volume <= MOST_VALUES && shape.len() <= 16 => Ok(shape),
        _ => Err(format!("the shape {dims:?} is impossible or larger than can be held")),
    }
}

fn type_name(data_type: i64) -> String {
    const NAMES: [&str; 17] = [
        "no tensor",
        "float",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "strings",
        "bool",
        "float16",
        "double",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
    ];
    let name = usize::try_from(data_type).ok().and_then(|i| NAMES.get(i));
    name.map_or_else(|| format!("element type {data_type}"), |n| (*n).to_owned())
}

fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    let value = match exponent {
        0 => fraction * (-24f32).exp2(),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        e => (1.0 + fraction / 1024.0) * ((e - 15) as f32).exp2(),
    };
    if sign == 1 { -value } else { value }
}

fn read_tensor(t: &proto::Tensor, file: &str) -> Result<Known> {
    let wrong = |message: String| Error::format(file, format!("the tensor “{}”: {message}", t.name));
    let shape = lengths(&t.dims).map_err(wrong)?;
    let count: usize = shape.iter().product();
    if t.external {
        return Err(wrong("its values are in another file; export the model with its weights inside".into()));
    }
    macro_rules! raw {
        ($type:ty, $n:literal, $map:expr) => {
            t.raw.filter(|b| b.len().is_multiple_of($n)).map(|bytes| {
                bytes.as_chunks::<$n>().0.iter().map(|b| $map(<$type>::from_le_bytes(*b))).collect::<Vec<_>>()
            })
        };
    }
    let bits = || t.ints.iter().map(|v| *v as u16);
    let values = match (t.data_type, t.raw.is_some()) {
        (1, true) => raw!(f32, 4, |v| v).map(Constant::Floats),
        (1, false) => Some(Constant::Floats(t.floats.clone())),
        (10, true) => raw!(u16, 2, half).map(Constant::Floats),
        (10, false) => Some(Constant::Floats(bits().map(half).collect())),
        (11, true) => raw!(f64, 8, |v| v as f32).map(Constant::Floats),
        (11, false) => Some(Constant::Floats(t.doubles.iter().map(|v| *v as f32).collect())),
        (16, true) => raw!(u16, 2, |v| f32::from_bits(u32::from(v) << 16)).map(Constant::Floats),
        (16, false) => Some(Constant::Floats(bits().map(|v| f32::from_bits(u32::from(v) << 16)).collect())),
        (2 | 9, true) => raw!(u8, 1, i64::from).map(Constant::Ints),
        (3, true) => raw!(i8, 1, i64::from).map(Constant::Ints),
        (4, true) => raw!(u16, 2, i64::from).map(Constant::Ints),
        (5, true) => raw!(i16, 2, i64::from).map(Constant::Ints),
        (6, true) => raw!(i32, 4, i64::from).map(Constant::Ints),
        (12, true) => raw!(u32, 4, i64::from).map(Constant::Ints),
        (7, true) => raw!(i64, 8, |v| v).map(Constant::Ints),
        (13, true) => raw!(u64, 8, |v| v as i64).map(Constant::Ints),
        (2..=7 | 9 | 12 | 13, false) => Some(Constant::Ints(t.ints.clone())),
        (other, _) => {
            return Err(wrong(format!("its values are {}, which is not read here", type_name(other))));
        }
    };
    let have = match &values {
        Some(Constant::Floats(v)) => v.len(),
        Some(Constant::Ints(v)) => v.len(),
        None => return Err(wrong("its bytes are no whole number of values".into())),
    };
    if have != count {
        return Err(wrong(format!("it holds {have} values where its shape {shape:?} has {count}")));
    }
    Ok(plain(shape, values.unwrap_or(Constant::Floats(vec![]))))
}

fn unsqueezed(shape: &[usize], axes: &[i64]) -> Option<Vec<usize>> {
    let rank = shape.len() + axes.len();
    let mut out = vec![None; rank];
    for a in axes {
        let a = usize::try_from(if *a < 0 { a + rank as i64 } else { *a }).ok()?;
        if out.get_mut(a)?.replace(1).is_some() {
            return None;
        }
    }
    let mut rest = shape.iter();
    out.into_iter().map(|slot| slot.or_else(|| rest.next().copied())).collect()
}

fn squeezed(shape: &[usize], axes: &[i64]) -> Option<Vec<usize>> {
    let mut gone = vec![false; shape.len()];
    for a in axes {
        let a = usize::try_from(if *a < 0 { a + shape.len() as i64 } else { *a }).ok()?;
        *gone.get_mut(a).filter(|_| shape[a] == 1)? = true;
    }
    Some(shape.iter().zip(gone).filter(|(_, gone)| !gone).map(|(n, _)| *n).collect())
}

fn reshaped(shape: &[usize], target: &[i64]) -> Option<Vec<usize>> {
    let volume: usize = shape.iter().product();
    let mut out = Vec::with_capacity(target.len());
    let mut open = None;
    for (i, n) in target.iter().enumerate() {
        out.push(match n {
            0 => *shape.get(i)?,
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            n => usize::try_from(*n).ok()?,
        });
    }
    let rest = out.iter().try_fold(1usize, |a, b| a.checked_mul(*b))?;
    if let Some(i) = open {
        out[i] = volume.checked_div(rest)?;
    }
    (out.iter().try_fold(1usize, |a, b| a.checked_mul(*b))? == volume).then_some(out)
}

#[cfg(test)]
#[path = "onnx_tests.rs"]
mod tests;
