//! The drawing of a network: bars as long as their channels, as thick as their resolution.

use super::graph_layout::{Edge, Item, Layout, MARK, NodeLook, Spacing, layout};
use super::graph_text::{Drawn, LayerText, describe, input_size, kind_class, sentence};
use super::{text_width, unique_id, use_width};
use crate::dom::prelude::*;
use espalier_core::model::Kind;
use std::sync::Arc;

/// Which way the network flows on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Right,
    Down,
}

/// A rectangle on the page.
#[derive(Debug, Clone, Copy)]
struct Rect {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct Drawing {
    layout: Layout,
    texts: Vec<LayerText>,
    flow: Flow,
    width: f64,
    height: f64,
    /// Left upper corner of the drawing.
    origin: (f64, f64),
    /// Start of the labels, across the flow.
    label_at: f64,
}

impl Drawing {
    /// A point (along, across) on the page. When it flows to the right, skips pass above.
    fn at(&self, along: f64, across: f64) -> (f64, f64) {
        match self.flow {
            Flow::Down => (self.origin.0 + across, self.origin.1 + along),
            Flow::Right => (self.origin.0 + along, self.origin.1 + self.layout.across - across),
        }
    }

    fn rect(&self, along: (f64, f64), across: (f64, f64)) -> Rect {
        let (a, b) = (self.at(along.0, across.0), self.at(along.1, across.1));
        Rect { x: a.0.min(b.0), y: a.1.min(b.1), w: (a.0 - b.0).abs(), h: (a.1 - b.1).abs() }
    }

