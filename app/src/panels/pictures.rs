//! What a run told, drawn: the same for every method and every lab.

use crate::board::Board;
use crate::components::{
    Confusion, DataTable, Distribution, Drawn, Figure, Gravity, HeatMap, Histogram, ImageGrid, LayerTable,
    LineChart, MaskView, Matrix, NodeLook, Notice, Picture, Scatter, Verdict, layer_table, line_data,
    save_text,
};
use crate::dom::prelude::*;
use crate::state::App;
use espalier_core::model::{Model, Storage};
use espalier_core::protocol::Metric;
use espalier_core::rank;
use std::sync::Arc;

/// How the run ended, where it has.
#[component]
pub fn Outcome(board: Board) -> View {
    view! {
        {move || board.error.get().map(|text| view! {
            <Notice gravity=Gravity::Error text=text advice="What was found before is kept below." />
        })}
        {move || board.finished.get().map(|text| view! { <p class="finished">{text}</p> })}
        {move || board.verdict.get().map(|v| view! {
            <Verdict sentence=v.sentence holds=v.holds breaks=v.breaks />
        })}
    }
}

/// The line charts.
#[component]
pub fn Charts(board: Board) -> View {
    let titles =
        Memo::new(move |_| board.charts.with(|c| c.iter().map(|c| c.title.clone()).collect::<Vec<_>>()));
    view! {
        <For each=move || titles.get() key=Clone::clone let:title>
            {
                let name = StoredValue::new(title.clone());
                let chart = Memo::new(move |_| {
                    board.charts.with(|all| name.with_value(|n| all.iter().find(|c| c.title == *n).cloned())).unwrap_or_default()
                });
                let csv = Callback::new(move |()| {
                    chart.with_untracked(|c| line_data::csv(&c.lines, &c.x_label, &c.y_label))
                });
                view! {
                    <Figure title=title.clone() csv=csv>
                        <LineChart
                            lines=Signal::derive(move || chart.get().lines)
                            title=title
                            x_label=Signal::derive(move || chart.get().x_label)
                            y_label=Signal::derive(move || chart.get().y_label)
                        />
                    </Figure>
                }
            }
        </For>
    }
}

/// Histograms of one title over one another.
#[component]
pub fn Histograms(board: Board) -> View {
    let each = move || {
        let all = board.histograms.get();
        let mut titles: Vec<String> = Vec::new();
        for h in &all {
            if !titles.contains(&h.title) {
                titles.push(h.title.clone());
            }
        }
        titles
            .into_iter()
            .map(|title| {
                let distributions: Vec<Distribution> = all
                    .iter()
                    .filter(|h| h.title == title)
                    .map(|h| Distribution {
                        label: h.label.clone(),
                        tone: h.tone,
                        range: h.range,
                        counts: h.counts.clone(),
                    })
                    .collect();
                view! {
                    <Figure title=title.clone()>
                        <Histogram distributions=distributions x_label="value" title=title />
                    </Figure>
                }
            })
            .collect_view()
    };
    view! { <div class="fig-grid">{each}</div> }
}

/// The confusion matrix; its cells open the images behind them.
#[component]
pub fn Mistakes(board: Board) -> View {
    let app = App::get();
    let chosen = RwSignal::new(None::<(usize, usize)>);
    let pictures = move || {
        let (truth, answer) = chosen.get()?;
        let matrix = board.confusion.get()?;
        let data = app.dataset.get()?;
        let [.., h, w] = *data.shape.as_slice() else { return None };
        let pictures: Vec<Picture> = matrix
            .samples
            .iter()
            .filter(|(_, t, a)| (*t as usize, *a as usize) == (truth, answer))
            .map(|(i, _, _)| Picture {
                caption: format!("no. {i}"),
                values: data.sample(*i)[..w * h].to_vec(),
            })
            .collect();
        let name = |i: usize| matrix.classes.get(i).cloned().unwrap_or_default();
        let head = if truth == answer {
            format!("{} read as itself", name(truth))
        } else {
            format!("{} read as {}", name(truth), name(answer))
        };
        Some(view! {
            <h3>{head}</h3>
            <ImageGrid pictures=pictures width=w height=h />
        })
    };
    (move || {
        let matrix = board.confusion.get()?;
        Some(view! {
            <section class="stack" aria-label="Confusion matrix">
                <h2>"What it takes for what"</h2>
                <div class="mistakes">
                    <Confusion
                        classes=matrix.classes
                        counts=matrix.counts
                        on_cell=Callback::new(move |cell| chosen.set(Some(cell)))
                        chosen=chosen
                    />
                    <div class="stack-s" aria-live="polite">
                        {pictures}
                        {move || chosen.get().is_none().then(|| view! { <p class="quiet small">"Choose a cell to see the images behind it."</p> })}
                    </div>
                </div>
            </section>
        })
    })
    .to_view()
}

