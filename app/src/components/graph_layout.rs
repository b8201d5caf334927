//! Where the layers of a network stand in its drawing.
//!
//! A layered drawing (Sugiyama, Tagawa and Toda, 1981): layers by longest path, dummy vertices
//! where an edge passes a layer, crossings reduced by barycenter sweeps, positions by least
//! squares under "no overlap". A chain stays straight; what skips it curves around it. Positions
//! are along the flow and across it; the view decides which of the two is x.

use super::graph_text::Drawn;
use super::order_by;
use super::scale::separate;
use espalier_core::model::{Kind, one_sample};
use std::collections::BTreeMap;

/// Optional decoration of a node: what was done to its layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeLook {
    /// Which of its former output channels are kept; empty where all are. The bar has the length
    /// of the former channels, and the others are cut out of it.
    pub kept: Vec<bool>,
    /// Bits of its weights, where they are quantized.
    pub bits: Option<u8>,
    /// How settled a choice is, 0 to 1: faint to full. Absent is full.
    pub strength: Option<f32>,
}

/// A drawn thing: the network's input, or a node with the norms and activations behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Index of its node; `None` for an input of the network.
    pub node: Option<usize>,
    /// Its kind; `None` for an input of the network.
    pub kind: Option<Kind>,
    /// Nodes drawn as thin marks behind it: norms, activations, reshapes.
    pub marks: Vec<usize>,
    /// Channels (or features) of its output.
    pub channels: usize,
    /// Height of its output in pixels; 1 for vectors.
    pub resolution: usize,
    /// Size along the flow, without its marks.
    pub thickness: f64,
    /// Size across the flow.
    pub length: f64,
    /// Its layer, from 0.
    pub layer: usize,
    /// Centre along the flow, without its marks.
    pub along: f64,
    /// Centre across the flow.
    pub across: f64,
}

impl Item {
    /// Where the edges into it end.
    pub fn start(&self) -> f64 {
        self.along - self.thickness / 2.0
    }

    /// Where the edges out of it begin: behind its marks.
    pub fn end(&self) -> f64 {
        self.along + self.thickness / 2.0 + self.marks.len() as f64 * MARK
    }
}

/// A drawn connection, as points (along, across) from one item's end to another's start.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// Index of the item it comes from.
    pub from: usize,
    /// Index of the item it goes to.
    pub to: usize,
    /// Its course.
    pub points: Vec<(f64, f64)>,
    /// Whether it passes over layers.
    pub skip: bool,
}

/// A drawing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    /// The items, in the graph's order, inputs first.
    pub items: Vec<Item>,
    /// The connections.
    pub edges: Vec<Edge>,
    /// Extent along the flow, from 0.
    pub along: f64,
    /// Extent across the flow, from 0.
    pub across: f64,
    /// Number of layers.
    pub layers: usize,
}

/// Distances of a drawing, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spacing {
    /// Least distance between layers.
    pub gap: f64,
    /// Least distance between centres of layers, so that labels find room; one label's height or
    /// width, times the items of a layer where labels are stacked along the flow.
    pub pitch: f64,
    /// Whether the labels of one layer are stacked along the flow.
    pub stacked: bool,
    /// Least distance between items of one layer.
    pub beside: f64,
    /// Length of the longest bar.
    pub longest: f64,
    /// Length of the shortest bar.
    pub shortest: f64,
    /// Thickness of a vector's bar.
    pub thinnest: f64,
    /// Thickness that each doubling of the resolution adds.
    pub per_octave: f64,
}

impl Spacing {
    /// For a full drawing with labels.
    pub const FULL: Self = Self {
        gap: 18.0,
        pitch: 30.0,
        stacked: true,
        beside: 16.0,
        longest: 150.0,
        shortest: 8.0,
        thinnest: 6.0,
        per_octave: 4.0,
    };

    /// For a thumbnail.
    pub const THUMB: Self = Self {
        gap: 8.0,
        pitch: 0.0,
        stacked: false,
        beside: 8.0,
        longest: 64.0,
        shortest: 8.0,
        thinnest: 6.0,
        per_octave: 2.5,
    };
}

/// Distance from one mark to the next.
pub const MARK: f64 = 4.0;
/// Room across the flow for an edge that passes a layer.
const LANE: f64 = 12.0;
/// Size of a circle where branches meet.
const MERGE: f64 = 14.0;

