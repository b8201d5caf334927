//! The GPU's part in the pool: asked for, found, fetched, checked, trusted, and left when it fails; and the race
//! of both engines.

use super::module::compile;
use super::{Client, News, Slot, State, now_ms};
use espalier_core::protocol::{Command, JobOutcome, JobRequest};
use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

/// The GPU's part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum GpuState {
    /// Nobody asked for it.
    #[default]
    Off,
    /// It is being fetched and checked; the CPU computes meanwhile.
    Coming,
    /// It computes.
    On,
    /// It was asked for and cannot be used, in words; the CPU computes.
    Refused(String),
}

/// A race of both engines, once the GPU is there: one training step, each in its turn.
#[derive(Clone)]
pub(super) struct Race {
    pub(super) request: JobRequest,
    cpu_ms: Option<f64>,
    started: bool,
}

impl Client {
    /// Computes on the GPU, once it has been found, fetched and checked; until then, and where that fails, on
    /// the CPU.
    pub fn use_gpu(&self) {
        let asked = self.with(|s| {
            if matches!(s.gpu, GpuState::Coming | GpuState::On) {
                return false;
            }
            s.set_gpu(GpuState::Coming);
            true
        });
        if !asked {
            return;
        }
        let client = self.clone();
        spawn_local(async move {
            // Nothing of the GPU engine is fetched before the browser has shown an adapter that will do.
            let refusal = refusal().await;
            let known = client.with(|s| s.gpu_module.clone());
            let build = client.with(|s| s.build.clone());
            let module = match (refusal, known) {
                (Some(why), _) => Err(why),
                (None, Some(module)) => Ok(module),
                (None, None) => compile(&build, "gpu").await,
            };
            match module {
                Ok(module) => {
                    client.with(|s| s.gpu_module = Some(module));
                    client.fill();
                }
                Err(why) if client.with(|s| s.gpu == GpuState::Coming) => client.leave_gpu(Some(why)),
                // The visitor has chosen the CPU meanwhile.
                Err(_) => {}
            }
        });
    }

    /// Computes on the CPU.
    pub fn use_cpu(&self) {
        self.leave_gpu(None);
    }

    fn leave_gpu(&self, why: Option<String>) {
        self.with(|s| {
            s.race = None;
            match why {
                Some(why) => s.refuse(why),
                None => s.set_gpu(GpuState::Off),
            }
            while let Some(index) = s.slots.iter().position(|slot| slot.gpu) {
                s.retire(index);
            }
        });
        self.fill();
        self.with(State::report);
    }

    /// Times a training step on both engines, one after the other, and stays with the faster one.
    /// `request` is the measurement; it must not be part of a run.
    pub fn race(&self, request: JobRequest) {
        self.with(|s| {
            if s.run.is_none() {
                s.race = Some(Race { request, cpu_ms: None, started: false });
            }
        });
        self.use_gpu();
        self.with(State::advance_race);
    }
}

impl State {
    pub(super) fn set_gpu(&mut self, gpu: GpuState) {
        self.gpu = gpu.clone();
        self.news.push(News::Gpu(gpu));
    }

    /// The GPU's worker is ready: the others make way.
    pub(super) fn gpu_takes_over(&mut self) {
        self.set_gpu(GpuState::On);
        while let Some(index) = self.slots.iter().skip(1).position(|slot| !slot.gpu) {
            self.retire(index + 1);
        }
    }

    /// The GPU's worker is gone, for a reason in words: it is not started again unasked.
    pub(super) fn mourn_gpu(&mut self, slot: Slot, why: &str) {
        let why = slot.last_words.as_deref().unwrap_or(why).to_owned();
        if let (Some(job), Some(run)) = (slot.job, &mut self.run) {
            run.queue.push_front(job);
        }
        self.race = None;
        self.refuse(why);
    }

    fn refuse(&mut self, why: String) {
        let goes_on = if self.run.is_some() { ", and the run goes on" } else { "" };
        self.news.push(News::Mended(format!("The GPU is not used: {why}. The CPU computes{goes_on}.")));
        self.set_gpu(GpuState::Refused(why));
    }

    /// Starts a race that waits, and hands its measurement on.
    pub(super) fn advance_race(&mut self) {
        let Some(race) = &mut self.race else { return };
        let Some((coordinator, workers)) = self.slots.split_first_mut() else { return };
        let Some(gpu) = workers.iter_mut().find(|slot| slot.gpu && slot.ready && slot.job.is_none()) else {
            return;
        };
        match race.cpu_ms {
            None if !race.started && coordinator.ready => {
                race.started = true;
                coordinator.send(&Command::Compute(race.request.clone()));
            }
            Some(_) => {
                gpu.seen_ms = now_ms();
                gpu.send(&Command::Compute(race.request.clone()));
                gpu.job = Some(race.request.clone());
            }
            None => {}
        }
    }

    /// A racer has arrived.
    pub(super) fn raced(&mut self, gpu: bool, outcome: &JobOutcome) {
        let Some(mut race) = self.race.take() else { return };
        let time = outcome
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|bytes| postcard::from_bytes::<f64>(bytes).map_err(|e| e.to_string()));
        match (time, race.cpu_ms) {
            (Err(why), _) => self.news.push(News::Mended(format!("The race was given up: {why}."))),
            (Ok(gpu_ms), Some(cpu_ms)) if gpu => self.news.push(News::Race(cpu_ms, gpu_ms)),
            (Ok(cpu_ms), _) => {
                race.cpu_ms = Some(cpu_ms);
                self.race = Some(race);
                self.advance_race();
            }
        }
    }
}

/// Why the GPU cannot be used here, in words; `None` where it can. The question itself is in `boot.js`: a few
/// words there, many bindings here.
async fn refusal() -> Option<String> {
    let ask = || {
        let question = Reflect::get(&js_sys::global(), &"gpuRefusal".into()).ok()?;
        question.dyn_ref::<Function>()?.call0(&JsValue::NULL).ok()?.dyn_into::<Promise>().ok()
    };
    let unknown = || Some("this browser does not say whether it has one".to_owned());
    match ask() {
        Some(answer) => match JsFuture::from(answer).await {
            Ok(why) => why.as_string().filter(|why| !why.is_empty()),
            Err(_) => unknown(),
        },
        None => unknown(),
    }
}
