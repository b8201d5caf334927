//! The stage rail: the whole idea of the program in one line, each stage with a live miniature.

use crate::components::tone_class;
use crate::dom::prelude::*;
use crate::state::{App, Stage, Status};
use espalier_core::data::Split;
use espalier_core::model::Storage;
use espalier_core::protocol::Metric;

/// The rail.
#[component]
pub fn Rail() -> View {
    let app = App::get();
    let stages = Stage::ALL.into_iter().map(|stage| {
        let current = move || (app.stage.get() == stage).then_some("step");
        let works = move || app.status.get() == Status::Running && app.kind.get() == stage.key();
        let note = move || if works() { "at work".to_owned() } else { note(app, stage) };
        view! {
            <li class=tone_class(stage.tone())>
                <button type="button" class="stage" aria-current=current on:click=move |_| app.stage.set(stage)>
                    <svg class="mini" viewBox="0 0 52 36" aria-hidden="true">{move || mini(app, stage)}</svg>
                    <span>
                        <b>{stage.name()}</b>
                        <small>{note}</small>
                    </span>
                </button>
            </li>
        }
    });
    // Where the rail is wider than the window, the current stage comes into sight.
    Effect::new(move |_| {
        app.stage.track();
        request_animation_frame(|| {
            let find = |what: &str| document().query_selector(what).ok().flatten();
            let Some((rail, at)) = find(".rail").zip(find(".rail [aria-current]")) else { return };
            let (outer, inner) = (rail.get_bounding_client_rect(), at.get_bounding_client_rect());
            let off = inner.left() + inner.width() / 2.0 - outer.left() - outer.width() / 2.0;
            rail.set_scroll_left(rail.scroll_left() + off as i32);
        });
    });
    view! {
        <nav class="rail" aria-label="Stages">
            <ol>{stages.collect_view()}</ol>
        </nav>
    }
}

fn note(app: App, stage: Stage) -> String {
    match stage {
        Stage::Data => app.dataset.with(|d| d.as_ref().map_or_else(String::new, |d| d.name.clone())),
        Stage::Search => match app.search.points.with(Vec::len) {
            0 => "not yet".into(),
            n if app.search.recorded.get() => format!("{n}, recorded"),
            n => format!("{n} candidates"),
        },
        Stage::Train => app
            .in_hand()
            .and_then(|m| m.metric(Metric::TestAccuracy).or(m.metric(Metric::ValAccuracy)))
            .map_or_else(|| "not yet".into(), crate::components::format::percent),
        Stage::Prune => {
            let pruned = app.models.with(|m| m.iter().filter(|m| m.tone == stage.tone()).count());
            if pruned == 0 { "not yet".into() } else { format!("{pruned} pruned") }
        }
        Stage::Quantize => {
            let n = app.models.with(|m| m.iter().filter(|m| m.tone == stage.tone()).count());
            if n == 0 { "not yet".into() } else { format!("{n} quantized") }
        }
        Stage::Use => "draw a digit".into(),
    }
}

