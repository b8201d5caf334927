//! The Pareto plot: candidates as points, the front that nothing beats as a step line.

use super::pareto::{Dot, front};
use super::scale::{Scale, Spread, extent};
use super::{fit_text, format, order_by, text_width, tone_class, unique_id, use_width};
use crate::dom::prelude::*;
use espalier_core::protocol::{Metric, Tone};

const TOP: f64 = 28.0;
const BOTTOM: f64 = 42.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 18.0;

/// A point where it is drawn.
#[derive(Debug, Clone, PartialEq)]
struct Placed {
    dot: Dot,
    x: f64,
    y: f64,
    at: (f64, f64),
    on_front: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Plot {
    /// In ascending x, then y: the order of the arrow keys.
    points: Vec<Placed>,
    /// Corners of the step line.
    front: String,
    x: Scale,
    y: Scale,
}

/// Costs spread over factors; accuracies and losses do not.
fn spread(metric: Metric, values: Option<(f64, f64)>) -> Spread {
    let is_cost = !metric.higher_is_better() && metric != Metric::ValLoss;
    match values {
        Some((low, high)) if is_cost && low > 0.0 && high / low > 6.0 => Spread::Log,
        _ => Spread::Linear,
    }
}

fn plot(dots: &[Dot], x_metric: Metric, y_metric: Metric, width: f64, height: f64) -> Plot {
    let valued: Vec<(&Dot, f64, f64)> =
        dots.iter().filter_map(|d| Some((d, d.value(x_metric)?, d.value(y_metric)?))).collect();
    let axis = |metric: Metric, values: Option<(f64, f64)>, range: (f64, f64)| {
        let spread = spread(metric, values);
        let domain = values.unwrap_or((0.0, 1.0));
        // Room around the outermost points, but no accuracies above 1 and no costs below 0.
        let padded = match spread {
            Spread::Log => (domain.0 / 1.15, domain.1 * 1.15),
            Spread::Linear => {
                let pad = (domain.1 - domain.0) * 0.05;
                let low = if domain.0 >= 0.0 { (domain.0 - pad).max(0.0) } else { domain.0 - pad };
                (low, domain.1 + pad)
            }
        };
        match spread {
            Spread::Log => Scale::new(spread, padded, range),
            Spread::Linear if metric.higher_is_better() && domain.1 <= 1.0 => {
                let nice = Scale::nice(spread, padded, range, 5);
                Scale::new(spread, (nice.domain().0, nice.domain().1.min(1.0)), range)
            }
            Spread::Linear => Scale::nice(spread, padded, range, 5),
        }
    };
    let x = axis(x_metric, extent(valued.iter().map(|v| v.1)), (LEFT, width - RIGHT));
    let y = axis(y_metric, extent(valued.iter().map(|v| v.2)), (height - BOTTOM, TOP));
    let values: Vec<(f64, f64)> = valued.iter().map(|v| (v.1, v.2)).collect();
    let best = front(&values, x_metric.higher_is_better(), y_metric.higher_is_better());
    let order = order_by(valued.len(), &|a, b| {
        let ((a, ax, ay), (b, bx, by)) = (valued[a], valued[b]);
        ax.total_cmp(&bx).then(ay.total_cmp(&by)).then(a.id.cmp(&b.id))
    });
    let place = |i: usize| {
        let (dot, vx, vy) = valued[i];
        let at = (x.map(vx), y.map(vy));
        Placed { dot: dot.clone(), x: vx, y: vy, at, on_front: best.contains(&i) }
    };
    let points = order.into_iter().map(place).collect();
    // Between two points of the front, what can be had is what the cheaper one gives.
    let mut line = String::new();
    for (i, index) in best.iter().enumerate() {
        let (px, py) = (x.map(values[*index].0), y.map(values[*index].1));
        if i == 0 {
            line.push_str(&format!("M{px:.1} {py:.1}"));
        } else if x_metric.higher_is_better() {
            line.push_str(&format!("V{py:.1}H{px:.1}"));
        } else {
            line.push_str(&format!("H{px:.1}V{py:.1}"));
        }
    }
    if !x_metric.higher_is_better() && !best.is_empty() {
        line.push_str(&format!("H{:.1}", width - RIGHT));
    }
    Plot { points, front: line, x, y }
}

/// Whether any candidate has a metric.
fn known(dots: &[Dot], metric: Metric) -> bool {
    dots.iter().any(|d| d.value(metric).is_some())
}

/// One axis' choice of metric.
#[component]
fn AxisChoice(label: &'static str, metrics: Memo<Vec<Metric>>, value: RwSignal<Metric>) -> View {
    let options = move || {
        metrics
            .get()
            .into_iter()
            .map(|m| {
                view! { <option value=m.label() selected=move || value.get() == m>{m.label()}</option> }
            })
            .collect_view()
    };
    view! {
        <label class="axis-choice">
            <span>{label}</span>
            <select
                on:change=move |e| {
                    let text = event_target_value(&e);
                    if let Some(metric) = Metric::ALL.into_iter().find(|m| m.label() == text) {
                        value.set(metric);
                    }
                }
                prop:value=move || value.get().label()
            >
                {options}
            </select>
        </label>
    }
}

/// Candidates by two metrics of the visitor's choice. Pointing at one sets `hovered`, clicking or
/// Enter sets `selected`; the arrow keys go from point to point in the order of x.
#[component]
pub fn Scatter(
    /// The candidates.
    #[prop(into)]
    dots: Signal<Vec<Dot>>,
    /// The horizontal metric.
    x: RwSignal<Metric>,
    /// The vertical metric.
    y: RwSignal<Metric>,
    /// The candidate under the pointer or keyboard cursor; shared with other views.
    hovered: RwSignal<Option<u32>>,
    /// The chosen candidate.
    selected: RwSignal<Option<u32>>,
    /// What the plot shows; its accessible name.
    #[prop(into)]
    title: Signal<String>,
    /// Height in pixels.
    #[prop(default = 320.0)]
    height: f64,
) -> View {
    let root = NodeRef::new();
    let svg = NodeRef::new();
    let width = use_width(root, 560.0);
    // What is shown can be chosen even before there are candidates.
    let metrics = Memo::new(move |_| {
        let axes = [x.get(), y.get()];
        dots.with(|dots| {
            Metric::ALL.into_iter().filter(|m| axes.contains(m) || known(dots, *m)).collect::<Vec<_>>()
        })
    });
    let plot = Memo::new(move |_| dots.with(|d| plot(d, x.get(), y.get(), width.get(), height)));
    let base = unique_id("dot");
    let option_id = move |id: u32| format!("{base}-{id}");
    let option_id = StoredValue::new(option_id);

    let axes = move || {
        let plot = plot.get();
        let (fx, fy) = (format::formatter(x.get()), format::formatter(y.get()));
        let (right, bottom) = (width.get() - RIGHT, height - BOTTOM);
        let y_ticks = plot.y.ticks(5).into_iter().map(|v| {
            let at = plot.y.map(v);
            view! {
                <line class="grid" x1=LEFT x2=right y1=at y2=at />
                <text class="tick" x=LEFT - 8.0 y=at + 4.0 text-anchor="end">{fy(v)}</text>
            }
        });
        let room = ((right - LEFT) / 64.0).max(2.0) as usize;
        let mut free = f64::NEG_INFINITY;
        let x_ticks = plot.x.ticks(room).into_iter().map(|v| {
            let (at, text) = (plot.x.map(v), fx(v));
            let half = text_width(&text) / 2.0 + 4.0;
            // On a logarithmic axis ticks crowd towards the right; a label that would touch its
            // neighbour is left out, its tick stays.
            let shown = at - half > free;
            if shown {
                free = at + half;
            }
            view! {
                <line class="axis" x1=at x2=at y1=bottom y2=bottom + 4.0 />
                {shown.then(|| view! { <text class="tick" x=at.min(width.get() - half + 4.0) y=bottom + 17.0 text-anchor="middle">{text}</text> })}
            }
        });
        let note = |metric: Metric, scale: &Scale| {
            let values = (scale.domain().0 > 0.0).then_some(scale.domain());
            if spread(metric, values) == Spread::Log {
                ", logarithmic".to_owned()
            } else if scale.domain().0 == 0.0 {
                String::new()
            } else {
                format!(", from {}", format::metric(metric, scale.domain().0))
            }
        };
        let better =
            |metric: Metric| if metric.higher_is_better() { "more is better" } else { "less is better" };
        view! {
            {y_ticks.collect_view()}
            <line class="axis" x1=LEFT x2=right y1=bottom y2=bottom />
            {x_ticks.collect_view()}
            <text class="axis-label" x="0" y="12">
                {format!("{}{} ({})", y.get().label(), note(y.get(), &plot.y), better(y.get()))}
            </text>
            <text class="axis-label" x=right y=height - 4.0 text-anchor="end">
                {format!("{}{} ({})", x.get().label(), note(x.get(), &plot.x), better(x.get()))}
            </text>
        }
    };

    let describe = move |p: &Placed| {
        let on_front = if p.on_front { ", on the front" } else { "" };
        format!(
            "{}: {} {}, {} {}{on_front}",
            p.dot.label,
            y.get().label(),
            format::metric(y.get(), p.y),
            x.get().label(),
            format::metric(x.get(), p.x)
        )
    };

    let drawn = move || {
        let plot = plot.get();
        // The front is drawn last, so that nothing hides it.
        let (front, behind): (Vec<&Placed>, Vec<&Placed>) = plot.points.iter().partition(|p| p.on_front);
        let each = behind.into_iter().chain(front).map(|p| {
            let id = p.dot.id;
            let class =
                format!("dot {}{}", tone_class(p.dot.tone), if p.on_front { " on-front" } else { "" });
            view! {
                <circle
                    class=class
                    class:is-hovered=move || hovered.get() == Some(id)
                    class:is-selected=move || selected.get() == Some(id)
                    id=option_id.with_value(|f| f(id))
                    role="option"
                    aria-selected=move || (selected.get() == Some(id)).to_string()
                    aria-label=describe(p)
                    cx=p.at.0
                    cy=p.at.1
                    r=if p.on_front { "5" } else { "4" }
                />
            }
        });
        view! {
            <path class="front" d=plot.front.clone() />
            {each.collect_view()}
        }
    };

    let callout = move || {
        let id = hovered.get().or(selected.get())?;
        let plot = plot.get();
        let p = plot.points.iter().find(|p| p.dot.id == id)?;
        let text = fit_text(&p.dot.label, 180.0);
        let on_right = p.at.0 + 12.0 + text_width(&text) < width.get();
        let (dx, anchor) = if on_right { (10.0, "start") } else { (-10.0, "end") };
        let dy = if p.at.1 < TOP + 16.0 { 18.0 } else { -9.0 };
        Some(view! {
            <circle class=format!("ring {}", tone_class(p.dot.tone)) cx=p.at.0 cy=p.at.1 r="8" />
            <text class="callout" x=p.at.0 + dx y=p.at.1 + dy text-anchor=anchor>{text}</text>
        })
    };

    let near = move |event: &leptos::ev::PointerEvent| -> Option<u32> {
        let rect = svg.get_untracked()?.get_bounding_client_rect();
        let at = (f64::from(event.client_x()) - rect.left(), f64::from(event.client_y()) - rect.top());
        let reach = if event.pointer_type() == "mouse" { 16.0 } else { 28.0 };
        plot.with_untracked(|plot| {
            let by_distance = plot.points.iter().map(|p| ((p.at.0 - at.0).hypot(p.at.1 - at.1), p.dot.id));
            by_distance.filter(|(d, _)| *d <= reach).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, id)| id)
        })
    };
    let point_at = move |id: Option<u32>| {
        if hovered.get_untracked() != id {
            hovered.set(id);
        }
    };
    let on_key = move |event: leptos::ev::KeyboardEvent| {
        let ids: Vec<u32> = plot.with_untracked(|p| p.points.iter().map(|p| p.dot.id).collect());
        if ids.is_empty() {
            return;
        }
        let here = hovered.get_untracked().or(selected.get_untracked());
        let now = here.and_then(|id| ids.iter().position(|i| *i == id));
        let next = match event.key().as_str() {
            "ArrowRight" | "ArrowUp" => now.map_or(0, |i| (i + 1).min(ids.len() - 1)),
            "ArrowLeft" | "ArrowDown" => now.map_or(ids.len() - 1, |i| i.saturating_sub(1)),
            "Home" => 0,
            "End" => ids.len() - 1,
            "Enter" | " " => {
                event.prevent_default();
                if let Some(i) = now {
                    selected.set(Some(ids[i]));
                }
                return;
            }
            "Escape" => return point_at(None),
            _ => return,
        };
        event.prevent_default();
        point_at(Some(ids[next]));
    };

    let legend = Memo::new(move |_| {
        let mut groups: Vec<(String, Tone)> = Vec::new();
        dots.with(|dots| {
            for dot in dots.iter().filter(|d| !d.group.is_empty()) {
                if !groups.iter().any(|(name, _)| *name == dot.group) {
                    groups.push((dot.group.clone(), dot.tone));
                }
            }
        });
        groups
    });
    let readout = move || {
        let id = hovered.get().or(selected.get());
        plot.with(|plot| plot.points.iter().find(|p| Some(p.dot.id) == id).map(&describe))
    };

    view! {
        <div class="chart scatter" node_ref=root>
            <div class="axis-choices">
                <AxisChoice label="Up" metrics value=y />
                <AxisChoice label="Across" metrics value=x />
                <ul class="legend">
                    {move || {
                        legend.get().into_iter().map(|(name, tone)| {
                            view! { <li class=format!("legend-item {}", tone_class(tone))>{name}</li> }
                        }).collect_view()
                    }}
                </ul>
            </div>
            <svg
                node_ref=svg
                // An empty list has no options to offer.
                role=move || if plot.with(|p| p.points.is_empty()) { "img" } else { "listbox" }
                tabindex="0"
                aria-label=move || format!("{}. Arrow keys go through the candidates, Enter chooses one.", title.get())
                aria-activedescendant=move || hovered.get().map(|id| option_id.with_value(|f| f(id)))
                width=move || width.get()
                height=height
                viewBox=move || format!("0 0 {} {height}", width.get())
                on:pointermove=move |e| point_at(near(&e))
                on:pointerdown=move |e| {
                    if let Some(id) = near(&e) {
                        point_at(Some(id));
                        selected.set(Some(id));
                    }
                }
                on:pointerleave=move |_| point_at(None)
                on:keydown=on_key
            >
                <g role="presentation">{axes}</g>
                {drawn}
                {callout}
            </svg>
            <p class="readout" aria-live="polite">{readout}</p>
        </div>
    }
}
