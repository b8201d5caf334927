//! Train, prune, quantize: one model in hand, settings, curves, and what came of it.

use super::Settings;
use super::pictures::{Charts, Costs, Histograms, Mistakes, Outcome, Rest, Tables, Weights, looks};
use super::transport::Transport;
use crate::components::{GraphView, Gravity, LineChart, Notice};
use crate::dom::prelude::*;
use crate::state::{App, Stage, Status};
use espalier_core::protocol::Tone;
use espalier_core::registry;

/// One of the three stages.
#[component]
pub fn Tune(kind: &'static str) -> View {
    let app = App::get();
    let board = app.board(kind);
    let (title, go, tone) = match kind {
        "prune" => ("Prune: take away what the network can do without", "Prune", Tone::Prune),
        "quantize" => ("Quantize: fewer bits for each number", "Quantize", Tone::Quantize),
        _ => ("Train the network in hand", "Train", Tone::Grow),
    };
    let specs = registry::settings(kind);
    let busy = move || app.status.get() != Status::Idle && app.kind.with(|k| k == kind);
    let live = move || {
        (board.charts.with(Vec::is_empty)).then(|| {
            board.live.get().into_iter().filter(|l| !l.trail.lines.is_empty()).map(|l| view! {
                <figure>
                    <h3>{l.label.clone()}</h3>
                    <LineChart lines=l.trail.lines title=l.label x_label="epoch" y_label="loss, accuracy" />
                </figure>
            }).collect_view()
        })
    };
    view! {
        <section class="picture" aria-label=title>
            <h1>{title}</h1>
            {move || app.in_hand().is_none().then(|| view! {
                <Notice
                    gravity=Gravity::Info
                    text="There is no network in hand yet."
                    advice="Pick a dot in the search and press “Train this one”, or open a file."
                    action=("Go to the search", Callback::new(move |()| app.stage.set(Stage::Search)))
                />
            })}
            {specs.is_empty().then(|| view! {
                <Notice gravity=Gravity::Warning text=format!("This build has no run “{kind}” yet.") />
            })}
            <Outcome board=board />
            <Tables board=board />
            {live}
            <Charts board=board />
            <Histograms board=board />
            <Mistakes board=board />
            {move || app.in_hand().map(|made| view! {
                <section class="stack" aria-label="The network in hand">
                    <h2>{made.name.clone()}</h2>
                    <GraphView graph=made.drawn.clone() hovered=app.node looks=looks(&made.model) />
                    <Weights model=made.model.clone() />
                    <Costs graph=made.drawn.clone() />
                </section>
            })}
            <Rest board=board />
        </section>
        <aside class="settings stack" aria-label="Settings">
            <Transport kind=kind go=go tone=tone />
            <Settings specs=specs config=app.config(kind) enabled=Signal::derive(move || !busy()) />
        </aside>
    }
}
