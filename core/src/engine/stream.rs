//! Vision transformers in little memory, token by token: the inference schedule of Liang et al.,
//! "MCUFormer: Deploying Vision Transformers on Microcontrollers with Limited Memory", NeurIPS 2023,
//! arXiv:2310.16898, for the single-stage networks of [`crate::space::vit`], one sample at a time, in f32.
//!
//! - *Patch embedding decomposition*: one patch at a time is read from the input and becomes its token;
//!   the enlarged image and the convolution's image are never there.
//! - *Operator integration*: a token's norm, matrices, activation and sum run in one go, and of the
//!   attention scores there is one row of one head at a time.
//! - *Token overwriting*: outputs are stored over dead inputs. Keys and values of all tokens come first;
//!   from then on nothing but its own query needs a token, and what it becomes is stored over it. The
//!   second half of a block needs one token alone, and overwrites it.
//!
//! Every sum is taken in the order of the operators' scalar code, so that what comes out is what
//! [`super::reference`] computes. [`super::arena::layout`] places the buffers; [`Schedule::run`] computes in an arena of exactly that
//! size and says how much of it was ever touched.

use super::arena::{self, Layout, Request};
use crate::model::{Graph, Model, Node};
use crate::ops::{self, Call};
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Bytes of a value.
const BYTES: usize = 4;
/// As the operators have it.
const EPSILON: f32 = 1e-5;

/// A matrix or two, and a bias.
#[derive(Debug, Clone)]
struct Dense {
    /// Of every factor its name, rows and columns.
    factors: Vec<(String, usize, usize)>,
    bias: Option<String>,
}

impl Dense {
    /// Features between two factors.
    fn rank(&self) -> usize {
        if self.factors.len() > 1 { self.factors[0].2 } else { 0 }
    }

    fn out(&self) -> usize {
        self.factors.last().map_or(0, |f| f.2)
    }
}

/// The names of a norm's scale and shift.
type Norm = [String; 2];

#[derive(Debug, Clone)]
struct Block {
    norms: [Norm; 2],
    /// Queries, keys, values, projection, up, down.
    layers: [Dense; 6],
    heads: usize,
    width: usize,
}

/// What is in the arena, by what uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Buffer {
    Input,
    Tokens,
    Keys,
    Values,
    Scratch,
    Logits,
}

/// The schedule of a network.
#[derive(Debug, Clone)]
pub struct Schedule {
    tokens: usize,
    features: usize,
    /// Of every patch, in the order of its weights, where its pixels stand in the input.
    patches: Vec<Vec<usize>>,
    input: usize,
    embed: Dense,
    positions: String,
    blocks: Vec<Block>,
    norm: Norm,
    head: Dense,
    /// Of every step its buffers, with their numbers among the requests.
    steps: Vec<Vec<(Buffer, usize)>>,
    requests: Vec<Request>,
    layout: Layout,
}

/// Reads a graph's nodes one after the other.
struct Reader<'g> {
    graph: &'g Graph,
    at: usize,
}

impl<'g> Reader<'g> {
    fn peek(&self, ahead: usize) -> Option<&'g Node> {
        self.graph.nodes.get(self.at + ahead)
    }

    fn is(&self, ahead: usize, op: &str) -> bool {
        self.peek(ahead).is_some_and(|n| n.op == op)
    }

    /// Whether the node there takes a trainable parameter as its second input.
    fn weighted(&self, op: &str) -> bool {
        let weight = |n: &Node| n.inputs.get(1).and_then(|w| self.graph.params.get(w));
        self.is(0, op) && self.peek(0).and_then(weight).is_some_and(|p| p.trainable)
    }

    fn next(&mut self, op: &str) -> Result<&'g Node> {
        let found = self.peek(0);
        self.at += 1;
        found.filter(|n| n.op == op).ok_or_else(|| Error::Graph {
            graph: self.graph.name.clone(),
            message: format!(
                "only vision transformers of one stage run token by token; {} stands where {op} belongs",
                found.map_or("nothing".into(), |n| format!("“{}” ({})", n.name, n.op))
            ),
        })
    }

    fn skip(&mut self, ops: &[&str]) -> Result<()> {
        ops.iter().try_for_each(|op| self.next(op).map(|_| ()))
    }

    fn name(&self, node: &Node, input: usize) -> String {
        node.inputs.get(input).cloned().unwrap_or_default()
    }

    fn norm(&mut self) -> Result<Norm> {
        let node = self.next("LayerNormalization")?;
        Ok([self.name(node, 1), self.name(node, 2)])
    }

    fn dense(&mut self) -> Result<Dense> {
        let mut dense = Dense { factors: Vec::new(), bias: None };
        let mut last: Option<&str> = None;
        // A second factor reads what the first one made.
        while self.weighted("MatMul")
            && last.is_none_or(|l| self.peek(0).is_some_and(|n| n.inputs[0] == l))
            && dense.factors.len() < 2
        {
            let node = self.next("MatMul")?;
            let name = self.name(node, 1);
            let shape = self.graph.params.get(&name).map_or(&[][..], |p| &p.shape);
            let &[rows, columns] = shape else { break };
            dense.factors.push((name, rows, columns));
            last = node.outputs.first().map(String::as_str);
        }
        if dense.factors.is_empty() {
            self.next("MatMul")?;
        }
        if self.weighted("Add") {
            let node = self.next("Add")?;
            dense.bias = Some(self.name(node, 1));
        }
        Ok(dense)
    }
}

