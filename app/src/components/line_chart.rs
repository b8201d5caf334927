//! Lines over a common axis, labelled where they end.

use super::format::Unit;
use super::line_data::{Line, decimate, nearest, stops};
use super::scale::{Scale, Spread, extent, spread_labels};
use super::{fit_text, text_width, tone_class, use_width};
use crate::dom::prelude::*;

const TOP: f64 = 28.0;
const BOTTOM: f64 = 40.0;
/// Room beside the vertical axis, at least.
const LEFT: f64 = 52.0;

/// Where things are, once widths and data are known.
#[derive(Clone, Copy, PartialEq)]
struct Frame {
    x: Scale,
    y: Scale,
    width: f64,
    height: f64,
    /// Room for what stands beside the vertical axis.
    left: f64,
    right: f64,
    kinds: (Unit, Unit),
    /// Whether everything along the horizontal axis is counted: there is no epoch 1.5.
    counted: bool,
}

/// Dashes tell lines of one tone apart: the first is solid.
const DASHES: [&str; 4] = ["none", "5 3", "1.5 3", "9 3 1.5 3"];

fn dash_of(lines: &[Line], index: usize) -> &'static str {
    let same = lines[..index].iter().filter(|l| l.tone == lines[index].tone).count();
    DASHES[same % DASHES.len()]
}

fn frame(lines: &[Line], width: f64, height: f64, x_label: &str, y_label: &str, log_y: bool) -> Frame {
    let xs = lines.iter().flat_map(|l| l.points.iter().map(|p| p.0));
    let ys =
        lines.iter().flat_map(|l| l.points.iter().map(|p| p.1).chain(l.band.iter().flat_map(|b| [b.1, b.2])));
    let counted = xs.clone().all(|x| x.fract() == 0.0);
    let widest = lines.iter().map(|l| text_width(&l.label)).fold(0.0, f64::max);
    let right = (widest + 18.0).min(width * 0.3).max(16.0);
    let spread = if log_y { Spread::Log } else { Spread::Linear };
    let mut ys = extent(ys.filter(|y| !log_y || *y > 0.0)).unwrap_or((0.0, 1.0));
    // Zero belongs to the question where the data comes near it.
    if !log_y && ys.0 > 0.0 && ys.0 < 0.35 * ys.1 {
        ys.0 = 0.0;
    }
    let y = Scale::nice(spread, ys, (height - BOTTOM, TOP), 5);
    let kinds = (Unit::of(x_label), Unit::of(y_label));
    let ticks = y.ticks(5).into_iter().map(|v| text_width(&kinds.1.write(v)));
    let left = ticks.map(|width| width + 20.0).fold(LEFT, f64::max);
    let x = Scale::new(Spread::Linear, extent(xs).unwrap_or((0.0, 1.0)), (left, width - right));
    Frame { x, y, width, height, left, right, kinds, counted }
}

fn path(points: &[(f64, f64)], f: &Frame) -> String {
    let (low, high) = f.x.domain();
    let columns = (f.width - f.left - f.right).max(16.0) as usize;
    let mut d = String::new();
    let mut pen_down = false;
    for (x, y) in decimate(points, low, high, columns) {
        // A value that is none leaves a gap, not a line to nowhere.
        if !x.is_finite() || !y.is_finite() {
            pen_down = false;
            continue;
        }
        let command = if pen_down { 'L' } else { 'M' };
        d.push_str(&format!("{command}{:.1} {:.1}", f.x.map(x), f.y.map(y)));
        pen_down = true;
    }
    d
}

fn band_path(band: &[(f64, f64, f64)], f: &Frame) -> String {
    let high = band.iter().map(|b| (b.0, b.2));
    let low = band.iter().rev().map(|b| (b.0, b.1));
    let mut d = String::new();
    for (i, (x, y)) in high.chain(low).enumerate() {
        let command = if i == 0 { 'M' } else { 'L' };
        d.push_str(&format!("{command}{:.1} {:.1}", f.x.map(x), f.y.map(y)));
    }
    d
}