/// Lays a network out. `looks` decorates nodes by index and may be shorter than the graph.
pub fn layout(drawn: &Drawn, looks: &[NodeLook], spacing: &Spacing) -> Layout {
    let (mut items, links) = items(drawn, looks);
    if items.is_empty() {
        return Layout::default();
    }
    size_items(&mut items, spacing);
    let layer_count = layer_items(&mut items, &links);
    let mut net = Net::new(&items, &links, layer_count);
    net.reduce_crossings();
    net.place_across(spacing);
    place_along(&mut items, &net, spacing);
    for (i, item) in items.iter_mut().enumerate() {
        item.across = net.vertices[i].across;
    }
    let mut edges: Vec<Edge> = net
        .routes
        .iter()
        .map(|route| {
            let (from, to) = (&items[route.from], &items[route.to]);
            let mut points = vec![(from.end(), from.across)];
            for lane in &route.lanes {
                let vertex = &net.vertices[*lane];
                // In and out of the lane: the curve bends between layers, not beside the bars.
                let (low, high) = layer_extent(&items, vertex.layer);
                points.push((low, vertex.across));
                points.push((high, vertex.across));
            }
            points.push((to.start(), to.across));
            Edge { from: route.from, to: route.to, points, skip: !route.lanes.is_empty() }
        })
        .collect();
    // Everything moves to start at zero.
    let low = items
        .iter()
        .map(|i| i.across - i.length / 2.0)
        .chain(edges.iter().flat_map(|e| e.points.iter().map(|p| p.1 - 2.0)));
    let low = low.fold(f64::INFINITY, f64::min);
    let start = items.iter().map(Item::start).fold(f64::INFINITY, f64::min);
    for item in &mut items {
        item.across -= low;
        item.along -= start;
    }
    for point in edges.iter_mut().flat_map(|e| e.points.iter_mut()) {
        *point = (point.0 - start, point.1 - low);
    }
    let across = items
        .iter()
        .map(|i| i.across + i.length / 2.0)
        .chain(edges.iter().flat_map(|e| e.points.iter().map(|p| p.1 + 2.0)))
        .fold(0.0, f64::max);
    let along = items.iter().map(Item::end).fold(0.0, f64::max);
    Layout { items, edges, along, across, layers: layer_count }
}

fn channels_of(shape: &[usize]) -> (usize, usize) {
    match shape {
        [_, c, h, _] => (*c, *h),
        [_, t, f] => (*f, *t),
        [_, f] => (*f, 1),
        other => (other.last().copied().unwrap_or(1), 1),
    }
}

/// The items and the links between them, as pairs of item indices, each once.
fn items(drawn: &Drawn, looks: &[NodeLook]) -> (Vec<Item>, Vec<(usize, usize)>) {
    let blank = |node: Option<usize>, kind: Option<Kind>, shape: &[usize]| {
        let (channels, resolution) = channels_of(shape);
        Item {
            node,
            kind,
            marks: Vec::new(),
            channels,
            resolution,
            thickness: 0.0,
            length: 0.0,
            layer: 0,
            along: 0.0,
            across: 0.0,
        }
    };
    let mut items = Vec::new();
    // The item that makes each tensor.
    let mut maker: BTreeMap<&str, usize> = BTreeMap::new();
    for port in &drawn.graph.inputs {
        maker.insert(&port.name, items.len());
        items.push(blank(None, None, &one_sample(&port.shape)));
    }
    let mut links: Vec<(usize, usize)> = Vec::new();
    for (i, node) in drawn.graph.nodes.iter().enumerate() {
        let mut sources: Vec<usize> =
            node.inputs.iter().filter_map(|name| maker.get(name.as_str()).copied()).collect();
        sources.dedup();
        let kind = drawn.kind(i);
        let fades = matches!(kind, Kind::Norm | Kind::Activation | Kind::Shape);
        let item = match sources.as_slice() {
            [host] if fades && node.outputs.len() == 1 => {
                items[*host].marks.push(i);
                *host
            }
            _ => {
                let mut item = blank(Some(i), Some(kind), drawn.shape(i));
                if let Some(look) = looks.get(i).filter(|l| !l.kept.is_empty()) {
                    item.channels = look.kept.len();
                }
                for source in sources {
                    let link = (source, items.len());
                    if !links.contains(&link) {
                        links.push(link);
                    }
                }
                items.push(item);
                items.len() - 1
            }
        };
        for output in &node.outputs {
            maker.insert(output, item);
        }
    }
    (items, links)
}

