//! What computes: the processor or the graphics processor, and a race of both.

use crate::client::{Client, GpuState};
use crate::dom::prelude::*;
use crate::state::{App, Status};
use espalier_core::protocol::{JobId, JobRequest};
use espalier_core::train::step_time::StepTimeTask;

/// The choice of engine.
#[component]
pub fn Engine() -> View {
    let app = App::get();
    let choose = move |e| {
        let gpu = event_target_value(&e) == "gpu";
        app.wants_gpu.set(gpu);
        app.client(if gpu { Client::use_gpu } else { Client::use_cpu });
    };
    let race = move |_| {
        let Ok(input) = postcard::to_allocvec(&StepTimeTask { data: "digits".into() }) else { return };
        // No run numbers its jobs so.
        let (id, kind) = (JobId(Vec::new()), StepTimeTask::KIND.to_owned());
        app.race.set(None);
        app.client(|c| c.race(JobRequest { id, label: "race".into(), kind, input }));
    };
    let busy = move || app.status.get() != Status::Idle || app.gpu.get() == GpuState::Coming;
    let told = move || {
        app.race.get().map(|(cpu, gpu)| {
            let (first, times) = if gpu < cpu { ("GPU", cpu / gpu) } else { ("CPU", gpu / cpu) };
            format!(
                "A training step (two convolutions, 64 digits): CPU {cpu:.1} ms, GPU {gpu:.1} ms. The {first} is {times:.1}× faster here, so it computes."
            )
        })
    };
    view! {
        <div class="run-set">
            <label class="field">
                <span class="small quiet">"Engine"</span>
                <select
                    title="The GPU is checked against the CPU before it is used; for small networks it is often slower"
                    prop:value=move || if app.wants_gpu.get() { "gpu" } else { "cpu" }
                    on:change=choose
                >
                    <option value="cpu">"CPU"</option>
                    <option value="gpu">"GPU"</option>
                </select>
            </label>
            <button
                type="button"
                title="Times one training step on each and stays with the faster one"
                disabled=busy
                on:click=race
            >
                "Race"
            </button>
        </div>
        <p class="small" role="status" id="race">{told}</p>
    }
}
