//! Play, pause, step, stop, reset, speed, seed, and how far the run is.

use crate::client::EngineState;
use crate::components::{Progress, tone_class};
use crate::dom::prelude::*;
use crate::panels::engine::Engine;
use crate::state::{App, Status, now_ms};
use espalier_core::protocol::Tone;

/// The controls of a run kind.
#[component]
pub fn Transport(
    /// The kind of run.
    #[prop(into)]
    kind: String,
    /// What it does, as a tip on the button that starts it.
    go: &'static str,
    /// Its hue.
    tone: Tone,
) -> View {
    let app = App::get();
    let kind = StoredValue::new(kind);
    let mine = move || kind.with_value(|k| app.kind.with(|a| a == k)) && app.status.get() != Status::Idle;
    let running = move || mine() && app.status.get() == Status::Running;
    let paused = move || mine() && app.status.get() == Status::Paused;
    let ready = move || app.engine.with(|e| matches!(e, EngineState::Ready(..)));
    let word = move || if running() { "Pause" } else { "Play" };
    let sign = move || if running() { "M4 3h3v10H4zM9 3h3v10H9z" } else { "M4 2.500l9 5.500-9 5.500z" };
    let tip = move || {
        if running() {
            "Hold every job where it is"
        } else if paused() {
            "Go on"
        } else {
            go
        }
    };
    let hardware = (window().navigator().hardware_concurrency() as usize).clamp(1, 8);
    let main = move |_| {
        if running() {
            app.pause();
        } else if paused() {
            app.resume();
        } else {
            app.start(&kind.get_value());
        }
    };
    let seed_wrong = move || app.seed.with(|s| s.trim().parse::<u64>().is_err()).then_some("true");
    view! {
        <div class=format!("group {}", tone_class(tone))>
            <div class="transport" role="group" aria-label="Run">
                <button type="button" class="primary" id="play" title=tip disabled=move || !ready() on:click=main>
                    <svg class="icon solid" viewBox="0 0 16 16" aria-hidden="true"><path d=sign /></svg>
                    {word}
                </button>
                <button type="button" title="Take one result in" aria-label="Step" disabled=move || !ready() on:click=move |_| app.step(&kind.get_value())>
                    <svg class="icon solid" viewBox="0 0 16 16" aria-hidden="true"><path d="M3 3l7 5-7 5zM11 3h2v10h-2z" /></svg>
                </button>
                <button type="button" title="Stop" aria-label="Stop" disabled=move || !mine() on:click=move |_| app.stop()>
                    <svg class="icon solid" viewBox="0 0 16 16" aria-hidden="true"><path d="M3.500 3.500h9v9h-9z" /></svg>
                </button>
                <button
                    type="button"
                    title="Reset: forget what this run found"
                    aria-label="Reset"
                    on:click=move |_| {
                        if mine() {
                            app.stop();
                        }
                        app.board(&kind.get_value()).clear();
                    }
                >
                    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="M3 8a5 5 0 1 0 1.500-3.500M3 2.500v3h3" /></svg>
                </button>
            </div>
            <div class="run-set">
                <label class="field">
                    <span class="small quiet">"Seed"</span>
                    <input
                        type="text"
                        inputmode="numeric"
                        size="5"
                        prop:value=move || app.seed.get()
                        aria-invalid=seed_wrong
                        on:change=move |e| app.seed.set(event_target_value(&e).trim().to_owned())
                    />
                </label>
                <label class="field">
                    <span class="small quiet">"Speed"</span>
                    <select on:change=move |e| {
                        let delay = event_target_value(&e).parse().unwrap_or(0.0);
                        app.delay_ms.set(delay);
                        app.client(|c| c.slow(delay));
                    }>
                        <option value="0" selected=move || app.delay_ms.get() == 0.0>"full"</option>
                        <option value="1000" selected=move || app.delay_ms.get() == 1000.0>"one a second"</option>
                        <option value="3000" selected=move || app.delay_ms.get() == 3000.0>"slow motion"</option>
                    </select>
                </label>
                <label class="field">
                    <span class="small quiet">"Workers"</span>
                    <select
                        title="How many jobs are computed at once; the result is the same"
                        on:change=move |e| {
                            let size = event_target_value(&e).parse().unwrap_or(1);
                            app.workers.set(size);
                            app.client(|c| c.resize(size));
                        }
                    >
                        {(1..=hardware.max(2))
                            .map(|n| view! { <option value=n selected=move || app.workers.get() == n>{n}</option> })
                            .collect_view()}
                    </select>
                </label>
            </div>
            <Engine />
            <Show when=move || seed_wrong().is_some()>
                <p class="small" role="alert">"The seed is a whole number."</p>
            </Show>
            <Show when=mine>
                <How kind=kind.get_value() />
            </Show>
        </div>
    }
}

/// How far the run is.
#[component]
fn How(kind: String) -> View {
    let app = App::get();
    let board = app.board(&kind);
    let beat = RwSignal::new(0u32);
    if let Ok(handle) =
        set_interval_with_handle(move || beat.update(|b| *b += 1), std::time::Duration::from_millis(500))
    {
        on_cleanup(move || handle.clear());
    }
    let part = Memo::new(move |_| {
        let (done, total) = board.progress.get();
        let inside: f64 = board.live.with(|live| live.iter().map(|l| l.fraction.min(1.0)).sum());
        (total > 0).then(|| ((f64::from(done) + inside) / f64::from(total)).min(1.0))
    });
    let left = Signal::derive(move || {
        beat.get();
        let part = part.get().filter(|p| *p > 0.02)?;
        let (worked, since) = app.worked.get();
        let now = if app.status.get() == Status::Running { now_ms() - since } else { 0.0 };
        Some((worked + now) * (1.0 - part) / part)
    });
    let label = Signal::derive(move || {
        let (done, total) = board.progress.get();
        let live = board.live.with(|l| l.first().map(|l| l.label.clone()));
        let what = live.unwrap_or_else(|| board.label.get());
        let held = if app.status.get() == Status::Paused { "held · " } else { "" };
        if total > 0 { format!("{held}{done} of {total} · {what}") } else { format!("{held}{what}") }
    });
    view! { <Progress label=label fraction=Signal::derive(move || part.get()) left_ms=left /> }
}