/// Lines with labels at their ends, bands over seeds, and a crosshair that the pointer or the
/// arrow keys move; the values under it stand below the chart.
#[component]
pub fn LineChart(
    /// The lines.
    #[prop(into)]
    lines: Signal<Vec<Line>>,
    /// What the chart shows; its accessible name.
    #[prop(into)]
    title: Signal<String>,
    /// Label and unit of the horizontal axis.
    #[prop(into)]
    x_label: Signal<String>,
    /// Label and unit of the vertical axis.
    #[prop(into)]
    y_label: Signal<String>,
    /// Height in pixels.
    #[prop(default = 240.0)]
    height: f64,
    /// Whether the vertical axis is logarithmic.
    #[prop(optional)]
    log_y: bool,
    /// The x under the crosshair, where another view follows it.
    #[prop(optional)]
    cursor: Option<RwSignal<Option<f64>>>,
) -> View {
    let root = NodeRef::new();
    let svg = NodeRef::new();
    let width = use_width(root, 560.0);
    let cursor = cursor.unwrap_or_else(|| RwSignal::new(None));
    let frame = Memo::new(move |_| {
        let (x_label, y_label) = (x_label.get(), y_label.get());
        lines.with(|l| frame(l, width.get(), height, &x_label, &y_label, log_y))
    });
    let stops = Memo::new(move |_| lines.with(|l| stops(l)));

    let readout = Memo::new(move |_| {
        let x = cursor.get()?;
        let f = frame.get();
        let values = lines.with(|lines| {
            let values = lines.iter().filter_map(|line| {
                let (_, y) = nearest(&line.points, x)?;
                Some(format!("{} {}", line.label, f.kinds.1.write(y)))
            });
            values.collect::<Vec<_>>().join(", ")
        });
        Some(format!("{} {}: {values}", x_label.get(), f.kinds.0.write(x)))
    });

    let to_pointer = move |client_x: i32| {
        let Some(element) = svg.get_untracked() else { return };
        let x =
            frame.get_untracked().x.invert(f64::from(client_x) - element.get_bounding_client_rect().left());
        cursor.set(stops.with_untracked(|s| {
            let points: Vec<(f64, f64)> = s.iter().map(|x| (*x, 0.0)).collect();
            nearest(&points, x).map(|p| p.0)
        }));
    };
    let on_key = move |event: leptos::ev::KeyboardEvent| {
        let stops = stops.get_untracked();
        if stops.is_empty() {
            return;
        }
        let last = stops.len() - 1;
        let now = cursor.get_untracked().map(|x| stops.partition_point(|s| *s < x).min(last));
        let stride = if event.shift_key() { (stops.len() / 10).max(1) } else { 1 };
        let next = match event.key().as_str() {
            "ArrowLeft" => now.map_or(last, |i| i.saturating_sub(stride)),
            "ArrowRight" => now.map_or(0, |i| (i + stride).min(last)),
            "Home" => 0,
            "End" => last,
            "Escape" => {
                cursor.set(None);
                return;
            }
            _ => return,
        };
        event.prevent_default();
        cursor.set(stops.get(next).copied());
    };

    let axes = move || {
        let f = frame.get();
        let bottom = f.height - BOTTOM;
        let y_ticks = f.y.ticks(5).into_iter().map(|v| {
            let y = f.y.map(v);
            view! {
                <line class="grid" x1=f.left x2=f.width - f.right y1=y y2=y />
                <text class="tick" x=f.left - 8.0 y=y + 4.0 text-anchor="end">{f.kinds.1.write(v)}</text>
            }
        });
        let room = ((f.width - f.right - f.left) / 72.0).max(2.0) as usize;
        let x_ticks = f.x.ticks(room).into_iter().filter(|v| !f.counted || v.fract() == 0.0).map(|v| {
            let x = f.x.map(v);
            view! {
                <line class="axis" x1=x x2=x y1=bottom y2=bottom + 4.0 />
                <text class="tick" x=x y=bottom + 17.0 text-anchor="middle">{f.kinds.0.write(v)}</text>
            }
        });
        let start = f.y.domain().0;
        let from = if start == 0.0 { String::new() } else { format!(", from {}", f.kinds.1.write(start)) };
        view! {
            {y_ticks.collect_view()}
            <line class="axis" x1=f.left x2=f.width - f.right y1=bottom y2=bottom />
            {x_ticks.collect_view()}
            <text class="axis-label" x="0" y="12">{format!("{}{from}", y_label.get())}</text>
            <text class="axis-label" x=f.width - f.right y=f.height - 4.0 text-anchor="end">
                {x_label.get()}
            </text>
        }
    };

    let drawn = move || {
        let f = frame.get();
        lines.with(|lines| {
            let ends: Vec<f64> = lines
                .iter()
                .map(|l| l.points.iter().rev().find(|p| p.1.is_finite()).map_or(TOP, |p| f.y.map(p.1)))
                .collect();
            let labels_y = spread_labels(&ends, 15.0, TOP, f.height - BOTTOM);
            let room = f.right - 14.0;
            let each = lines.iter().enumerate().map(|(i, line)| {
                let band = (line.band.len() > 1).then(|| view! { <path class="band" d=band_path(&line.band, &f) /> });
                let end = line.points.iter().rev().find(|p| p.1.is_finite()).map(|p| {
                    let (x, y) = (f.x.map(p.0), f.y.map(p.1));
                    let moved = (labels_y[i] - y).abs() > 2.0;
                    let lead = moved.then(|| {
                        view! { <line class="leader" x1=x + 3.0 y1=y x2=f.width - f.right + 8.0 y2=labels_y[i] /> }
                    });
                    let label_x = if moved || x > f.width - f.right - 30.0 { f.width - f.right + 10.0 } else { x + 8.0 };
                    view! {
                        <circle class="end" cx=x cy=y r="2.5" />
                        {lead}
                        <text class="line-label" x=label_x y=labels_y[i] + 4.0>{fit_text(&line.label, room)}</text>
                    }
                });
                view! {
                    <g class=format!("line {}", tone_class(line.tone))>
                        {band}
                        <path class="stroke" d=path(&line.points, &f) stroke-dasharray=dash_of(lines, i) />
                        {end}
                    </g>
                }
            });
            each.collect_view()
        })
    };

    let crosshair = move || {
        let x = cursor.get()?;
        let f = frame.get();
        let at = f.x.map(x);
        let marks = lines.with(|lines| {
            let marks = lines.iter().filter_map(|line| {
                let (px, py) = nearest(&line.points, x)?;
                py.is_finite().then(|| {
                    let class = format!("cross-mark {}", tone_class(line.tone));
                    view! { <circle class=class cx=f.x.map(px) cy=f.y.map(py) r="4" /> }
                })
            });
            marks.collect_view()
        });
        Some(view! {
            <line class="crosshair" x1=at x2=at y1=TOP y2=f.height - BOTTOM />
            {marks}
        })
    };

    view! {
        <div class="chart line-chart" node_ref=root>
            <svg
                node_ref=svg
                role="img"
                tabindex="0"
                aria-label=move || {
                    format!("{}. {} over {}. Arrow keys read the values.", title.get(), y_label.get(), x_label.get())
                }
                width=move || width.get()
                height=height
                viewBox=move || format!("0 0 {} {height}", width.get())
                on:pointermove=move |e| to_pointer(e.client_x())
                on:pointerdown=move |e| to_pointer(e.client_x())
                on:pointerleave=move |_| cursor.set(None)
                on:blur=move |_| cursor.set(None)
                on:keydown=on_key
            >
                {axes}
                {drawn}
                {crosshair}
            </svg>
            <p class="readout" aria-live="polite">
                {move || readout.get()}
            </p>
        </div>
    }
}