impl Schedule {
    /// The schedule of a single-stage vision transformer, for one sample.
    ///
    /// # Errors
    /// The graph is not sound, or is no such network; the message names the node.
    pub fn new(graph: &Graph) -> Result<Self> {
        let analysis = graph.analyze(1)?;
        let shape = |name: &String| analysis.shapes.get(name).cloned().unwrap_or_default();
        let mut r = Reader { graph, at: 0 };
        let image = graph.inputs.first().map(|p| shape(&p.name)).unwrap_or_default();
        let input: usize = image.iter().product();
        let places: Vec<usize> = if r.is(0, "Resize") {
            // Where each value of the enlarged image comes from: the operator itself says it.
            let node = r.next("Resize")?;
            if node.str("mode", "nearest") != "nearest" {
                return Err(Error::shape(node, "pixels that are interpolated are not read one by one"));
            }
            let out = shape(&node.outputs[0]);
            let mut found = vec![0.0; out.iter().product()];
            let numbers: Vec<f32> = (0..input).map(|i| i as f32).collect();
            let call = Call { node, inputs: &[&image], outputs: &[&out] };
            if let Some(op) = ops::get("Resize") {
                op.eval(&call, &[&numbers], &mut [&mut found]);
            }
            found.into_iter().map(|v| v as usize).collect()
        } else {
            (0..input).collect()
        };
        let conv = r.next("Conv")?;
        let (whole, kernel, out) = (shape(&conv.inputs[0]), shape(&r.name(conv, 1)), shape(&conv.outputs[0]));
        let (&[_, channels, height, width], &[features, _, patch, _], &[_, _, rows, columns]) =
            (&whole[..], &kernel[..], &out[..])
        else {
            return Err(Error::shape(conv, "patches are cut from images"));
        };
        if rows * patch != height || columns * patch != width {
            return Err(Error::shape(conv, "patches that overlap are not read one by one"));
        }
        let pixels = |t: usize| {
            let (top, left) = (t / columns * patch, t % columns * patch);
            let each = (0..channels * patch * patch).map(|i| {
                let (c, y, x) = (i / (patch * patch), i / patch % patch, i % patch);
                places[(c * height + top + y) * width + left + x]
            });
            each.collect()
        };
        let tokens = rows * columns;
        let patches = (0..tokens).map(pixels).collect();
        let embed = Dense {
            factors: vec![(r.name(conv, 1), channels * patch * patch, features)],
            bias: Some(r.name(conv, 2)),
        };
        r.skip(&["Reshape", "Transpose"])?;
        let positions = r.name(r.graph.nodes.get(r.at).ok_or_else(|| Error::shape(conv, "no tokens"))?, 1);
        r.skip(&["Add"])?;
        let mut blocks = Vec::new();
        while !r.is(1, "ReduceMean") {
            let first = r.norm()?;
            let (q, k, v) = (r.dense()?, r.dense()?, r.dense()?);
            let split = r.next("Reshape")?;
            let split = shape(&split.outputs[0]);
            let &[_, _, heads, width] = &split[..] else {
                return Err(Error::shape(conv, "attention in windows is not done token by token"));
            };
            r.skip(&["Transpose", "Reshape", "Transpose", "Transpose", "MatMul", "Mul", "Softmax"])?;
            r.skip(&["Reshape", "Transpose", "MatMul", "Transpose", "Reshape"])?;
            let project = r.dense()?;
            r.skip(&["Add"])?;
            let second = r.norm()?;
            let up = r.dense()?;
            r.skip(&["Gelu"])?;
            let down = r.dense()?;
            r.skip(&["Add"])?;
            blocks.push(Block { norms: [first, second], layers: [q, k, v, project, up, down], heads, width });
        }
        let norm = r.norm()?;
        r.skip(&["ReduceMean"])?;
        let head = r.dense()?;
        let mut schedule = Self {
            tokens,
            features,
            patches,
            input,
            embed,
            positions,
            blocks,
            norm,
            head,
            steps: Vec::new(),
            requests: Vec::new(),
            layout: Layout { offsets: Vec::new(), peak_bytes: 0 },
        };
        schedule.arrange();
        Ok(schedule)
    }

