//! The page's side of the engine: one coordinator that decides, a pool of workers that compute.
//!
//! The page owns the run's log of delivered results. A worker that dies is replaced and its job
//! sent again; a coordinator that dies is replaced and brought to where it was by the log
//! (see `espalier_core::run`), whose events up to there are skipped, since they were shown.
//!
//! Where the visitor asks for the GPU, one worker of another engine computes in place of the others, once it
//! has been held against the CPU. Whatever it dies of, the CPU's workers take its job and the run goes on.

mod ask;
mod gpu;
mod module;

pub use gpu::GpuState;

use espalier_core::protocol::{Command, Event, JobId, JobOutcome, JobProgress, JobRequest, Reply, RunSpec};
use gpu::Race;
use js_sys::{Array, Function, Object, Reflect, Uint8Array};
use module::{Module, compile};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageEvent, Worker, WorkerOptions, WorkerType};

/// A busy worker that says nothing for so long is taken for dead.
const SILENCE_MS: f64 = 30_000.0;
/// The same for the GPU's worker: it says nothing while a driver compiles shaders.
const SILENCE_GPU_MS: f64 = 120_000.0;
/// A cancelled job that has not ended by then is ended with its worker.
const DRAIN_MS: f64 = 400.0;
/// The same for the GPU's worker, which takes much longer to replace.
const DRAIN_GPU_MS: f64 = 5_000.0;
/// How often the pool looks after itself.
const TICK_MS: i32 = 100;
/// A job that ended so many workers is not tried again.
const MAX_DEATHS: usize = 2;

/// An engine that failed to start so often in a row is given up.
const MAX_FAILED_STARTS: u32 = 4;

/// What the pool tells the page.
pub enum News {
    /// The engine arrives, is there, or cannot be had.
    Engine(EngineState),
    /// The run's own stream.
    Event(Event),
    /// A job has news: its id, its label, how far it is.
    Progress(JobId, String, JobProgress),
    /// A job has ended.
    JobDone(JobId),
    /// The run is over.
    Ended,
    /// The GPU's part in this has changed.
    Gpu(GpuState),
    /// Milliseconds that a training step takes on the CPU and on the GPU.
    Race(f64, f64),
    /// Something went wrong and was mended, in words.
    Mended(String),
}

/// Whether there is something to compute with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineState {
    /// On its way.
    Loading,
    /// What it computes on and how many workers.
    Ready(String, usize),
    /// It cannot be had, in words.
    Failed(String),
}

struct Slot {
    worker: Worker,
    gpu: bool,
    generation: u32,
    ready: bool,
    job: Option<JobRequest>,
    /// Since when a cancelled job is awaited.
    draining: Option<f64>,
    seen_ms: f64,
    last_words: Option<String>,
    _closures: [Closure<dyn FnMut(MessageEvent)>; 2],
}

impl Slot {
    /// Ends its worker.
    fn end(&self) {
        self.worker.set_onmessage(None);
        // An error of it may be on its way already. Nobody waits for it; unheard, it would be the page's own.
        let hush = Closure::<dyn FnMut(web_sys::Event)>::new(|event: web_sys::Event| event.prevent_default());
        self.worker.set_onerror(Some(hush.into_js_value().unchecked_ref()));
        self.worker.terminate();
    }

    fn send(&self, command: &Command) {
        let Ok(bytes) = postcard::to_allocvec(command) else { return };
        let array = Uint8Array::from(bytes.as_slice());
        let _ = self.worker.post_message_with_transfer(&array, &Array::of1(&array.buffer()));
    }
}

struct Run {
    number: u64,
    spec: RunSpec,
    log: Vec<(JobId, JobOutcome)>,
    arrived: VecDeque<(JobId, JobOutcome)>,
    queue: VecDeque<JobRequest>,
    /// The job of every worker that died.
    deaths: Vec<JobId>,
    seen_events: usize,
    skip_events: usize,
    restarts: u32,
    paused: bool,
    stepping: bool,
    delay_ms: f64,
    delivered_ms: f64,
}

#[derive(Default)]
struct State {
    build: String,
    module: Option<Module>,
    gpu_module: Option<Module>,
    gpu: GpuState,
    race: Option<Race>,
    size: usize,
    /// The coordinator is slot 0.
    slots: Vec<Slot>,
    generation: u32,
    /// By their names.
    data: Vec<(String, Command)>,
    run: Option<Run>,
    runs: u64,
    /// Which run each command to the coordinator belonged to that it has not answered yet: it
    /// answers in order, so an old run's answer is never taken for the new one's.
    awaited: VecDeque<u64>,
    /// Questions to the coordinator.
    asks: ask::Asks,
    engine: String,
    failed_starts: u32,
    ticked_ms: f64,
    delay_ms: f64,
    news: Vec<News>,
}