fn mini(app: App, stage: Stage) -> View {
    let polyline = |points: &[(f64, f64)]| {
        let (mut x0, mut x1, mut y0, mut y1) = (f64::MAX, f64::MIN, f64::MAX, f64::MIN);
        for (x, y) in points {
            (x0, x1, y0, y1) = (x0.min(*x), x1.max(*x), y0.min(*y), y1.max(*y));
        }
        let text: Vec<String> = points
            .iter()
            .map(|(x, y)| {
                let px = 2.0 + 48.0 * (x - x0) / (x1 - x0).max(1e-9);
                let py = 33.0 - 30.0 * (y - y0) / (y1 - y0).max(1e-9);
                format!("{px:.1},{py:.1}")
            })
            .collect();
        text.join(" ")
    };
    let axes = view! { <path class="faint" d="M2 2V34H50" /> };
    match stage {
        Stage::Data => app
            .dataset
            .with(|data| {
                let data = data.as_ref()?;
                let [.., h, w] = *data.shape.as_slice() else { return None };
                let sample = data.sample(*data.split(Split::Train).first()?);
                let size = 34.0 / h.max(w) as f64;
                let cells =
                    sample.iter().take(w * h).enumerate().filter(|(_, v)| **v > 0.05).map(|(i, v)| {
                        view! {
                            <rect
                                class="cell"
                                x=9.0 + size * (i % w) as f64
                                y=1.0 + size * (i / w) as f64
                                width=size
                                height=size
                                fill-opacity=f64::from(*v).clamp(0.0, 1.0)
                            />
                        }
                    });
                Some(cells.collect_view())
            })
            .unwrap_or(axes),
        Stage::Search => app.search.points.with(|dots| {
            let points: Vec<(f64, f64)> = dots
                .iter()
                .filter_map(|d| Some((d.value(Metric::Params)?.max(1.0).ln(), d.value(Metric::ValAccuracy)?)))
                .collect();
            if points.is_empty() {
                return axes;
            }
            let (mut x0, mut x1, mut y0, mut y1) = (f64::MAX, f64::MIN, f64::MAX, f64::MIN);
            for (x, y) in &points {
                (x0, x1, y0, y1) = (x0.min(*x), x1.max(*x), y0.min(*y), y1.max(*y));
            }
            let dots = points.iter().map(|(x, y)| {
                view! {
                    <circle
                        class="dot"
                        r="1.6"
                        cx=5.0 + 43.0 * (x - x0) / (x1 - x0).max(1e-9)
                        cy=31.0 - 27.0 * (y - y0) / (y1 - y0).max(1e-9)
                    />
                }
            });
            view! {
                {axes}
                {dots.collect_view()}
            }
        }),
        Stage::Train => {
            let points = app
                .train
                .live
                .with(|l| l.last().and_then(|l| l.trail.lines.first()).map(|l| l.points.clone()))
                .or_else(|| {
                    app.train
                        .charts
                        .with(|c| c.first().and_then(|c| c.lines.first()).map(|l| l.points.clone()))
                });
            match points {
                Some(points) if points.len() > 1 => view! {
                    {axes}
                    <polyline class="draw" points=polyline(&points) />
                },
                _ => view! {
                    {axes}
                    <path class="faint" d="M4 6C12 26 20 29 48 31" stroke-dasharray="3 3" />
                },
            }
        }
        Stage::Prune => {
            let bars = app.in_hand().map(|made| {
                let convs = made.model.graph.nodes.iter().filter(|n| matches!(n.op.as_str(), "Conv" | "Gemm"));
                let widths: Vec<f64> = convs
                    .filter_map(|n| made.model.graph.params.get(n.inputs.get(1)?).map(|p| p.shape[0] as f64))
                    .take(6)
                    .collect();
                let most = widths.iter().copied().fold(1.0, f64::max);
                let step = 34.0 / widths.len().max(1) as f64;
                widths
                    .into_iter()
                    .enumerate()
                    .map(|(i, w)| {
                        view! {
                            <rect class="dot" x="2" y=1.0 + step * i as f64 height=(step - 2.0).max(1.0) width=48.0 * w / most />
                        }
                    })
                    .collect_view()
            });
            bars.map_or_else(
                || {
                    view! { <path class="faint" d="M2 6H50M2 14H36M2 22H44M2 30H20" stroke-width="4" /> }
                },
                ToView::to_view,
            )
        }
        Stage::Quantize => {
            let weights = app.in_hand().and_then(|made| {
                let largest = made.model.weights.values().max_by_key(|w| w.len())?.clone();
                let levels = match &largest.storage {
                    Storage::Int(packed) => 1usize << packed.grid.bits.min(4),
                    Storage::F32(_) => 24,
                };
                let values = largest.to_f32();
                let most = values.iter().fold(1e-9f32, |m, v| m.max(v.abs()));
                let mut bins = vec![0f64; levels];
                for v in &values {
                    let at = ((v / most + 1.0) / 2.0 * levels as f32) as usize;
                    bins[at.min(levels - 1)] += 1.0;
                }
                Some(bins)
            });
            let bins = weights.clone().unwrap_or_else(|| vec![1.0, 2.0, 5.0, 9.0, 5.0, 2.0, 1.0]);
            let class = if weights.is_some() { "dot" } else { "dot faint-fill" };
            let most = bins.iter().copied().fold(1.0, f64::max);
            let step = 48.0 / bins.len() as f64;
            bins.into_iter()
                .enumerate()
                .map(|(i, n)| {
                    let height = 32.0 * n / most;
                    view! { <rect class=class x=2.0 + step * i as f64 y=34.0 - height width=(step - 0.6).max(0.6) height=height /> }
                })
                .collect_view()
        }
        Stage::Use => view! {
            <rect class="faint" x="9" y="1" width="34" height="34" rx="3" />
            <path class="draw" d="M18 9C26 5 34 9 28 15C23 19 18 24 18 28H34" />
        },
    }
}
