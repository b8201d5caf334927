//! Why it is this network: each of its choices, swapped for another.

use super::Settings;
use super::pictures::{Outcome, Rest, Tables};
use super::transport::Transport;
use crate::components::{GraphView, Scatter};
use crate::dom::prelude::*;
use crate::state::{App, Place, Status};
use espalier_core::protocol::{Metric, Tone};
use espalier_core::registry;

/// The place.
#[component]
pub fn Why() -> View {
    let app = App::get();
    let board = app.why;
    let busy = move || app.status.get() != Status::Idle && app.kind.with(|k| k == "why");
    let (x, y) = (RwSignal::new(Metric::Params), RwSignal::new(Metric::ValAccuracy));
    let shown = Memo::new(move |_| {
        let id = board.hovered.get().or(board.selected.get()).unwrap_or(0);
        board.graph(id).or_else(|| board.graph(0)).map(|graph| (id, graph))
    });
    view! {
        <main class="plain-page" id="main" tabindex="-1">
            <button type="button" class="word" on:click=move |_| app.place.set(Place::Studio)>"Back to the search"</button>
            <h1>"Why this one?"</h1>
            <p class="quiet">
                "Every network that differs from it in a single choice is trained as it was, from the same seeds. What it is better by is what the choice gives."
            </p>
            <div class="lab">
                <div class="stack">
                    <Transport kind="why" go="Swap each choice" tone=Tone::Grow />
                    <Settings
                        specs=registry::settings("why")
                        config=app.configs.why
                        enabled=Signal::derive(move || !busy())
                    />
                </div>
                <div class="boards">
                    <Outcome board=board />
                    <Tables board=board />
                    <Show when=move || !board.points.with(Vec::is_empty)>
                        <Scatter dots=board.points x=x y=y hovered=board.hovered selected=board.selected title="The network and those that differ from it in one choice" />
                    </Show>
                    {move || shown.get().map(|(_, graph)| view! { <GraphView graph=graph hovered=app.node /> })}
                    <Rest board=board />
                </div>
            </div>
        </main>
    }
}
