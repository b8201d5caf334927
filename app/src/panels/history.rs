//! The history: every model made, by what was done to it; any two can be compared.

use crate::client::Client;
use crate::components::{DataTable, LineageThumb, format, tone_class};
use crate::dom::prelude::*;
use crate::state::{App, Made};
use espalier_core::protocol::{Answer, Changed, Metric, Question};

/// The strip at the foot.
#[component]
pub fn History() -> View {
    let app = App::get();
    let differences = move || {
        let a = app.model(app.compared.get())?;
        let b = app.in_hand()?;
        (a.id != b.id).then(|| view! { <Compare a=a b=b /> })
    };
    let clear = move |_| {
        app.models.set(Vec::new());
        app.active.set(None);
        app.compared.set(None);
        if let Some(storage) = app.storage.get_value() {
            storage.clear();
        }
        app.client(Client::forget);
    };
    view! {
        <section class="history" aria-label="History">
            <div class="row">
                <h2 class="history-title">"History"</h2>
                <p class="small quiet">
                    {move || if app.models.with(Vec::is_empty) {
                        "Every model you make stands here, joined to the one it was made from."
                    } else {
                        "Click a model to take it in hand; “compare” sets it beside the one in hand."
                    }}
                </p>
                <Show when=move || !app.models.with(Vec::is_empty)>
                    <button type="button" class="plain push" on:click=clear>"Forget all"</button>
                </Show>
            </div>
            <ol>
                <For each=move || app.models.get() key=|m| m.id let:made>
                    <Entry made=made />
                </For>
            </ol>
            {differences}
        </section>
    }
}

#[component]
fn Entry(made: Made) -> View {
    let app = App::get();
    let id = made.id;
    // It hangs on the one before it, or stands for itself.
    let follows = app.models.with_untracked(|all| {
        let at = all.iter().position(|m| m.id == id).unwrap_or(0);
        at > 0 && all.get(at - 1).map(|m| m.id) == made.parent
    });
    let accuracy =
        made.metric(Metric::TestAccuracy).or(made.metric(Metric::ValAccuracy)).map(format::percent);
    let size = made.metric(Metric::Bytes).map(format::bytes);
    let figures: Vec<String> = [made.word().to_owned()].into_iter().chain(accuracy).chain(size).collect();
    view! {
        <li class=tone_class(made.tone) class:root=!follows>
            <div
                class="made"
                class:compared=move || app.compared.get() == Some(id)
                data-in-hand=move || (app.active.get() == Some(id)).to_string()
                draggable="true"
                on:dragstart=move |e| {
                    if let Some(data) = e.data_transfer() {
                        let _ = data.set_data("text/plain", &id.to_string());
                    }
                }
                on:dragover=move |e| e.prevent_default()
                on:drop=move |e| {
                    e.prevent_default();
                    let other = e.data_transfer().and_then(|d| d.get_data("text/plain").ok()?.parse::<u32>().ok());
                    if let Some(other) = other.filter(|o| *o != id) {
                        app.active.set(Some(other));
                        app.compared.set(Some(id));
                    }
                }
            >
                <LineageThumb
                    graph=made.drawn.clone()
                    name=made.name.clone()
                    made_by=figures.join(" · ")
                    tone=made.tone
                    selected=Signal::derive(move || app.active.get() == Some(id))
                    on_pick=Callback::new(move |()| app.active.set(Some(id)))
                />
                <button
                    type="button"
                    class="word small"
                    aria-pressed=move || (app.compared.get() == Some(id)).to_string()
                    aria-label=format!("Compare {} with the model in hand", made.name)
                    on:click=move |_| app.compared.update(|c| *c = if *c == Some(id) { None } else { Some(id) })
                >
                    "compare"
                </button>
            </div>
        </li>
    }
}

/// What changed between two models and what it cost.
#[component]
fn Compare(a: Made, b: Made) -> View {
    let app = App::get();
    let rows: Vec<Vec<String>> = Metric::ALL
        .into_iter()
        .filter_map(|metric| {
            let (x, y) = (a.metric(metric)?, b.metric(metric)?);
            let change = if x == y { "same".into() } else { format::change(metric, x, y) };
            Some(vec![metric.label().into(), format::metric(metric, x), format::metric(metric, y), change])
        })
        .collect();
    let columns = vec![String::new(), a.name.clone(), b.name.clone(), "change".into()];
    // Told by the engine; nothing stands there until it has answered.
    let layers = RwSignal::new(None::<Result<Vec<Vec<String>>, String>>);
    let question = Question::Compare(a.drawn.graph.clone(), b.drawn.graph.clone());
    leptos::task::spawn_local(async move {
        let told = match app.ask(question, &[]).await {
            Ok(Answer::Changes(changes)) => Ok(changes.into_iter().map(cells).collect()),
            Ok(_) => return,
            Err(text) => Err(text),
        };
        // Gone where another pair is compared by now.
        layers.try_set(Some(told));
    });
    let heads: Vec<String> =
        ["layer", "change", "output before", "after", "parameters", "MACs"].map(String::from).into();
    view! {
        <div class="stack compare">
            <DataTable title=format!("{} → {}", a.name, b.name) columns=columns rows=rows />
            {move || layers.get().map(|told| match told {
                Err(text) => view! { <p class="quiet">{text}</p> },
                Ok(rows) if rows.is_empty() => view! { <p class="quiet">"Both have the same architecture; only numbers differ."</p> },
                Ok(rows) => view! { <DataTable title="Layers that differ" columns=heads.clone() rows=rows /> },
            })}
        </div>
    }
}

/// A layer that differs, with what changed and what it cost.
fn cells(row: Changed) -> Vec<String> {
    let side = |side: Option<Vec<usize>>| side.map_or_else(|| "–".to_owned(), |s| format::shape(&s));
    let signed = |v: i64| if v == 0 { "–".to_owned() } else { format::signed(v as f64) };
    let Changed { layer, what, before, after, params, macs } = row;
    vec![layer, what, side(before), side(after), signed(params), signed(macs)]
}