    /// Step 0 fills the input; step 1 makes tokens; each block has three: keys and values, attention, the
    /// second half; the last one classifies.
    fn arrange(&mut self) {
        let last = 2 + 3 * self.blocks.len();
        let mut requests: Vec<(Buffer, usize, usize, usize)> = vec![
            (Buffer::Input, self.input, 0, 1),
            (Buffer::Tokens, self.tokens * self.features, 1, last),
            (Buffer::Scratch, self.patches.first().map_or(0, Vec::len), 1, 1),
        ];
        for (i, block) in self.blocks.iter().enumerate() {
            let (step, f) = (2 + 3 * i, self.features);
            let [q, k, v, project, up, down] = &block.layers;
            requests.push((Buffer::Keys, self.tokens * k.out(), step, step + 1));
            requests.push((Buffer::Values, self.tokens * v.out(), step, step + 1));
            // Norm, what lies between two factors.
            requests.push((Buffer::Scratch, f + k.rank().max(v.rank()), step, step));
            // Norm, between factors, query, a row of scores, heads' answers, projection.
            let between = q.rank().max(project.rank());
            let attend = f + between + q.out() + self.tokens + v.out() + project.out();
            requests.push((Buffer::Scratch, attend, step + 1, step + 1));
            let second = f + up.rank().max(down.rank()) + up.out() + down.out();
            requests.push((Buffer::Scratch, second, step + 2, step + 2));
        }
        requests.push((Buffer::Scratch, 2 * self.features + self.head.rank(), last, last));
        requests.push((Buffer::Logits, self.head.out(), last, last + 1));
        self.steps = (0..=last)
            .map(|step| {
                let alive = requests.iter().enumerate().filter(|(_, r)| (r.2..=r.3).contains(&step));
                alive.map(|(i, r)| (r.0, i)).collect()
            })
            .collect();
        self.requests = requests
            .into_iter()
            .map(|(_, values, first, last)| Request { bytes: values * BYTES, first, last })
            .collect();
        self.layout = arena::layout(&self.requests);
    }

    /// Bytes of the arena.
    pub fn peak_bytes(&self) -> usize {
        self.layout.peak_bytes
    }

    /// Runs samples one by one; `outputs` holds the logits of all, and the number returned is how many
    /// bytes from the arena's beginning were ever read or written.
    ///
    /// # Errors
    /// The input's length is not that of whole samples, or a weight is missing.
    pub fn run(&self, model: &Model, inputs: &[f32], outputs: &mut Vec<f32>) -> Result<usize> {
        let mut weights: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
        for (name, weight) in &model.weights {
            weights.insert(name, weight.to_f32());
        }
        let missing = model.graph.params.keys().find(|name| !weights.contains_key(name.as_str()));
        if let Some(name) = missing {
            return Err(super::reference::wrong_input(
                &model.graph.name,
                name,
                0,
                model.graph.param_len(name),
            ));
        }
        if self.input == 0 || !inputs.len().is_multiple_of(self.input) {
            return Err(super::reference::wrong_input(&model.graph.name, "x", inputs.len(), self.input));
        }
        let mut memory = Memory { values: vec![0.0; self.layout.peak_bytes / BYTES], top: 0, weights };
        outputs.clear();
        for sample in inputs.chunks_exact(self.input) {
            // What is read before it is written would show.
            memory.values.fill(f32::NAN);
            self.sample(&mut memory, sample, outputs);
        }
        Ok(memory.top * BYTES)
    }

