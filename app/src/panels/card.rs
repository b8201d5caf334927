//! The model card: the network in hand, its figures before and after.

use crate::components::{GraphThumb, MetricRow, format, tone_class};
use crate::dom::prelude::*;
use crate::files;
use crate::later;
use crate::state::{App, Made};
use espalier_core::protocol::{Metric, Question};

/// The card.
#[component]
pub fn Card() -> View {
    let app = App::get();
    let line = move || {
        app.in_hand().map_or_else(
            || "no model in hand".to_owned(),
            |m| {
                let parts = [Metric::TestAccuracy, Metric::Params, Metric::Macs, Metric::Bytes];
                let parts = parts.into_iter().filter_map(|k| Some(figure(k, m.metric(k)?)));
                parts.collect::<Vec<_>>().join(" · ")
            },
        )
    };
    let wide = window().match_media("(min-width: 1101px)").ok().flatten().is_some_and(|q| q.matches());
    view! {
        <aside class="card" aria-label="Model card">
            <details open=wide>
                <summary>{line}</summary>
                {move || match app.in_hand() {
                    None => view! {
                        <div class="stack-s">
                            <h2>"Model card"</h2>
                            <p class="quiet">"No model in hand yet. When you pick one, its figures stand here, before and after each thing you do to it."</p>
                        </div>
                    },
                    Some(made) => later::view(move |l| (l.figures)(made.clone())),
                }}
            </details>
        </aside>
    }
}

fn figure(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Params => format!("{} parameters", format::metric(metric, value)),
        Metric::Macs => format!("{} MACs", format::metric(metric, value)),
        _ => format::metric(metric, value),
    }
}

/// Its figures, before and after.
#[component]
pub fn Figures(made: Made) -> View {
    let app = App::get();
    let before = app.model(app.compared.get().or(made.parent));
    let name = before.as_ref().map(|b| format!("{} ({})", b.name, b.word()));
    let rows = Metric::ALL.into_iter().filter_map(|metric| {
        let after = made.metric(metric).filter(|v| v.is_finite())?;
        let old = before.as_ref().and_then(|b| b.metric(metric));
        Some(view! { <MetricRow metric=metric before=old after=Some(after) /> })
    });
    let rows = rows.collect_view();
    let graph = made.drawn.clone();
    let asked = made.clone();
    let save = move |_| {
        let file = format!("{}.espalier", asked.name.replace(|c: char| !c.is_alphanumeric(), "-"));
        files::save(app, file, "application/octet-stream", Question::Write(asked.id), Some(asked.clone()));
    };
    let save_run = move |_| {
        let events = app.board(&app.kind.get_untracked()).events.get_value();
        if events.is_empty() {
            return app.notice(false, "There is no run of your own yet to download.");
        }
        files::save(app, "run.jsonl".into(), "application/jsonl", Question::Lines(events), None);
    };
    view! {
        <div class=format!("stack {}", tone_class(made.tone))>
            <div>
                <h2>{made.name.clone()}</h2>
                <p class="small quiet">{made.made_by.clone()}</p>
            </div>
            <GraphThumb graph=graph />
            {name.map(|name| view! { <p class="small quiet">{format!("Figures: {name} → now")}</p> })}
            <dl>{rows}</dl>
            {made.metric(Metric::LatencyMs).is_none().then(|| view! { <p class="small quiet" id="latency-waits">"Its latency is measured when nothing else runs."</p> })}
            <div class="row">
                <button type="button" on:click=save>"Download model"</button>
                <button type="button" on:click=save_run>"Download run"</button>
            </div>
        </div>
    }
}