/// The pool. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    state: Rc<RefCell<State>>,
    tell: Rc<dyn Fn(News)>,
}

fn now_ms() -> f64 {
    web_sys::window().and_then(|w| w.performance()).map_or(0.0, |p| p.now())
}

impl Client {
    /// A pool of `size` workers that are started when the engine has arrived; `tell` hears all.
    pub fn new(size: usize, tell: impl Fn(News) + 'static) -> Self {
        let state = State { size: size.clamp(1, 8), ..State::default() };
        let client = Self { state: Rc::new(RefCell::new(state)), tell: Rc::new(tell) };
        let ticking = client.clone();
        let tick = Closure::<dyn FnMut()>::new(move || ticking.tick());
        if let Some(window) = web_sys::window() {
            let f: &Function = tick.as_ref().unchecked_ref();
            let _ = window.set_interval_with_callback_and_timeout_and_arguments_0(f, TICK_MS);
        }
        tick.forget();
        client
    }

    /// Fetches and compiles the engine, once, and starts the workers.
    pub fn load(&self, build: &str) {
        (self.tell)(News::Engine(EngineState::Loading));
        self.with(|s| s.build = build.into());
        let (client, build) = (self.clone(), build.to_owned());
        spawn_local(async move {
            match compile(&build, "engine").await {
                Ok(module) => {
                    client.with(|s| s.module = Some(module));
                    client.fill();
                }
                Err(text) => {
                    client.failed(format!(
                        "The engine could not be loaded ({text}). Reload the page to try again."
                    ));
                }
            }
        });
    }

    /// Gives every worker a data set.
    pub fn data(&self, name: &str, format: &str, bytes: Vec<u8>) {
        let command = Command::Data { name: name.into(), format: format.into(), bytes };
        self.with(|s| {
            s.slots.iter().filter(|slot| slot.ready).for_each(|slot| slot.send(&command));
            s.data.retain(|(other, _)| other != name);
            s.data.push((name.into(), command));
        });
    }

    /// Starts a run in place of the current one.
    pub fn start(&self, spec: RunSpec) {
        self.stop();
        self.with(|s| {
            s.runs += 1;
            let run = Run {
                number: s.runs,
                spec,
                log: Vec::new(),
                arrived: VecDeque::new(),
                queue: VecDeque::new(),
                deaths: Vec::new(),
                seen_events: 0,
                skip_events: 0,
                restarts: 0,
                paused: false,
                stepping: false,
                delay_ms: s.delay_ms,
                delivered_ms: now_ms(),
            };
            s.run = Some(run);
            s.resume_coordinator();
        });
    }

    /// Holds every job at its next checkpoint and delivers nothing.
    pub fn pause(&self) {
        self.with(|s| {
            if let Some(run) = &mut s.run {
                (run.paused, run.stepping) = (true, false);
                s.workers(&Command::Pause);
            }
        });
    }

    /// Goes on.
    pub fn resume(&self) {
        self.with(|s| {
            if let Some(run) = &mut s.run {
                (run.paused, run.stepping) = (false, false);
                s.workers(&Command::Resume);
                s.advance();
            }
        });
    }

    /// Goes on until one more result has been taken in.
    pub fn step(&self) {
        self.with(|s| {
            if let Some(run) = &mut s.run {
                (run.paused, run.stepping) = (true, true);
                // Until `advance` has taken one result in, and holds them again.
                s.workers(&Command::Resume);
                s.advance();
            }
        });
    }

    /// Waits so long between results; 0 is full speed.
    pub fn slow(&self, delay_ms: f64) {
        self.with(|s| {
            s.delay_ms = delay_ms;
            if let Some(run) = &mut s.run {
                run.delay_ms = delay_ms;
            }
        });
    }

    /// Another number of workers. A job of a worker that goes is computed again by another.
    pub fn resize(&self, size: usize) {
        self.with(|s| {
            s.size = size.clamp(1, 8);
            while s.cpus() > s.wanted() {
                let Some(index) = s.slots.iter().rposition(|slot| !slot.gpu) else { break };
                s.retire(index);
            }
            s.report();
        });
        self.fill();
    }