/// What a predictor expected of the candidates beside what was measured.
#[component]
fn Expected(board: Board) -> View {
    let dots = Signal::derive(move || {
        board.points.with(|dots| {
            dots.iter().filter(|d| d.value(Metric::PredictedAccuracy).is_some()).cloned().collect::<Vec<_>>()
        })
    });
    let agreement = move || {
        let of = |metric| dots.with(|dots| dots.iter().filter_map(|d| d.value(metric)).collect::<Vec<f64>>());
        let (expected, measured) = (of(Metric::PredictedAccuracy), of(Metric::ValAccuracy));
        let tau = rank::kendall(&expected, &measured).filter(|_| expected.len() > 2)?;
        Some(format!(
            "Over {} candidates, rankings agree with Kendall’s τ = {tau:.2}: 1 is the same order, 0 is chance.",
            expected.len()
        ))
    };
    let (x, y) = (RwSignal::new(Metric::PredictedAccuracy), RwSignal::new(Metric::ValAccuracy));
    view! {
        <section class="stack-s">
            <h3>"What the predictor expected, and what was measured"</h3>
            <Scatter dots=dots x=x y=y hovered=board.hovered selected=board.selected title="Predicted and measured accuracy" height=260.0 />
            <p class="quiet small">{agreement}</p>
        </section>
    }
}

/// What the method leans towards.
#[component]
pub fn Inside(board: Board) -> View {
    let predicts = Memo::new(move |_| {
        board.points.with(|dots| dots.iter().any(|d| d.value(Metric::PredictedAccuracy).is_some()))
    });
    (move || {
        let heats = board.heats.get();
        if heats.is_empty() && !predicts.get() {
            return view! { <p class="quiet">"This strategy keeps nothing that could be drawn, or nothing has been judged yet."</p> };
        }
        let heats = heats.into_iter().map(|(title, rows)| view! { <HeatMap title=title rows=rows /> });
        view! {
            {predicts.get().then(|| view! { <Expected board=board /> })}
            {heats.collect_view()}
        }
    })
    .to_view()
}

/// Tables.
#[component]
pub fn Tables(board: Board) -> View {
    (move || {
        let tables = board.tables.get().into_iter();
        tables.map(|t| view! { <DataTable title=t.title columns=t.columns rows=t.rows /> }).collect_view()
    })
    .to_view()
}

/// Images and the log.
#[component]
pub fn Rest(board: Board) -> View {
    view! {
        {move || board.images.get().into_iter().map(|i| {
            let pictures: Vec<Picture> =
                i.images.into_iter().map(|(caption, values)| Picture { caption, values }).collect();
            view! {
                <h3>{i.title}</h3>
                <ImageGrid pictures=pictures width=i.size.0 as usize height=i.size.1 as usize />
            }
        }).collect_view()}
        {move || (!board.log.with(Vec::is_empty)).then(|| view! {
            <details>
                <summary>"Log"</summary>
                <ol class="small quiet">{board.log.get().into_iter().map(|l| view! { <li>{l}</li> }).collect_view()}</ol>
            </details>
        })}
    }
}

/// Parameters, MACs and activation memory, layer by layer.
#[component]
pub fn Costs(graph: Arc<Drawn>) -> View {
    let app = App::get();
    let table = StoredValue::new(graph);
    view! {
        <details class="costs" open=true>
            <summary>"Layer by layer"</summary>
            <LayerTable graph=table.get_value() hovered=app.node />
            <button type="button" class="word small" on:click=move |_| {
                let text = table.with_value(|t| layer_table::csv(t));
                if save_text("layers.csv", "text/csv", &text).is_none() {
                    app.notice(true, "The browser refused the download.");
                }
            }>"Save as CSV"</button>
        </details>
    }
}

/// What was done to each node of a model: its bits where they are few.
pub fn looks(model: &Model) -> Vec<NodeLook> {
    let each = model.graph.nodes.iter().map(|node| {
        let bits = node.inputs.iter().find_map(|i| match &model.weights.get(i)?.storage {
            Storage::Int(packed) => Some(packed.grid.bits),
            Storage::F32(_) => None,
        });
        NodeLook { bits, ..NodeLook::default() }
    });
    each.collect()
}

/// The weights of the layer under the pointer, or of the largest one, as pixels.
#[component]
pub fn Weights(model: Arc<Model>) -> View {
    let app = App::get();
    let names: Vec<Option<String>> = model
        .graph
        .nodes
        .iter()
        .map(|n| {
            n.inputs.get(1).filter(|i| model.weights.get(*i).is_some_and(|w| w.shape.len() > 1)).cloned()
        })
        .collect();
    let size = |i: &usize| names[*i].as_ref().and_then(|n| model.weights.get(n)).map_or(0, |w| w.len());
    let Some(largest) = (0..names.len()).max_by_key(size).filter(|i| size(i) > 0) else {
        return View::Empty;
    };
    // The last layer that was pointed at stays.
    let shown = Memo::new(move |last: Option<&usize>| {
        app.node
            .get()
            .filter(|i| names.get(*i).is_some_and(Option::is_some))
            .or(last.copied())
            .unwrap_or(largest)
    });
    draw_weights(model, shown)
}

fn draw_weights(model: Arc<Model>, shown: Memo<usize>) -> View {
    (move || {
        let node = model.graph.nodes.get(shown.get())?;
        let weight = model.weights.get(node.inputs.get(1)?)?;
        let name = node.name.clone();
        Some(view! {
            <figure>
                <MaskView matrix=Matrix::from_weight(weight) label=name />
                <figcaption class="small quiet">"Weights: a row for each output channel. Point at another layer to see its own."</figcaption>
            </figure>
        })
    })
    .to_view()
}
