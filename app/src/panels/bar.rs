//! The slim bar: mark, places, engine, link, theme.

use crate::client::{EngineState, GpuState};

use crate::dom::prelude::*;
use crate::state::{App, Place};
use wasm_bindgen_futures::JsFuture;

/// The bar.
#[component]
pub fn Bar() -> View {
    let app = App::get();
    let place = move |name: &'static str, to: Place, here: fn(&Place) -> bool| {
        view! {
            <button
                type="button"
                aria-current=move || app.place.with(here).then_some("page")
                on:click=move |_| app.place.set(to.clone())
            >
                {name}
            </button>
        }
    };
    let badge = move || match app.engine.get() {
        EngineState::Loading => ("badge", "engine on its way".to_owned()),
        // One worker owns the GPU.
        EngineState::Ready(text, _) if app.gpu.get() == GpuState::On => ("badge ready", text),
        EngineState::Ready(text, 1) => ("badge ready", format!("{text} · 1 worker")),
        EngineState::Ready(text, n) => ("badge ready", format!("{text} · {n} workers")),
        EngineState::Failed(_) => ("badge failed", "no engine".to_owned()),
    };
    let gpu = move || match app.gpu.get() {
        GpuState::Coming => " · checking the GPU",
        GpuState::Refused(_) => " · GPU not used",
        _ => "",
    };
    let why = move || match app.gpu.get() {
        GpuState::Refused(why) => format!("The GPU is not used: {why}. The CPU computes."),
        _ => "What this page computes on".to_owned(),
    };
    Effect::new(move |_| {
        if let EngineState::Failed(text) = app.engine.get() {
            app.notice(true, text);
        }
    });
    let copy = move |_| {
        let Ok(mut href) = window().location().href() else { return };
        // A bare address opens where its visitor last was, not here.
        if !href.contains('?') {
            href.push_str("?stage=search");
        }
        let promise = window().navigator().clipboard().write_text(&href);
        leptos::task::spawn_local(async move {
            match JsFuture::from(promise).await {
                Ok(_) => {
                    app.notice(false, "The link is copied. It restores every setting, the seed included.")
                }
                Err(_) => app
                    .notice(false, format!("The clipboard is closed to this page; this is the link: {href}")),
            }
        });
    };
    view! {
        <header class="bar">
            <span class="mark">
                <svg viewBox="0 0 32 32" aria-hidden="true">
                    <path d="M16 29V4M16 24C9 24 7 21 7 15M16 24c7 0 9-3 9-9M16 14c-5 0-6-3-6-7M16 14c5 0 6-3 6-7" />
                </svg>
                "Espalier"
            </span>
            <nav class="places" aria-label="Places">
                {place("Studio", Place::Studio, |p| matches!(p, Place::Studio | Place::Compare | Place::Latency | Place::Why))}
                {place("Labs", Place::Labs(None), |p| matches!(p, Place::Labs(_)))}
                {place("Learn", Place::Learn, |p| *p == Place::Learn)}
                {place("Open", Place::Open, |p| *p == Place::Open)}
            </nav>
            <div class="actions">
                <span class=move || badge().0 role="status" title=why>{move || badge().1}{gpu}</span>
                <button type="button" class="plain" id="copy-link" title="A link that restores every setting, the seed included" on:click=copy>
                    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
                        <path d="M6.5 9.5l3-3M7 4.5l1.5-1.5a2.8 2.8 0 0 1 4 4L11 8.5M9 11.5L7.500 13a2.8 2.8 0 0 1-4-4L5 7.500" />
                    </svg>
                    <span class="bar-word">"Copy link"</span>
                </button>
                <button type="button" class="plain" title="Light or dark" aria-label="Switch between light and dark" on:click=move |_| turn_theme()>
                    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
                        <circle cx="8" cy="8" r="5.500" />
                        <path d="M8 2.500v11a5.500 5.500 0 0 0 0-11" fill="currentColor" />
                    </svg>
                </button>
            </div>
        </header>
    }
}

fn turn_theme() {
    let Some(root) = document().document_element() else { return };
    let dark = match root.get_attribute("data-theme").as_deref() {
        Some(theme) => theme == "dark",
        None => window()
            .match_media("(prefers-color-scheme: dark)")
            .ok()
            .flatten()
            .is_some_and(|query| query.matches()),
    };
    let theme = if dark { "light" } else { "dark" };
    let _ = root.set_attribute("data-theme", theme);
    // Without storage the choice lasts as long as the page.
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item("espalier.theme", theme);
    }
}