    fn edge_path(&self, edge: &Edge) -> String {
        let mut d = String::new();
        for (i, point) in edge.points.iter().enumerate() {
            let (x, y) = self.at(point.0, point.1);
            if i == 0 {
                d.push_str(&format!("M{x:.1} {y:.1}"));
                continue;
            }
            let last = edge.points[i - 1];
            if (last.1 - point.1).abs() < 0.5 {
                d.push_str(&format!("L{x:.1} {y:.1}"));
            } else {
                let middle = (last.0 + point.0) / 2.0;
                let (ax, ay) = self.at(middle, last.1);
                let (bx, by) = self.at(middle, point.1);
                d.push_str(&format!("C{ax:.1} {ay:.1} {bx:.1} {by:.1} {x:.1} {y:.1}"));
            }
        }
        d
    }
}

fn text_of(item: &Item, drawn: &Drawn) -> LayerText {
    match item.node {
        Some(i) if drawn.graph.nodes.get(i).is_some_and(|n| n.op == "Add") => {
            LayerText { what: "Add".into(), size: String::new() }
        }
        Some(i) => describe(drawn, i),
        None => LayerText { what: "Input".into(), size: input_size(drawn) },
    }
}

/// Room between the drawing and its edge, for rings and thick strokes.
const PAD: f64 = 6.0;
/// Room for a label under a bar when the network flows to the right.
const COLUMN: f64 = 92.0;

fn draw(drawn: &Drawn, looks: &[NodeLook], width: f64) -> Option<Drawing> {
    if !drawn.is_sound() {
        return None;
    }
    let mut spacing = Spacing::FULL;
    let probe = layout(drawn, looks, &spacing);
    let flow = if width >= COLUMN * probe.layers as f64 + 2.0 * PAD { Flow::Right } else { Flow::Down };
    let texts = |l: &Layout| l.items.iter().map(|i| text_of(i, drawn)).collect::<Vec<_>>();
    Some(match flow {
        Flow::Down => {
            let labels = texts(&probe).iter().map(|t| text_width(&t.line())).fold(60.0, f64::max);
            let room = (width - labels - 24.0 - 2.0 * PAD).max(60.0);
            // Bars shrink until the drawing and its labels fit side by side.
            let mut l = probe;
            for _ in 0..6 {
                if l.across <= room || spacing.longest <= 24.0 {
                    break;
                }
                spacing.longest = (spacing.longest * (room / l.across).max(0.4)).max(24.0);
                spacing.beside = (spacing.beside * 0.8).max(8.0);
                l = layout(drawn, looks, &spacing);
            }
            let height = l.along + 2.0 * PAD + 8.0;
            let label_at = PAD + l.across + 20.0;
            let width = (label_at + labels + PAD).max(width);
            Drawing { texts: texts(&l), layout: l, flow, width, height, origin: (PAD, PAD + 4.0), label_at }
        }
        Flow::Right => {
            spacing.stacked = false;
            spacing.pitch = (width / probe.layers.max(1) as f64).clamp(COLUMN, 128.0);
            let l = layout(drawn, looks, &spacing);
            let mut counts = vec![0usize; l.layers];
            l.items.iter().for_each(|i| counts[i.layer] += 1);
            let rows = counts.into_iter().max().unwrap_or(1) as f64;
            let label_at = PAD + l.across + 20.0;
            let height = label_at + rows * 30.0;
            let origin = (PAD + COLUMN / 2.0 - 10.0, PAD);
            Drawing { texts: texts(&l), layout: l, flow, width, height, origin, label_at }
        }
    })
}

/// The bits of a grain pattern: coarser where there are fewer.
const GRAINS: [(u8, f64); 7] = [(2, 7.0), (3, 6.0), (4, 5.0), (5, 4.5), (6, 4.0), (7, 3.5), (8, 3.0)];

fn bar(d: &Drawing, item: &Item, look: Option<&NodeLook>, grain: &str) -> View {
    let half = item.length / 2.0;
    let (a, b) = (item.along - item.thickness / 2.0, item.along + item.thickness / 2.0);
    if item.kind == Some(Kind::Merge) {
        let (x, y) = d.at(item.along, item.across);
        let r = item.thickness / 2.0;
        return view! {
            <circle class="merge" cx=x cy=y r=r />
            <path class="merge-sign" d=format!("M{} {y}H{}M{x} {}V{}", x - 3.5, x + 3.5, y - 3.5, y + 3.5) />
        };
    }
    let rect = |low: f64, high: f64, class: &'static str, fill: Option<String>| {
        let r = d.rect((a, b), (low, high));
        view! { <rect class=class x=r.x y=r.y width=r.w height=r.h fill=fill /> }
    };
    let (low, high) = (item.across - half, item.across + half);
    let kept = look.map_or(&[][..], |l| l.kept.as_slice());
    let mut runs: Vec<(f64, f64)> = Vec::new();
    if kept.iter().all(|k| *k) {
        runs.push((low, high));
    } else {
        let per = item.length / kept.len() as f64;
        let mut start = None;
        for i in 0..=kept.len() {
            match (kept.get(i).copied().unwrap_or(false), start) {
                (true, None) => start = Some(i),
                (false, Some(s)) => {
                    runs.push((low + s as f64 * per, low + i as f64 * per));
                    start = None;
                }
                _ => {}
            }
        }
    }
    let cut = (!kept.iter().all(|k| *k)).then(|| rect(low, high, "layer-cut", None));
    let solid = runs.iter().map(|(s, e)| rect(*s, *e, "layer-bar", None)).collect_view();
    let grained = look.and_then(|l| l.bits).filter(|b| *b <= 8).map(|bits| {
        let fill = format!("url(#{grain}-{})", bits.max(2));
        runs.iter().map(|(s, e)| rect(*s, *e, "layer-grain", Some(fill.clone()))).collect_view()
    });
    view! { {cut} {solid} {grained} }
}

fn marks(d: &Drawing, item: &Item, drawn: &Drawn) -> View {
    let from = item.along + item.thickness / 2.0;
    let each = item.marks.iter().enumerate().map(|(k, node)| {
        let at = from + (k as f64 + 0.65) * MARK;
        let half = if item.kind == Some(Kind::Merge) { 10.0 } else { item.length / 2.0 };
        let (a, b) = (d.at(at, item.across - half), d.at(at, item.across + half));
        let class = format!("layer-mark {}", kind_class(drawn.kind(*node)));
        view! { <line class=class x1=a.0 y1=a.1 x2=b.0 y2=b.1 /> }
    });
    each.collect_view()
}