    /// Where a buffer of a step begins, in values.
    fn place(&self, step: usize, buffer: Buffer) -> usize {
        let found = self.steps.get(step).and_then(|b| b.iter().find(|b| b.0 == buffer));
        found.map_or(0, |b| self.layout.offsets[b.1] / BYTES)
    }

    fn sample(&self, m: &mut Memory, sample: &[f32], outputs: &mut Vec<f32>) {
        let (n, f) = (self.tokens, self.features);
        let input = self.place(0, Buffer::Input);
        for (i, v) in sample.iter().enumerate() {
            m.write(input + i, *v);
        }
        let tokens = self.place(1, Buffer::Tokens);
        let scratch = self.place(1, Buffer::Scratch);
        for (t, pixels) in self.patches.iter().enumerate() {
            for (i, place) in pixels.iter().enumerate() {
                let v = m.read(input + place);
                m.write(scratch + i, v);
            }
            m.columns(&self.embed, scratch, tokens + t * f);
            m.add_weight(&self.positions, t * f, tokens + t * f, f);
        }
        for (i, block) in self.blocks.iter().enumerate() {
            let step = 2 + 3 * i;
            let [q, k, v, project, up, down] = &block.layers;
            let (keys, values) = (self.place(step, Buffer::Keys), self.place(step, Buffer::Values));
            let norm = self.place(step, Buffer::Scratch);
            for t in 0..n {
                m.norm(&block.norms[0], tokens + t * f, norm, f);
                m.dense(k, norm, keys + t * k.out(), norm + f);
                m.dense(v, norm, values + t * v.out(), norm + f);
            }
            let norm = self.place(step + 1, Buffer::Scratch);
            let between = norm + f;
            let query = between + q.rank().max(project.rank());
            let scores = query + q.out();
            let answer = scores + n;
            let projected = answer + v.out();
            for t in 0..n {
                m.norm(&block.norms[0], tokens + t * f, norm, f);
                m.dense(q, norm, query, between);
                for head in 0..block.heads {
                    let at = head * block.width;
                    let (keys, values) = ([keys + at, k.out()], [values + at, v.out()]);
                    m.attend(query + at, keys, values, scores, answer + at, block.width, n);
                }
                m.dense(project, answer, projected, between);
                m.add(projected, tokens + t * f, f);
            }
            let norm = self.place(step + 2, Buffer::Scratch);
            let between = norm + f;
            let hidden = between + up.rank().max(down.rank());
            let out = hidden + up.out();
            for t in 0..n {
                m.norm(&block.norms[1], tokens + t * f, norm, f);
                m.dense(up, norm, hidden, between);
                m.gelu(hidden, up.out());
                m.dense(down, hidden, out, between);
                m.add(out, tokens + t * f, f);
            }
        }
        let last = self.steps.len() - 1;
        let norm = self.place(last, Buffer::Scratch);
        let sum = norm + f;
        for j in 0..f {
            m.write(sum + j, 0.0);
        }
        for t in 0..n {
            m.norm(&self.norm, tokens + t * f, norm, f);
            m.add(norm, sum, f);
        }
        for j in 0..f {
            let mean = m.read(sum + j) / n as f32;
            m.write(sum + j, mean);
        }
        let logits = self.place(last, Buffer::Logits);
        m.dense(&self.head, sum, logits, sum + f);
        for j in 0..self.head.out() {
            let v = m.read(logits + j);
            outputs.push(v);
        }
    }
}

/// The arena, and how far it was used. All places are in values.
struct Memory<'m> {
    values: Vec<f32>,
    top: usize,
    weights: BTreeMap<&'m str, Vec<f32>>,
}