fn size_items(items: &mut [Item], s: &Spacing) {
    let most = items.iter().map(|i| i.channels).max().unwrap_or(1).max(1) as f64;
    for item in items {
        if item.kind == Some(Kind::Merge) {
            (item.length, item.thickness) = (MERGE, MERGE);
        } else {
            item.length = (item.channels as f64 / most * s.longest).max(s.shortest);
            let octaves = (item.resolution.max(1) as f64).log2();
            item.thickness = s.thinnest + s.per_octave * octaves.min(8.0);
            if item.kind == Some(Kind::Pool) {
                item.thickness = (item.thickness * 0.6).max(4.0);
            }
        }
    }
}

/// Longest-path layers; returns how many there are. Items come in topological order.
fn layer_items(items: &mut [Item], links: &[(usize, usize)]) -> usize {
    for i in 0..items.len() {
        let before = links.iter().filter(|l| l.1 == i).map(|l| items[l.0].layer + 1);
        items[i].layer = before.max().unwrap_or(0);
    }
    items.iter().map(|i| i.layer + 1).max().unwrap_or(0)
}

/// A vertex of the layered net: an item (same index), or a lane for an edge that passes by.
struct Vertex {
    layer: usize,
    length: f64,
    lane: bool,
    across: f64,
    before: Vec<usize>,
    after: Vec<usize>,
}

struct Route {
    from: usize,
    to: usize,
    lanes: Vec<usize>,
}

struct Net {
    vertices: Vec<Vertex>,
    /// Vertices of each layer, in order across.
    layers: Vec<Vec<usize>>,
    routes: Vec<Route>,
}

impl Net {
    fn new(items: &[Item], links: &[(usize, usize)], layer_count: usize) -> Self {
        let vertex = |layer, length, lane| Vertex {
            layer,
            length,
            lane,
            across: 0.0,
            before: Vec::new(),
            after: Vec::new(),
        };
        let mut vertices: Vec<Vertex> = items.iter().map(|i| vertex(i.layer, i.length, false)).collect();
        let mut routes = Vec::with_capacity(links.len());
        for (from, to) in links {
            let mut lanes = Vec::new();
            let mut last = *from;
            for layer in items[*from].layer + 1..items[*to].layer {
                let lane = vertices.len();
                vertices.push(vertex(layer, LANE, true));
                vertices[last].after.push(lane);
                vertices[lane].before.push(last);
                lanes.push(lane);
                last = lane;
            }
            vertices[last].after.push(*to);
            vertices[*to].before.push(last);
            routes.push(Route { from: *from, to: *to, lanes });
        }
        let mut layers = vec![Vec::new(); layer_count];
        for (i, v) in vertices.iter().enumerate() {
            layers[v.layer].push(i);
        }
        Self { vertices, layers, routes }
    }

    fn positions(&self) -> Vec<usize> {
        let mut at = vec![0; self.vertices.len()];
        self.layers.iter().for_each(|layer| layer.iter().enumerate().for_each(|(i, v)| at[*v] = i));
        at
    }

    fn crossings(&self) -> usize {
        let at = self.positions();
        let between = self.layers.iter().map(|layer| {
            let ends: Vec<(usize, usize)> =
                layer.iter().flat_map(|v| self.vertices[*v].after.iter().map(|w| (at[*v], at[*w]))).collect();
            let pairs = ends.iter().enumerate().flat_map(|(i, a)| ends[i + 1..].iter().map(move |b| (a, b)));
            pairs.filter(|(a, b)| (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1)).count()
        });
        between.sum()
    }