/// The drawing of a network at full size, with direct labels.
///
/// Pointing at a layer sets `hovered` to its node's index, which other views share; the arrow
/// keys go from layer to layer.
#[component]
pub fn GraphView(
    /// The network.
    #[prop(into)]
    graph: Signal<Arc<Drawn>>,
    /// Index of the node under the pointer, shared with other views.
    hovered: RwSignal<Option<usize>>,
    /// What was done to each node, by index; may be shorter than the graph.
    #[prop(into, optional)]
    looks: Signal<Vec<NodeLook>>,
) -> View {
    let root = NodeRef::new();
    let width = use_width(root, 560.0);
    let drawing = Memo::new(move |_| graph.with(|g| looks.with(|l| draw(g, l, width.get()))));
    let grain = StoredValue::new(unique_id("grain"));

    // The item that stands for the hovered node: itself, or the one that bears it as a mark.
    let lit = Memo::new(move |_| {
        let node = hovered.get()?;
        drawing.with(|d| {
            let items = &d.as_ref()?.layout.items;
            items.iter().position(|i| i.node == Some(node) || i.marks.contains(&node))
        })
    });
    let on_key = move |event: leptos::ev::KeyboardEvent| {
        let nodes: Vec<usize> = drawing.with_untracked(|d| {
            d.iter().flat_map(|d| d.layout.items.iter().filter_map(|i| i.node)).collect()
        });
        if nodes.is_empty() {
            return;
        }
        let now = hovered.get_untracked().and_then(|n| nodes.iter().rposition(|m| *m <= n));
        let next = match event.key().as_str() {
            "ArrowRight" | "ArrowDown" => now.map_or(0, |i| (i + 1).min(nodes.len() - 1)),
            "ArrowLeft" | "ArrowUp" => now.map_or(nodes.len() - 1, |i| i.saturating_sub(1)),
            "Home" => 0,
            "End" => nodes.len() - 1,
            "Escape" => return hovered.set(None),
            _ => return,
        };
        event.prevent_default();
        hovered.set(Some(nodes[next]));
    };

    let drawn = move || {
        let Some(d) = drawing.get() else {
            let text = graph.with(|g| sentence(g));
            return view! { <p class="empty">{text}</p> };
        };
        let graph_now = graph.get();
        let looks_now = looks.get();
        let grain = grain.get_value();
        let edges = d.layout.edges.iter().map(|e| {
            let (from, to) = (e.from, e.to);
            let class = if e.skip { "edge passes" } else { "edge" };
            view! {
                <path
                    class=class
                    class:is-lit=move || lit.get().is_some_and(|i| i == from || i == to)
                    d=d.edge_path(e)
                />
            }
        });
        let mut row = vec![0usize; d.layout.layers];
        let mut count = vec![0usize; d.layout.layers];
        d.layout.items.iter().for_each(|i| count[i.layer] += 1);
        let items = d.layout.items.iter().enumerate().map(|(i, item)| {
            let look = item.node.and_then(|n| looks_now.get(n));
            let strength = look.and_then(|l| l.strength).map_or(1.0, |s| s.clamp(0.15, 1.0));
            let class = format!("layer {}", item.kind.map_or("kind-input", kind_class));
            let text = d.texts.get(i).cloned().unwrap_or_default();
            let k = row[item.layer];
            row[item.layer] += 1;
            let quiet = item.kind == Some(Kind::Merge) || item.kind.is_none();
            let label_class = if quiet { "layer-label quiet" } else { "layer-label" };
            let label = match d.flow {
                Flow::Down => {
                    let offset = (k as f64 - (count[item.layer] as f64 - 1.0) / 2.0) * 15.0;
                    let y = d.at(item.along, 0.0).1 + offset + 4.0;
                    view! {
                        <text class=label_class x=d.label_at y=y>
                            {text.what.clone()}
                            <tspan class="layer-size" dx="7">{text.size.clone()}</tspan>
                        </text>
                    }
                }
                Flow::Right => {
                    let x = d.at(item.along, 0.0).0;
                    let y = d.label_at + k as f64 * 30.0 + 4.0;
                    view! {
                        <text class=label_class x=x y=y text-anchor="middle">
                            {text.what.clone()}
                            <tspan class="layer-size" x=x dy="14">{text.size.clone()}</tspan>
                        </text>
                    }
                }
            };
            // A generous area to point at, whatever the bar's size.
            let near = d.rect(
                (item.start() - 6.0, item.end() + 6.0),
                (item.across - item.length / 2.0 - 8.0, item.across + item.length / 2.0 + 8.0),
            );
            let node = item.node;
            let marks = marks(&d, item, &graph_now);
            let bar = bar(&d, item, look, &grain);
            view! {
                <g
                    class=class
                    class:is-lit=move || lit.get() == Some(i)
                    class:is-dim=move || lit.get().is_some_and(|l| l != i)
                    opacity=strength
                    on:pointerenter=move |_| hovered.set(node)
                >
                    <rect class="target" x=near.x y=near.y width=near.w height=near.h />
                    {bar}
                    {marks}
                    {label}
                </g>
            }
        });
        let items = items.collect_view();
        let patterns = GRAINS.map(|(bits, size)| {
            view! {
                <pattern id=format!("{grain}-{bits}") width=size height=size patternUnits="userSpaceOnUse">
                    <rect class="grain" width=size / 2.0 height=size / 2.0 />
                    <rect class="grain" x=size / 2.0 y=size / 2.0 width=size / 2.0 height=size / 2.0 />
                </pattern>
            }
        });
        view! {
            <svg
                role="img"
                tabindex="0"
                aria-label=format!("{}. Arrow keys go through its layers.", sentence(&graph_now))
                width=d.width
                height=d.height
                viewBox=format!("0 0 {} {}", d.width, d.height)
                on:pointerleave=move |_| hovered.set(None)
                on:keydown=on_key
            >
                <defs>{patterns.into_iter().collect_view()}</defs>
                {edges.collect_view()}
                {items}
            </svg>
        }
    };
    let readout = move || {
        let node = hovered.get()?;
        graph.with(|g| {
            let n = g.graph.nodes.get(node)?;
            let cost = g.anatomy.layers.get(node)?;
            let mut text = format!("{}: {}", n.name, describe(g, node).line());
            if cost.params > 0 {
                text.push_str(&format!("; {} parameters", super::format::count(cost.params)));
            }
            if cost.macs > 0 {
                text.push_str(&format!(", {} MACs", super::format::count(cost.macs)));
            }
            Some(text)
        })
    };
    view! {
        <div class="chart graph-view" node_ref=root>
            {drawn}
            <p class="readout" aria-live="polite">{readout}</p>
        </div>
    }
}

