//! A model made ready to run again and again: kernels chosen, weights packed, every tensor's place
//! in one arena known. Running allocates nothing.

use super::arena::{self, Arena, Layout, Request, View};
use super::kernels::elementwise::Quantize;
use super::kernels::{Affine, Dtype, Io};
use super::lower::{self, Program};
use super::reference::wrong_input;
use crate::model::Model;
use crate::{Error, Result};

/// See the module.
#[derive(Debug)]
pub struct Plan {
    model_name: String,
    batch: usize,
    program: Program,
    /// Views of each step: reads, writes, scratch.
    views: Vec<(Vec<View>, Vec<View>, View)>,
    tensor_views: Vec<View>,
    arena: Arena,
    requests: Vec<Request>,
    layout: Layout,
}

/// One step, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInfo {
    /// The node it belongs to.
    pub node: String,
    /// The node's operator.
    pub op: String,
    /// What runs.
    pub kernel: &'static str,
    /// In what numbers.
    pub dtype: Dtype,
    /// Nodes fused into it.
    pub fused: Vec<String>,
    /// Whether it writes over its own input.
    pub in_place: bool,
}

/// An activation while a plan runs.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// Reals.
    F32(&'a [f32]),
    /// Integers and their grid (unsigned 8-bit grids are moved by 128).
    I8(&'a [i8], Affine),
}

impl Plan {
    /// Plans a model for `batch` samples at a time.
    ///
    /// # Errors
    /// The model is not sound ([`Model::check`]), `batch` is 0, the graph has several inputs, or an
    /// activation's grid cannot be used.
    pub fn new(model: &Model, batch: usize) -> Result<Self> {
        model.check()?;
        if batch == 0 {
            return Err(Error::Unsupported("a plan is for at least one sample".into()));
        }
        let program = lower::lower(model, batch)?;
        let (storage, mut requests) = storages(&program);
        let tensors = requests.len();
        for (i, step) in program.steps.iter().enumerate() {
            requests.push(Request { bytes: step.kernel.scratch_bytes(), first: i + 1, last: i + 1 });
        }
        let layout = arena::layout(&requests);
        let view = |t: usize| View { offset: layout.offsets[storage[t]], bytes: program.tensors[t].bytes() };
        let views = program
            .steps
            .iter()
            .enumerate()
            .map(|(i, s)| {
                let scratch =
                    View { offset: layout.offsets[tensors + i], bytes: requests[tensors + i].bytes };
                let all = |ts: &[usize]| ts.iter().map(|t| view(*t)).collect();
                (all(&s.reads), all(&s.writes), scratch)
            })
            .collect();
        let tensor_views = (0..program.tensors.len()).map(view).collect();
        let arena = Arena::new(layout.peak_bytes);
        Ok(Self {
            model_name: model.graph.name.clone(),
            batch,
            program,
            views,
            tensor_views,
            arena,
            requests,
            layout,
        })
    }

    /// Bytes of the arena: all activations and scratch, known before anything runs. Packed weights
    /// are apart.
    pub fn peak_bytes(&self) -> usize {
        self.layout.peak_bytes
    }

    /// Samples at a time.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Values that [`Self::run`] takes.
    pub fn input_len(&self) -> usize {
        self.program.tensors[self.program.input].shape.iter().product()
    }

    /// The places: what was asked for and where it lies.
    pub fn memory(&self) -> (&[Request], &Layout) {
        (&self.requests, &self.layout)
    }

    /// What runs, in order.
    pub fn describe(&self) -> Vec<StepInfo> {
        let steps = self.program.steps.iter().zip(&self.views);
        steps
            .map(|(s, (reads, writes, _))| StepInfo {
                node: s.node.0.clone(),
                op: s.node.1.clone(),
                kernel: s.kernel.name(),
                dtype: s.kernel.dtype(),
                fused: s.fused.clone(),
                in_place: s.in_place && reads[0].offset == writes[0].offset,
            })
            .collect()
    }

    /// Runs on `batch` samples; `output` becomes the graph's first output.
    ///
    /// # Errors
    /// The input's length is not that of `batch` samples.
    pub fn run(&mut self, input: &[f32], output: &mut Vec<f32>) -> Result<()> {
        self.run_observed(input, output, &mut |_, _, _| {})
    }

    /// Runs, and shows `observe` every activation when it is made: its name, shape and values.
    /// What was fused away is not seen; what was converted is seen in both forms.
    ///
    /// # Errors
    /// The input's length is not that of `batch` samples.
    pub fn run_observed(
        &mut self,
        input: &[f32],
        output: &mut Vec<f32>,
        observe: &mut dyn FnMut(&str, &[usize], Seen),
    ) -> Result<()> {
        let program = &self.program;
        let first = &program.tensors[program.input];
        let want: usize = first.shape.iter().product();
        if input.len() != want {
            return Err(Error::Graph {
                graph: self.model_name.clone(),
                message: format!(
                    "the input “{}” holds {} values where {want} belong ({} samples)",
                    first.name,
                    input.len(),
                    self.batch
                ),
            });
        }
        let base = self.arena.base();
        let view = self.tensor_views[program.input];
        // SAFETY: the view lies in this arena, and nothing else uses it now.
        match first.grid {
            Some(grid) => Quantize(grid).apply(input, unsafe { view.write(base) }),
            None => unsafe { view.write::<f32>(base) }.copy_from_slice(input),
        }
        let seen = |t: usize| {
            // SAFETY: as above; the slice ends before the next step runs.
            unsafe {
                match program.tensors[t].grid {
                    Some(grid) => Seen::I8(self.tensor_views[t].read(base), grid),
                    None => Seen::F32(self.tensor_views[t].read(base)),
                }
            }
        };
        observe(&first.name, &first.shape, seen(program.input));
        for (step, (reads, writes, scratch)) in program.steps.iter().zip(&self.views) {
            // SAFETY: the layout gives tensors that are alive together places apart (tested for
            // every layout), and a write shares a read's place only where the kernel allows it.
            step.kernel.run(&unsafe { Io::new(base, reads, writes, *scratch) });
            for t in &step.writes {
                observe(&program.tensors[*t].name, &program.tensors[*t].shape, seen(*t));
            }
        }
        output.clear();
        match program.outputs.first().map(|t| seen(*t)) {
            Some(Seen::F32(values)) => output.extend_from_slice(values),
            Some(Seen::I8(values, grid)) => output.extend(values.iter().map(|q| grid.dequantize(*q))),
            None => {}
        }
        Ok(())
    }

    /// Runs one step so many times on what lies in the arena, to be timed. What it writes is overwritten by the next
    /// [`Self::run`]. Nothing where there is no such step.
    pub fn repeat_step(&mut self, index: usize, times: u32) {
        let base = self.arena.base();
        let Some((step, (reads, writes, scratch))) = self.program.steps.iter().zip(&self.views).nth(index)
        else {
            return;
        };
        for _ in 0..times {
            // SAFETY: as in `run_observed`.
            step.kernel.run(&unsafe { Io::new(base, reads, writes, *scratch) });
        }
    }

    /// Shapes of what each step reads and writes.
    pub fn step_shapes(&self) -> Vec<(Vec<Vec<usize>>, Vec<Vec<usize>>)> {
        let shapes =
            |tensors: &[usize]| tensors.iter().map(|t| self.program.tensors[*t].shape.clone()).collect();
        self.program.steps.iter().map(|s| (shapes(&s.reads), shapes(&s.writes))).collect()
    }

    /// Runs on any number of samples, in batches; the last one is padded with zeros.
    ///
    /// # Errors
    /// The input's length is not that of whole samples.
    pub fn run_all(&mut self, input: &[f32]) -> Result<Vec<f32>> {
        let first = &self.program.tensors[self.program.input];
        let len = self.input_len();
        let sample = len / self.batch;
        if sample == 0 || !input.len().is_multiple_of(sample) {
            let name = first.name.clone();
            return Err(wrong_input(&self.model_name, &name, input.len(), sample));
        }
        let mut all = Vec::new();
        let (mut padded, mut output) = (Vec::new(), Vec::new());
        for chunk in input.chunks(len) {
            if chunk.len() == len {
                self.run(chunk, &mut output)?;
            } else {
                padded.clear();
                padded.extend_from_slice(chunk);
                padded.resize(len, 0.0);
                self.run(&padded, &mut output)?;
                output.truncate(output.len() / self.batch * (chunk.len() / sample));
            }
            all.extend_from_slice(&output);
        }
        Ok(all)
    }
}

/// Which storage each tensor has (tensors written in place share one), and when each storage is
/// alive. Step 0 fills the input; step i + 1 is the program's step i; outputs outlive them all.
fn storages(program: &Program) -> (Vec<usize>, Vec<Request>) {
    let end = program.steps.len() + 1;
    let mut last = vec![0; program.tensors.len()];
    for (i, step) in program.steps.iter().enumerate() {
        step.reads.iter().chain(&step.writes).for_each(|t| last[*t] = i + 1);
    }
    program.outputs.iter().for_each(|t| last[*t] = end);
    let mut storage = vec![usize::MAX; program.tensors.len()];
    let mut requests = vec![Request { bytes: program.tensors[program.input].bytes(), first: 0, last: 0 }];
    storage[program.input] = 0;
    requests[0].last = last[program.input];
    for (i, step) in program.steps.iter().enumerate() {
        for (w, t) in step.writes.iter().enumerate() {
            let shared = step.reads.first().filter(|r| {
                w == 0
                    && step.in_place
                    && last[**r] == i + 1
                    && !step.reads[1..].contains(*r)
                    && program.tensors[**r].bytes() == program.tensors[*t].bytes()
            });
            storage[*t] = match shared {
                Some(r) => {
                    let s = storage[*r];
                    requests[s].last = requests[s].last.max(last[*t]);
                    s
                }
                None => {
                    let bytes = program.tensors[*t].bytes();
                    requests.push(Request { bytes, first: i + 1, last: last[*t].max(i + 1) });
                    requests.len() - 1
                }
            };
        }
    }
    // A tensor that was made for nothing never ran; it has no bytes to place.
    storage.iter_mut().filter(|s| **s == usize::MAX).for_each(|s| *s = 0);
    (storage, requests)
}
