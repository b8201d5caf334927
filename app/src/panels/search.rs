//! Search: candidates on a Pareto plot, the best so far, and the candidate under the pointer.

use super::Settings;
use super::pictures::Costs;
use super::transport::Transport;
use crate::client::EngineState;
use crate::components::{Dot, Figure, GraphView, LineChart, ParamForm, Scatter, pareto};
use crate::dom::prelude::*;
use crate::later::{self, Part};
use crate::state::{App, Place, Status};
use espalier_core::params::{Config, ParamSpec};
use espalier_core::protocol::{Metric, Tone};
use espalier_core::registry::Method;
use espalier_core::search::examples::{EXAMPLES, Example};

/// The stage.
#[component]
pub fn Search() -> View {
    let app = App::get();
    let board = app.search;
    let (x, y) = (RwSignal::new(Metric::Params), RwSignal::new(Metric::ValAccuracy));
    let shown = RwSignal::new("front");
    // Where none is pointed at or chosen, the best one so far.
    let best = Memo::new(move |_| {
        board.points.with(|dots| {
            let of = |d: &Dot| d.value(Metric::ValAccuracy);
            dots.iter()
                .filter(|d| of(d).is_some())
                .max_by(|a, b| of(a).partial_cmp(&of(b)).unwrap_or(std::cmp::Ordering::Equal))
                .map(|d| d.id)
        })
    });
    let graph = Memo::new(move |_| {
        app.candidate().or_else(|| {
            let id = best.get()?;
            board.graph(id).map(|g| (id, g))
        })
    });
    let tab = move |id: &'static str, name: &'static str| {
        view! {
            <button type="button" aria-pressed=move || (shown.get() == id).to_string() on:click=move |_| shown.set(id)>
                {name}
            </button>
        }
    };
    view! {
        <section class="picture" aria-label="Search">
            <div class="picture-head">
                <h1>{move || {
                    if board.points.with(Vec::is_empty) { "Search for a small network that reads digits".to_owned() } else { board.title.get() }
                }}</h1>
            </div>
            <Show when=move || board.recorded.get()>
                <p class="recording">
                    {move || if matches!(app.engine.get(), EngineState::Ready(..)) {
                        "This is a recording of a search, made with the same program. Press Play to run one on your machine."
                    } else {
                        "This is a recording of a search, made with the same program. The engine is on its way."
                    }}
                </p>
            </Show>
            {later::view(move |l| (l.part)(Part::Outcome, board))}
            <div class="row tabs" role="group" aria-label="Picture">
                {tab("front", "Trade-off")}
                {tab("best", "Best so far")}
                {tab("jobs", "At work")}
                {tab("inside", "Inside")}
            </div>
            {move || match shown.get() {
                "best" => later::view(move |l| (l.part)(Part::Charts, board)),
                "inside" => later::view(move |l| (l.part)(Part::Inside, board)),
                "jobs" => later::view(move |l| (l.part)(Part::Jobs, board)),
                _ => {
                    let csv = Callback::new(move |()| board.points.with_untracked(|p| pareto::csv(p)));
                    view! {
                        <Figure title="Every dot is a network that was trained" csv=csv>
                            <Scatter
                                dots=board.points
                                x=x
                                y=y
                                hovered=board.hovered
                                selected=board.selected
                                title="Candidates"
                            />
                        </Figure>
                    }
                }
            }}
            {move || graph.get().map(|(id, graph)| {
                let dot = board.points.with_untracked(|p| p.iter().find(|d| d.id == id).cloned());
                view! {
                    <section class="stack" aria-label="The candidate">
                        <div class="row">
                            <h2>
                                {dot.map_or_else(|| format!("Candidate {id}"), |d| d.label)}
                                {(app.candidate().is_none()).then(|| view! { <span class="quiet small">" best so far"</span> })}
                            </h2>
                            {board.choices(id).map(|choices| view! {
                                <button type="button" class="push" on:click=move |_| {
                                    if let Some(later) = app.later.get_untracked() {
                                        (later.explain)(app, choices.clone());
                                    }
                                }>"Why this one?"</button>
                            })}
                            <button type="button" class="primary" class:push=board.choices(id).is_none() on:click=move |_| {
                                if let Some(later) = app.later.get_untracked() {
                                    (later.take)(app, id);
                                }
                            }>"Train this one"</button>
                        </div>
                        <GraphView graph=graph.clone() hovered=app.node />
                        <Costs graph=graph />
                    </section>
                }
            })}
            {later::view(move |l| (l.part)(Part::Rest, board))}
        </section>
        <aside class="settings stack" aria-label="Settings">{later::view(|l| (l.search_settings)())}</aside>
    }
}