    fn reduce_crossings(&mut self) {
        let mut best = (self.crossings(), self.layers.clone());
        for sweep in 0..8 {
            if best.0 == 0 {
                break;
            }
            let forward = sweep % 2 == 0;
            let order: Vec<usize> = if forward {
                (0..self.layers.len()).collect()
            } else {
                (0..self.layers.len()).rev().collect()
            };
            for layer in order {
                let at = self.positions();
                let center = |v: usize| {
                    let near = if forward { &self.vertices[v].before } else { &self.vertices[v].after };
                    if near.is_empty() {
                        return at[v] as f64;
                    }
                    near.iter().map(|n| at[*n] as f64).sum::<f64>() / near.len() as f64
                };
                let old = &self.layers[layer];
                let order = order_by(old.len(), &|a, b| center(old[a]).total_cmp(&center(old[b])));
                self.layers[layer] = order.into_iter().map(|i| old[i]).collect();
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.layers.clone());
            }
        }
        self.layers = best.1;
    }

    /// The wanted position of a vertex: in line with its neighbours. Items follow items, so that
    /// a skip beside a chain does not bend the chain; lanes follow whatever they join.
    fn wanted(&self, v: usize, sides: (bool, bool)) -> f64 {
        let vertex = &self.vertices[v];
        let before = vertex.before.iter().filter(|_| sides.0);
        let near: Vec<usize> = before.chain(vertex.after.iter().filter(|_| sides.1)).copied().collect();
        let solid: Vec<usize> =
            near.iter().copied().filter(|n| vertex.lane || !self.vertices[*n].lane).collect();
        let use_of = if solid.is_empty() { &near } else { &solid };
        if use_of.is_empty() {
            return vertex.across;
        }
        use_of.iter().map(|n| self.vertices[*n].across).sum::<f64>() / use_of.len() as f64
    }

    fn place_across(&mut self, spacing: &Spacing) {
        for layer in 0..self.layers.len() {
            self.settle(layer, |_, _| 0.0, spacing);
        }
        for sweep in 0..12 {
            let sides = match sweep % 3 {
                0 => (true, false),
                1 => (false, true),
                _ => (true, true),
            };
            for k in 0..self.layers.len() {
                let layer = if sweep % 3 == 1 { self.layers.len() - 1 - k } else { k };
                self.settle(layer, |net, v| net.wanted(v, sides), spacing);
            }
        }
        // An edge that passes several layers on the outside does so in one straight lane.
        for r in 0..self.routes.len() {
            let lanes = self.routes[r].lanes.clone();
            if lanes.len() < 2 {
                continue;
            }
            let last = |net: &Self, lane: usize| net.layers[net.vertices[lane].layer].last() == Some(&lane);
            let first = |net: &Self, lane: usize| net.layers[net.vertices[lane].layer].first() == Some(&lane);
            let across = lanes.iter().map(|l| self.vertices[*l].across);
            let straight = if lanes.iter().all(|l| last(self, *l)) {
                across.fold(f64::NEG_INFINITY, f64::max)
            } else if lanes.iter().all(|l| first(self, *l)) {
                across.fold(f64::INFINITY, f64::min)
            } else {
                continue;
            };
            lanes.iter().for_each(|l| self.vertices[*l].across = straight);
        }
    }

    fn settle(&mut self, layer: usize, wanted: impl Fn(&Self, usize) -> f64, spacing: &Spacing) {
        let order = &self.layers[layer];
        let wants: Vec<f64> = order.iter().map(|v| wanted(self, *v)).collect();
        let gap = |v: &Vertex| if v.lane { 0.0 } else { spacing.beside };
        let sizes: Vec<f64> =
            order.iter().map(|v| self.vertices[*v].length + gap(&self.vertices[*v])).collect();
        let weights: Vec<f64> =
            order.iter().map(|v| if self.vertices[*v].lane { 1e-9 } else { 1.0 }).collect();
        let placed = separate(&wants, &sizes, &weights);
        for (v, across) in order.clone().into_iter().zip(placed) {
            self.vertices[v].across = across;
        }
    }
}

fn layer_extent(items: &[Item], layer: usize) -> (f64, f64) {
    let here = items.iter().filter(|i| i.layer == layer);
    here.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), i| (low.min(i.start()), high.max(i.end())))
}