/// The drawing of a network as a thumbnail, without labels; its size is its container's.
#[component]
pub fn GraphThumb(
    /// The network.
    #[prop(into)]
    graph: Signal<Arc<Drawn>>,
    /// What was done to each node, by index.
    #[prop(into, optional)]
    looks: Signal<Vec<NodeLook>>,
) -> View {
    (move || {
        let graph = graph.get();
        let label = sentence(&graph);
        if !graph.is_sound() {
            return view! { <span class="graph-thumb empty">{label}</span> };
        }
        let looks = looks.get();
        let l = layout(&graph, &looks, &Spacing::THUMB);
        // A square canvas at least, so that two thumbnails side by side have one scale.
        let width = (l.along + 8.0).max(l.across + 8.0).max(72.0);
        let height = (l.across + 8.0).max(48.0);
        let origin = ((width - l.along) / 2.0, (height - l.across) / 2.0);
        let d =
            Drawing { layout: l, texts: Vec::new(), flow: Flow::Right, width, height, origin, label_at: 0.0 };
        let edges = d.layout.edges.iter().map(|e| {
            view! { <path class=if e.skip { "edge passes" } else { "edge" } d=d.edge_path(e) /> }
        });
        let items = d.layout.items.iter().map(|item| {
            let look = item.node.and_then(|n| looks.get(n));
            let class = format!("layer {}", item.kind.map_or("kind-input", kind_class));
            let bar = bar(&d, item, look, "no-grain");
            view! { <g class=class>{bar}</g> }
        });
        view! {
            <svg class="graph-thumb" role="img" aria-label=label viewBox=format!("0 0 {width} {height}")>
                {edges.collect_view()}
                {items.collect_view()}
            </svg>
        }
    })
    .to_view()
}