/// Its settings.
#[component]
pub fn SearchSettings() -> View {
    let app = App::get();
    let busy = move || app.status.get() != Status::Idle && app.kind.with(|k| k == "search");
    let text = move |key: &str| app.configs.search.with(|c| c.text(espalier_core::search::SPECS, key));
    let method = Memo::new(move |_| espalier_core::search::get(&text("strategy")).map(|s| s.method));
    let space = Memo::new(move |_| espalier_core::space::method(&text("space")));
    let details = move |method: Method, params: &'static [ParamSpec]| {
        view! {
            <details class="group">
                <summary>{method.name}</summary>
                <p class="small quiet">{method.sentence}</p>
                <p class="small quiet">
                    {format!("{}: “{}”, {}, {}.", method.citation.authors, method.citation.title, method.citation.venue, method.citation.year)}
                </p>
                <ParamForm specs=params config=app.configs.search enabled=Signal::derive(move || !busy()) />
            </details>
        }
    };
    view! {
        <Transport kind="search" go="Search" tone=Tone::Grow />
        <Settings
            specs=espalier_core::search::SPECS
            config=app.configs.search
            enabled=Signal::derive(move || !busy())
        />
        <button type="button" class="word" on:click=move |_| app.place.set(Place::Compare)>
            "Compare strategies side by side"
        </button>
        <button type="button" class="word" on:click=move |_| app.place.set(Place::Latency)>
            "How fast is each step here?"
        </button>
        {move || method.get().map(|m| details(*m, m.params))}
        {move || {
            let id = method.get().map_or("", |m| m.id);
            EXAMPLES.iter().filter(|e| e.strategy == id).map(|e| example(app, e, busy)).collect_view()
        }}
        {move || space.get().map(|m| details(*m, m.params))}
    }
}

/// A button that sets a search to something worth seeing.
fn example(app: App, example: &'static Example, busy: impl Fn() -> bool + Send + Sync + 'static) -> View {
    let set = move |_| {
        let specs = espalier_core::registry::settings("search");
        let chosen = [("strategy", example.strategy)];
        let values = chosen.iter().chain(example.settings).filter_map(|(key, text)| {
            let spec = specs.iter().find(|s| s.key == *key)?;
            Some(((*key).to_owned(), spec.parse(text).ok()?))
        });
        app.configs.search.set(Config(values.collect()));
        app.seed.set(example.seed.to_string());
        app.notice(
            false,
            format!("Set to “{}”; every other setting is at its default. Press Play.", example.name),
        );
    };
    view! {
        <div class="stack-s">
            <button type="button" disabled=busy on:click=set>{example.name}</button>
            <p class="small quiet">{example.what}</p>
        </div>
    }
    .to_view()
}

/// The jobs at work, each with its curves so far.
#[component]
pub fn Jobs() -> View {
    let live = App::get().search.live;
    (move || {
        let jobs = live.get();
        if jobs.is_empty() {
            return view! { <p class="quiet">"Nothing is being trained at the moment."</p> };
        }
        jobs.into_iter()
            .map(|job| view! {
                <LineChart lines=job.trail.lines title=job.label x_label="epoch" y_label="loss" height=180.0 />
            })
            .collect_view()
    })
    .to_view()
}