fn place_along(items: &mut [Item], net: &Net, spacing: &Spacing) {
    let mut at = 0.0;
    for (layer, order) in net.layers.iter().enumerate() {
        let here: Vec<usize> = order.iter().copied().filter(|v| *v < items.len()).collect();
        let thickness = here.iter().map(|i| items[*i].thickness).fold(0.0, f64::max);
        let extent = here
            .iter()
            .map(|i| items[*i].thickness / 2.0 + thickness / 2.0 + items[*i].marks.len() as f64 * MARK)
            .fold(thickness, f64::max);
        let labels = if spacing.stacked { here.len().max(1) as f64 * 15.0 + 6.0 } else { spacing.pitch };
        let pitch = (extent + spacing.gap).max(labels).max(spacing.pitch);
        let lead = if layer == 0 { 0.0 } else { (pitch - extent - spacing.gap) / 2.0 };
        for i in here {
            items[i].along = at + lead + thickness / 2.0;
        }
        at += pitch - if layer == 0 { (pitch - extent - spacing.gap) / 2.0 } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use espalier_core::model::{Anatomy, ConvOptions, Graph, GraphBuilder};
    use espalier_core::rng::Rng;

    fn residual() -> Graph {
        let mut b = GraphBuilder::new("residual", &[1, 8, 8]);
        let a = b.conv("x", 8, 3, ConvOptions::default()).unwrap();
        let r = b.unary("Relu", &a).unwrap();
        let c = b.conv(&r, 24, 3, ConvOptions::default()).unwrap();
        let d = b.unary("Relu", &c).unwrap();
        let e = b.conv(&d, 8, 3, ConvOptions::default()).unwrap();
        let f = b.add(&e, &r).unwrap();
        b.finish(&f).unwrap()
    }

    fn check(graph: &Graph) -> Layout {
        let l = layout(&Drawn { graph: graph.clone(), anatomy: Anatomy::of(graph) }, &[], &Spacing::FULL);
        for (i, a) in l.items.iter().enumerate() {
            for b in &l.items[i + 1..] {
                let along = a.start() < b.end() && b.start() < a.end();
                let across = (a.across - b.across).abs() < (a.length + b.length) / 2.0;
                assert!(!(along && across), "{:?} overlaps {:?} in {}", a.node, b.node, graph.name);
            }
            assert!(a.across - a.length / 2.0 >= -1e-6 && a.across + a.length / 2.0 <= l.across + 1e-6);
        }
        for edge in &l.edges {
            assert!(edge.points.is_sorted_by(|a, b| a.0 <= b.0 + 1e-6), "goes back: {edge:?}");
            assert!(l.items[edge.from].layer < l.items[edge.to].layer);
            // No edge runs through a bar that it does not belong to.
            for item in l
                .items
                .iter()
                .filter(|i| i.layer > l.items[edge.from].layer && i.layer < l.items[edge.to].layer)
            {
                for (_, across) in &edge.points[1..edge.points.len() - 1] {
                    let here = edge
                        .points
                        .iter()
                        .any(|p| p.1 == *across && p.0 >= item.start() && p.0 <= item.end());
                    let apart = (across - item.across).abs() >= item.length / 2.0;
                    assert!(!here || apart, "{:?} is crossed by {edge:?}", item.node);
                }
            }
        }
        l
    }

    #[test]
    fn a_chain_is_straight_and_its_skip_passes_beside_it() {
        let l = check(&residual());
        // Input, three convolutions, one sum; the activations are marks.
        assert_eq!(l.items.len(), 5);
        assert_eq!(l.items[1].marks, [1]);
        let center = l.items[0].across;
        assert!(l.items.iter().all(|i| (i.across - center).abs() < 1e-6), "{:?}", l.items);
        let skips: Vec<&Edge> = l.edges.iter().filter(|e| e.skip).collect();
        assert_eq!(skips.len(), 1);
        assert_eq!((skips[0].from, skips[0].to), (1, 4));
        // Channels are lengths.
        assert!((l.items[2].length / l.items[1].length - 3.0).abs() < 1e-6);
    }

    #[test]
    fn random_networks_do_not_overlap() {
        let mut rng = Rng::new(11);
        for round in 0..30 {
            let mut b = GraphBuilder::new(&format!("random {round}"), &[4, 8, 8]);
            let mut tensors = vec![b.input()];
            for _ in 0..12 {
                let x = rng.choose(&tensors).unwrap().clone();
                let y = rng.choose(&tensors).unwrap().clone();
                let made = match rng.below(3) {
                    0 => b.conv(&x, 4, 3, ConvOptions::default()),
                    1 => b.unary("Relu", &x),
                    _ => b.add(&x, &y),
                };
                tensors.push(made.unwrap());
            }
            let last = tensors.last().unwrap().clone();
            check(&b.finish(&last).unwrap());
        }
    }

    #[test]
    fn an_empty_graph_is_an_empty_drawing() {
        let l = layout(&Drawn::default(), &[], &Spacing::FULL);
        assert_eq!(l, Layout::default());
    }
}