    /// Gives the run up. What it told stays.
    pub fn stop(&self) {
        self.with(|s| {
            if s.run.take().is_none() && s.race.take().is_none() {
                return;
            }
            s.race = None;
            for slot in s.slots.iter_mut().skip(1) {
                slot.send(&Command::Resume);
                if slot.job.take().is_some() {
                    slot.send(&Command::Cancel);
                    slot.draining = Some(now_ms());
                }
            }
        });
    }

    /// Runs `f` on the state, then tells what came of it, when nothing is borrowed any more.
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let (value, news) = {
            let mut state = self.state.borrow_mut();
            let value = f(&mut state);
            (value, std::mem::take(&mut state.news))
        };
        news.into_iter().for_each(|n| (self.tell)(n));
        value
    }

    /// There is nothing to compute with, in words.
    fn failed(&self, text: String) {
        self.with(|s| {
            s.asks.give_up(&text);
            s.news.push(News::Engine(EngineState::Failed(text)));
        });
    }

    /// Starts missing workers.
    fn fill(&self) {
        loop {
            // Where, and whether it is the GPU's, which stands last.
            let missing = self.with(|s| {
                if s.module.is_none() || s.failed_starts >= MAX_FAILED_STARTS {
                    return None;
                }
                if s.cpus() < s.wanted() {
                    return Some((s.cpus(), false));
                }
                let gpu_is_there = s.slots.iter().any(|slot| slot.gpu);
                (s.gpu == GpuState::Coming && s.gpu_module.is_some() && !gpu_is_there)
                    .then_some((s.slots.len(), true))
            });
            let Some((index, gpu)) = missing else { return };
            match self.spawn(gpu) {
                Some(slot) => self.with(|s| s.slots.insert(index, slot)),
                None => return,
            }
        }
    }

    fn spawn(&self, gpu: bool) -> Option<Slot> {
        let (url, message, generation) = self.with(|s| {
            s.generation += 1;
            let module = if gpu { s.gpu_module.as_ref()? } else { s.module.as_ref()? };
            let message = Object::new();
            let _ = Reflect::set(&message, &"js".into(), &module.js.as_str().into());
            let _ = Reflect::set(&message, &"module".into(), &module.compiled);
            Some((module.worker.clone(), message, s.generation))
        })?;
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = match Worker::new_with_options(&url, &options) {
            Ok(worker) => worker,
            Err(error) => {
                self.failed(format!("This browser refuses to start a worker: {error:?}"));
                return None;
            }
        };
        let client = self.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let bytes = Uint8Array::new(&event.data()).to_vec();
            match postcard::from_bytes::<Reply>(&bytes) {
                Ok(reply) => client.hear(generation, reply),
                Err(error) => client.died(generation, &format!("it sent what cannot be read ({error})")),
            }
        });
        let client = self.clone();
        let on_error = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            event.prevent_default();
            let text = Reflect::get(&event, &"message".into()).ok().and_then(|m| m.as_string());
            client.died(generation, text.as_deref().unwrap_or("it could not be started"));
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        let _ = worker.post_message(&message);
        Some(Slot {
            worker,
            gpu,
            generation,
            ready: false,
            job: None,
            draining: None,
            seen_ms: now_ms(),
            last_words: None,
            _closures: [on_message, on_error],
        })
    }

    fn hear(&self, generation: u32, reply: Reply) {
        self.with(|s| {
            let Some(index) = s.slots.iter().position(|slot| slot.generation == generation) else { return };
            s.slots[index].seen_ms = now_ms();
            s.hear(index, reply);
        });
    }

    /// A worker is gone: another takes its place, and its job.
    fn died(&self, generation: u32, why: &str) {
        let found = self.with(|s| {
            let index = s.slots.iter().position(|slot| slot.generation == generation)?;
            let slot = s.slots.remove(index);
            slot.end();
            if slot.gpu {
                s.mourn_gpu(slot, why);
                return Some((None, true));
            }
            s.mourn(index, slot, why);
            Some((Some(index), s.failed_starts < MAX_FAILED_STARTS))
        });
        let Some((index, worth_it)) = found else { return };
        let Some(index) = index else {
            // The CPU's workers take the GPU's place.
            return self.fill();
        };
        // In the same place: the first one is the coordinator.
        match worth_it.then(|| self.spawn(false)).flatten() {
            Some(slot) => self.with(|s| s.slots.insert(index, slot)),
            None => self.with(|s| s.slots.drain(..).for_each(|slot| slot.end())),
        }
    }

    fn tick(&self) {
        let now = now_ms();
        let dead = self.with(|s| {
            // After a sleep of the machine everyone has been silent, and nobody is dead.
            if now - std::mem::replace(&mut s.ticked_ms, now) > 5_000.0 {
                s.slots.iter_mut().for_each(|slot| slot.seen_ms = now);
            }
            s.advance();
            let paused = s.run.as_ref().is_some_and(|r| r.paused && !r.stepping);
            let mut dead = None;
            for slot in &mut s.slots {
                let silent = slot.job.is_some()
                    && !paused
                    && now - slot.seen_ms > if slot.gpu { SILENCE_GPU_MS } else { SILENCE_MS };
                let stuck = slot
                    .draining
                    .is_some_and(|since| now - since > if slot.gpu { DRAIN_GPU_MS } else { DRAIN_MS });
                if paused {
                    slot.seen_ms = now;
                }
                if silent || stuck {
                    let why = match (stuck, slot.gpu) {
                        (false, _) => "it was silent for too long",
                        (true, true) => "it did not stop when it was asked to",
                        // Nobody needs to know: another takes its place.
                        (true, false) => "",
                    };
                    dead = Some((slot.generation, why));
                }
            }
            dead
        });
        if let Some((generation, why)) = dead {
            self.died(generation, why);
        }
    }
}