impl Memory<'_> {
    fn read(&mut self, at: usize) -> f32 {
        self.top = self.top.max(at + 1);
        self.values[at]
    }

    fn write(&mut self, at: usize, value: f32) {
        self.top = self.top.max(at + 1);
        self.values[at] = value;
    }

    fn add(&mut self, from: usize, to: usize, len: usize) {
        for i in 0..len {
            let v = self.read(from + i) + self.read(to + i);
            self.write(to + i, v);
        }
    }

    fn weight(&self, name: &str, at: usize) -> f32 {
        self.weights.get(name).and_then(|w| w.get(at)).copied().unwrap_or(f32::NAN)
    }

    fn add_weight(&mut self, name: &str, from: usize, to: usize, len: usize) {
        for i in 0..len {
            let v = self.read(to + i) + self.weight(name, from + i);
            self.write(to + i, v);
        }
    }

    /// The convolution's weight has a row for every output.
    fn columns(&mut self, dense: &Dense, from: usize, to: usize) {
        let Some((name, rows, columns)) = dense.factors.first() else { return };
        for j in 0..*columns {
            let mut sum = dense.bias.as_ref().map_or(0.0, |bias| self.weight(bias, j));
            for l in 0..*rows {
                sum += self.read(from + l) * self.weight(name, j * rows + l);
            }
            self.write(to + j, sum);
        }
    }

    /// A row times a matrix or two.
    fn dense(&mut self, dense: &Dense, from: usize, to: usize, between: usize) {
        let mut from = from;
        for (i, (name, rows, columns)) in dense.factors.iter().enumerate() {
            let to = if i + 1 == dense.factors.len() { to } else { between };
            let Some(weight) = self.weights.get(name.as_str()) else { continue };
            self.top = self.top.max(from + rows).max(to + columns);
            self.values[to..to + columns].fill(0.0);
            for l in 0..*rows {
                let left = self.values[from + l];
                for j in 0..*columns {
                    self.values[to + j] += left * weight[l * columns + j];
                }
            }
            from = to;
        }
        if let Some(bias) = &dense.bias {
            self.add_weight(bias, 0, to, dense.out());
        }
    }

    fn norm(&mut self, norm: &Norm, from: usize, to: usize, len: usize) {
        let mut mean = 0.0;
        for i in 0..len {
            mean += self.read(from + i);
        }
        mean /= len as f32;
        let mut variance = 0.0;
        for i in 0..len {
            let v = self.read(from + i) - mean;
            variance += v * v;
        }
        let inverse = 1.0 / (variance / len as f32 + EPSILON).sqrt();
        for i in 0..len {
            let v =
                (self.read(from + i) - mean) * inverse * self.weight(&norm[0], i) + self.weight(&norm[1], i);
            self.write(to + i, v);
        }
    }

    fn gelu(&mut self, at: usize, len: usize) {
        for i in at..at + len {
            let x = self.read(i);
            self.write(i, 0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2)));
        }
    }

    /// One head of one query: scores with all keys, their softmax, the mean of the values. `keys` and
    /// `values`: where they begin, and how far apart two tokens' are.
    #[allow(clippy::too_many_arguments)]
    fn attend(
        &mut self,
        query: usize,
        keys: [usize; 2],
        values: [usize; 2],
        scores: usize,
        to: usize,
        width: usize,
        tokens: usize,
    ) {
        let scale = 1.0 / (width as f32).sqrt();
        let mut max = f32::NEG_INFINITY;
        for s in 0..tokens {
            let mut sum = 0.0;
            for i in 0..width {
                sum += self.read(query + i) * self.read(keys[0] + s * keys[1] + i);
            }
            max = max.max(sum * scale);
            self.write(scores + s, sum * scale);
        }
        let mut total = 0.0;
        for s in 0..tokens {
            let e = (self.read(scores + s) - max).exp();
            self.write(scores + s, e);
            total += e;
        }
        for i in 0..width {
            let mut sum = 0.0;
            for s in 0..tokens {
                sum += self.read(scores + s) / total * self.read(values[0] + s * values[1] + i);
            }
            self.write(to + i, sum);
        }
    }
}

