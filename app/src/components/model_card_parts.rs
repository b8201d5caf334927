//! Parts of the model card and of the history: a figure before and after, a model as a drawing.

use super::graph_layout::NodeLook;
use super::graph_text::Drawn;
use super::graph_view::GraphThumb;
use super::{format, tone_class};
use crate::dom::prelude::*;
use espalier_core::protocol::{Metric, Tone};
use std::sync::Arc;

/// Whether a change is for the better; `None` where there is none worth a colour.
fn better(metric: Metric, before: f64, after: f64) -> Option<bool> {
    let change = format::change(metric, before, after);
    (change != "no change" && change != "–").then_some((after > before) == metric.higher_is_better())
}

/// A figure of the model card: its value, what it was before, and the change. Place it in a `dl`.
#[component]
pub fn MetricRow(
    /// Which figure.
    metric: Metric,
    /// What it was before the last step, where there was one.
    #[prop(into)]
    before: Signal<Option<f64>>,
    /// What it is; `None` where it has not been measured.
    #[prop(into)]
    after: Signal<Option<f64>>,
) -> View {
    let changed = move || before.get().zip(after.get()).filter(|(b, a)| b != a);
    let change = move || {
        let (before, after) = changed()?;
        let class = match better(metric, before, after) {
            Some(true) => "metric-change better",
            Some(false) => "metric-change worse",
            None => "metric-change",
        };
        Some(view! { <span class=class>{format::change(metric, before, after)}</span> })
    };
    view! {
        <div class="metric-row">
            <dt>{metric.label()}</dt>
            <dd>
                {move || changed().map(|(b, _)| {
                    view! {
                        <span class="metric-before">
                            <span class="visually-hidden">"before "</span>
                            {format::metric(metric, b)}
                            <span aria-hidden="true">" → "</span>
                            <span class="visually-hidden">", now "</span>
                        </span>
                    }
                })}
                <span class="metric-after">
                    {move || after.get().map_or_else(|| "not measured".to_owned(), |v| format::metric(metric, v))}
                </span>
                {change}
            </dd>
        </div>
    }
}

/// A model of the history as a small drawing with its name and what made it.
#[component]
pub fn LineageThumb(
    /// Its network.
    #[prop(into)]
    graph: Signal<Arc<Drawn>>,
    /// Its name.
    #[prop(into)]
    name: Signal<String>,
    /// What was done, in one line.
    #[prop(into)]
    made_by: Signal<String>,
    /// The hue of what was done last.
    tone: Tone,
    /// Decoration of its nodes.
    #[prop(into, optional)]
    looks: Signal<Vec<NodeLook>>,
    /// Whether it is the current model.
    #[prop(into)]
    selected: Signal<bool>,
    /// Called when it is chosen.
    #[prop(into)]
    on_pick: Callback<()>,
) -> View {
    view! {
        <button
            type="button"
            class=format!("lineage {}", tone_class(tone))
            class:is-selected=move || selected.get()
            aria-pressed=move || selected.get().to_string()
            title=move || format!("{}: {}", name.get(), made_by.get())
            on:click=move |_| on_pick.run(())
        >
            <GraphThumb graph looks />
            <span class="lineage-name">{move || name.get()}</span>
            <span class="lineage-made">{move || made_by.get()}</span>
        </button>
    }
}