/// Takes the next result that is due: results of one line of work go to the run in the order of its jobs, so
/// that each one moves it on, and a step shows exactly one.
fn take_due<'a>(
    arrived: &mut VecDeque<(JobId, JobOutcome)>,
    pending: impl Iterator<Item = &'a JobRequest>,
) -> Option<(JobId, JobOutcome)> {
    let pending: Vec<&JobId> = pending.map(|job| &job.id).collect();
    let earlier = |a: &JobId, b: &JobId| {
        let line = |id: &JobId| id.0.split_last().map(|(_, line)| line.to_vec());
        line(a) == line(b) && a < b
    };
    let due = (0..arrived.len()).find(|i| {
        let id = &arrived[*i].0;
        !pending.iter().copied().chain(arrived.iter().map(|(other, _)| other)).any(|other| earlier(other, id))
    })?;
    arrived.remove(due)
}

impl State {
    /// Workers of the CPU engine, the coordinator included.
    fn cpus(&self) -> usize {
        self.slots.iter().filter(|slot| !slot.gpu).count()
    }

    /// How many of them there should be.
    fn wanted(&self) -> usize {
        if self.gpu == GpuState::On { 1 } else { self.size + 1 }
    }

    /// Lets a worker go; its job waits for another.
    fn retire(&mut self, index: usize) {
        let slot = self.slots.remove(index);
        slot.end();
        if let (Some(job), Some(run)) = (slot.job, &mut self.run) {
            run.queue.push_front(job);
        }
    }

    /// Tells what computes, if anything does.
    fn report(&mut self) {
        let ready = self.slots.iter().skip(1).filter(|s| s.ready).count();
        if ready > 0 && self.slots[0].ready {
            self.news.push(News::Engine(EngineState::Ready(self.engine.clone(), ready)));
        }
    }

    /// To every worker that computes.
    fn workers(&self, command: &Command) {
        self.slots.iter().skip(1).for_each(|slot| slot.send(command));
    }

    /// Brings the coordinator to where the log takes it, if it is there.
    fn resume_coordinator(&mut self) {
        if let (Some(run), Some(slot)) = (&mut self.run, self.slots.first())
            && slot.ready
        {
            run.skip_events = run.skip_events.max(run.seen_events);
            run.seen_events = 0;
            slot.send(&Command::Start { spec: run.spec.clone(), log: run.log.clone() });
            self.awaited.push_back(run.number);
        }
    }