/// The naive schedule: every operator writes a buffer of its own, which is there until its last reader is
/// done; only a reshape is the same bytes under another name. For one sample, in f32.
///
/// # Errors
/// The graph is not sound.
pub fn naive(graph: &Graph) -> Result<Layout> {
    let analysis = graph.analyze(1)?;
    let mut requests: Vec<Request> = Vec::new();
    let mut of: BTreeMap<&str, usize> = BTreeMap::new();
    let bytes = |name: &str| analysis.shapes.get(name).map_or(0, |s| BYTES * s.iter().product::<usize>());
    for port in &graph.inputs {
        of.insert(&port.name, requests.len());
        requests.push(Request { bytes: bytes(&port.name), first: 0, last: 0 });
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        for request in node.inputs.iter().filter_map(|n| of.get(n.as_str())) {
            requests[*request].last = i + 1;
        }
        let same = super::lower::RESHAPES.contains(&node.op.as_str());
        let before = node.inputs.first().and_then(|n| of.get(n.as_str())).copied();
        for name in node.outputs.iter().filter(|n| !n.is_empty()) {
            let request = match before.filter(|_| same) {
                Some(request) => request,
                None => {
                    requests.push(Request { bytes: bytes(name), first: i + 1, last: i + 1 });
                    requests.len() - 1
                }
            };
            of.insert(name, request);
        }
    }
    for request in graph.outputs.iter().filter_map(|n| of.get(n.as_str())) {
        requests[*request].last = graph.nodes.len() + 1;
    }
    Ok(arena::layout(&requests))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reference;
    use crate::params::{Config, ParamValue};
    use crate::space::{self, Genome};

    fn graph(genome: &[u8], stages: i64) -> Graph {
        let on = ParamValue::Bool(true);
        let config = Config::default()
            .with("vit.stages", ParamValue::Int(stages))
            .with("vit.patch", ParamValue::Int(2))
            .with("vit.free-patch", on.clone())
            .with("vit.free-rank", on);
        space::get("vit").unwrap().graph(&config, &Genome(genome.to_vec()), &[1, 8, 8], 10).unwrap()
    }

    #[test]
    fn the_schedule_computes_what_the_graph_does_in_less_memory() {
        // Patch, rank, depth, width, heads, hidden.
        for genome in [[1, 2, 1, 2, 1, 2], [0, 2, 0, 0, 1, 0], [1, 0, 1, 1, 0, 1], [0, 1, 1, 2, 1, 0]] {
            let graph = graph(&genome, 1);
            let schedule = Schedule::new(&graph).unwrap();
            let mut model = Model::init(graph, 3);
            let mut rng = crate::rng::Rng::new(4);
            for weight in model.weights.values_mut() {
                let values = weight.to_f32().into_iter().map(|v| v + 0.1 * rng.normal()).collect();
                weight.storage = crate::model::Storage::F32(values);
            }
            for (name, param) in model.graph.params.iter().filter(|(_, p)| !p.trainable) {
                // What is fixed stays.
                let fixed = Model::init(
                    Graph { params: [(name.clone(), param.clone())].into(), ..Graph::default() },
                    0,
                );
                model.weights.insert(name.clone(), fixed.weights[name].clone());
            }
            let inputs: Vec<f32> = (0..3 * 64).map(|i| (i as f32 * 0.61).sin().abs()).collect();
            let mut have = Vec::new();
            let measured = schedule.run(&model, &inputs, &mut have).unwrap();
            let want = reference::run(&model, &inputs).unwrap();
            assert_eq!(have.len(), 30);
            for (have, want) in have.iter().zip(&want) {
                assert!((have - want).abs() < 1e-6, "{genome:?}: {have} {want}");
            }
            assert!(measured <= schedule.peak_bytes() && schedule.peak_bytes() < measured + 64);
            let naive = naive(&model.graph).unwrap().peak_bytes;
            assert!(3 * measured < 2 * naive, "{genome:?}: {measured} of {naive}");
        }
    }

    #[test]
    fn the_peak_by_hand() {
        // 64 tokens of 16 features, two heads of 8, 32 hidden: tokens, keys and values, 4 KB each, and for
        // one token norm, query, scores, answer, projection.
        let schedule = Schedule::new(&graph(&[1, 2, 1, 2, 1, 2], 1)).unwrap();
        assert_eq!(schedule.peak_bytes(), 4 * (3 * 64 * 16 + 16 + 16 + 64 + 16 + 16));
    }

    #[test]
    fn other_networks_are_refused_in_words() {
        let stages = graph(&[1, 2, 1, 2, 1, 2, 0, 0, 0, 0], 2);
        let error = Schedule::new(&stages).unwrap_err().to_string();
        assert!(error.contains("one stage"), "{error}");
        let schedule = Schedule::new(&graph(&[1, 2, 1, 2, 1, 2], 1)).unwrap();
        let model = Model::init(graph(&[1, 2, 1, 2, 1, 2], 1), 1);
        assert!(schedule.run(&model, &[0.0; 63], &mut Vec::new()).is_err());
        assert!(
            schedule.run(&Model { weights: BTreeMap::new(), ..model }, &[0.0; 64], &mut Vec::new()).is_err()
        );
    }
}
