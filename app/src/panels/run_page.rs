//! A run with a page of its own: what it asks, its settings, and what it told, drawn as every run is.

use super::Settings;
use super::pictures::{Outcome, Rest, Tables};
use super::transport::Transport;
use crate::components::{GraphView, Scatter};
use crate::dom::prelude::*;
use crate::state::{App, Place, Status};
use espalier_core::protocol::{Metric, Tone};
use espalier_core::registry;

/// What such a page says of its run.
pub struct About {
    /// The run's kind.
    pub kind: &'static str,
    /// The page's title.
    pub title: &'static str,
    /// What is done, in a sentence or two.
    pub how: &'static str,
    /// What the button that starts it does.
    pub go: &'static str,
    /// What the dots are.
    pub dots: &'static str,
    /// The axes to begin with.
    pub axes: (Metric, Metric),
}

/// Why it is this network: each of its choices, swapped for another.
pub static WHY: About = About {
    kind: "why",
    title: "Why this one?",
    how: "Every network that differs from it in a single choice is trained as it was, from the same seeds. What it is better by is what the choice gives.",
    go: "Swap each choice",
    dots: "The network and those that differ from it in one choice",
    axes: (Metric::Params, Metric::ValAccuracy),
};

/// How fast every step is on this machine.
pub static LATENCY: About = About {
    kind: "latency",
    title: "How fast is each step here?",
    how: "Networks are drawn from the space. Every step of the engine is timed once, alone, and kept for your next visit; the sum of its steps predicts a network's latency, and the whole network is timed beside it. Let nothing else run meanwhile.",
    go: "Time them",
    dots: "Latency of each network, predicted and measured",
    axes: (Metric::PredictedMs, Metric::LatencyMs),
};

/// The page.
#[component]
pub fn RunPage(about: &'static About) -> View {
    let app = App::get();
    let kind = about.kind;
    let board = app.board(kind);
    let busy = move || app.status.get() != Status::Idle && app.kind.with(|k| k == kind);
    let (x, y) = (RwSignal::new(about.axes.0), RwSignal::new(about.axes.1));
    let shown = Memo::new(move |_| {
        let id = board.hovered.get().or(board.selected.get()).unwrap_or(0);
        board.graph(id).or_else(|| board.graph(0)).map(|graph| (id, graph))
    });
    view! {
        <main class="plain-page" id="main" tabindex="-1">
            <button type="button" class="word" on:click=move |_| app.place.set(Place::Studio)>"Back to the search"</button>
            <h1>{about.title}</h1>
            <p class="quiet">{about.how}</p>
            <div class="lab">
                <div class="stack">
                    <Transport kind=kind go=about.go tone=Tone::Grow />
                    <Settings
                        specs=registry::settings(kind)
                        config=app.config(kind)
                        enabled=Signal::derive(move || !busy())
                    />
                </div>
                <div class="boards">
                    <Outcome board=board />
                    <Tables board=board />
                    <Show when=move || !board.points.with(Vec::is_empty)>
                        <Scatter dots=board.points x=x y=y hovered=board.hovered selected=board.selected title=about.dots />
                    </Show>
                    {move || shown.get().map(|(_, graph)| view! { <GraphView graph=graph hovered=app.node /> })}
                    <Rest board=board />
                </div>
            </div>
        </main>
    }
}