    fn hear(&mut self, index: usize, reply: Reply) {
        match reply {
            Reply::Ready(text) => {
                self.slots[index].ready = true;
                self.failed_starts = 0;
                // The coordinator is a worker of the CPU engine; it computes nothing.
                if index > 0 {
                    self.engine = text;
                }
                let slot = &self.slots[index];
                self.data.iter().for_each(|(_, data)| slot.send(data));
                if index == 0 {
                    self.resume_coordinator();
                    self.ask_all();
                } else if self.run.as_ref().is_some_and(|r| r.paused) {
                    slot.send(&Command::Pause);
                }
                if self.slots[index].gpu {
                    self.gpu_takes_over();
                }
                self.report();
                self.advance();
                self.advance_race();
            }
            Reply::Decided { events, jobs, finished } => {
                let number = self.awaited.pop_front();
                let Some(run) = self.run.as_mut().filter(|r| Some(r.number) == number) else { return };
                for event in events {
                    run.seen_events += 1;
                    if run.seen_events > run.skip_events {
                        self.news.push(News::Event(event));
                    }
                }
                let running: Vec<&JobId> =
                    self.slots.iter().filter_map(|s| s.job.as_ref().map(|j| &j.id)).collect();
                for job in jobs {
                    let known = running.contains(&&job.id)
                        || run.queue.iter().any(|q| q.id == job.id)
                        || run.arrived.iter().any(|(id, _)| *id == job.id);
                    if !known {
                        run.queue.push_back(job);
                    }
                }
                if finished {
                    self.run = None;
                    self.news.push(News::Ended);
                }
                self.advance();
            }
            Reply::Progress(id, progress) => {
                let slot = &self.slots[index];
                if let Some(job) = slot.job.as_ref().filter(|j| j.id == id) {
                    self.news.push(News::Progress(id, job.label.clone(), progress));
                }
            }
            Reply::Done(id, outcome) => {
                let slot = &mut self.slots[index];
                slot.draining = None;
                // A race is no part of a run.
                if self.race.as_ref().is_some_and(|race| race.request.id == id) {
                    slot.job = None;
                    let gpu = slot.gpu;
                    return self.raced(gpu, &outcome);
                }
                if slot.job.as_ref().is_some_and(|j| j.id == id) {
                    slot.job = None;
                    if let Some(run) = &mut self.run {
                        run.arrived.push_back((id.clone(), outcome));
                    }
                    self.news.push(News::JobDone(id));
                }
                self.advance();
            }
            Reply::Answer(number, answer) => self.asks.answered(number, answer),
            Reply::Failed(text) => {
                self.slots[index].last_words = Some(text);
            }
        }
    }

    /// Delivers what has arrived and hands out what waits, as far as pause, step and speed allow.
    fn advance(&mut self) {
        let now = now_ms();
        let Some(run) = &mut self.run else { return };
        let Some((coordinator, workers)) = self.slots.split_first_mut() else { return };
        while coordinator.ready
            && (!run.paused || run.stepping)
            && now - run.delivered_ms >= run.delay_ms
            && let Some((id, outcome)) = take_due(
                &mut run.arrived,
                run.queue.iter().chain(workers.iter().filter_map(|w| w.job.as_ref())),
            )
        {
            coordinator.send(&Command::Deliver { id: id.clone(), outcome: outcome.clone() });
            self.awaited.push_back(run.number);
            run.log.push((id, outcome));
            run.delivered_ms = now;
            if std::mem::take(&mut run.stepping) {
                workers.iter().for_each(|w| w.send(&Command::Pause));
            }
        }
        for slot in workers.iter_mut().filter(|w| w.ready && w.job.is_none() && w.draining.is_none()) {
            let Some(job) = run.queue.pop_front() else { break };
            slot.seen_ms = now;
            slot.send(&Command::Compute(job.clone()));
            slot.job = Some(job);
        }
    }

    fn mourn(&mut self, index: usize, slot: Slot, why: &str) {
        let why = slot.last_words.as_deref().unwrap_or(why);
        if !slot.ready {
            self.failed_starts += 1;
            if self.failed_starts >= MAX_FAILED_STARTS {
                let text = format!("The engine does not start here: {why}. Reload the page to try again.");
                self.asks.give_up(&text);
                self.news.push(News::Engine(EngineState::Failed(text)));
                return;
            }
        }
        if index == 0 {
            self.asks.mourn(why);
            self.awaited.clear();
            let Some(run) = &mut self.run else { return };
            run.restarts += 1;
            if run.restarts > 3 {
                self.run = None;
                self.news.push(News::Event(Event::Error(format!(
                    "The run ended its engine three times ({why}), so it was given up. What it found is kept."
                ))));
                self.news.push(News::Ended);
            } else {
                self.news.push(News::Mended(format!(
                    "The engine stopped ({why}). It was started again and the run goes on from its last result."
                )));
            }
            return;
        }
        let (Some(job), Some(run)) = (slot.job, &mut self.run) else { return };
        run.deaths.push(job.id.clone());
        if run.deaths.iter().filter(|id| **id == job.id).count() >= MAX_DEATHS {
            let message = format!("“{}” ended its worker twice: {why}", job.label);
            self.news.push(News::Mended(format!("{message}. It counts as failed; the run goes on.")));
            run.arrived.push_back((job.id, Err(message)));
        } else {
            self.news.push(News::Mended(format!(
                "A worker stopped during “{}” ({why}). Another one computes it again.",
                job.label
            )));
            run.queue.push_front(job);
        }
    }
}
