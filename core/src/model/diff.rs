//! What changed between two architectures: which node became which, and what it cost.
//!
//! Nodes are aligned in order (Needleman and Wunsch, 1970, with no gap penalty, which is a weighted
//! longest common subsequence): two nodes may be paired when their operators are equal, the more
//! gladly the more agrees, first attributes and weight shapes, then the name. What is left over is
//! paired by name alone, so that reordered branches find each other.

use super::{Attr, Cost, Graph, Node};
use crate::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What became of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Nothing changed.
    Kept,
    /// The same node reads from elsewhere.
    Rewired,
    /// An attribute or a weight's shape changed.
    Changed,
    /// Only in the second graph.
    Added,
    /// Only in the first graph.
    Removed,
}

/// What a [`Change`] is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// An attribute, by name.
    Attribute(String),
    /// The shape of the weight at an input position.
    Weight(usize),
    /// Where the input at a position comes from.
    Input(usize),
}

/// One thing that is not as it was. "–" stands for absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it is about.
    pub what: What,
    /// As it was.
    pub before: String,
    /// As it is.
    pub after: String,
}

/// A node in one of the graphs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Its position among the graph's nodes.
    pub node: usize,
    /// Its name.
    pub name: String,
    /// Shape of its first output at batch size 1.
    pub shape: Vec<usize>,
    /// Its cost at batch size 1.
    pub cost: Cost,
}

/// One line of a side-by-side view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The operator.
    pub op: String,
    /// What became of it.
    pub status: Status,
    /// In the first graph.
    pub before: Option<Side>,
    /// In the second graph.
    pub after: Option<Side>,
    /// What changed, where it is in both.
    pub changes: Vec<Change>,
}

/// Differences of costs, second minus first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// Multiply-accumulate operations.
    pub macs: i64,
    /// Trainable parameters.
    pub params: i64,
    /// Bytes moved.
    pub moved_bytes: i64,
}

impl Delta {
    fn new(before: Cost, after: Cost) -> Self {
        let delta = |a: u64, b: u64| i64::try_from(i128::from(b) - i128::from(a)).unwrap_or(i64::MAX);
        Self {
            macs: delta(before.macs, after.macs),
            params: delta(before.params, after.params),
            moved_bytes: delta(before.moved_bytes, after.moved_bytes),
        }
    }
}

impl Row {
    /// What this line costs more (or, negative, less) in the second graph.
    pub fn delta(&self) -> Delta {
        let cost = |side: &Option<Side>| side.as_ref().map_or_else(Cost::default, |s| s.cost);
        Delta::new(cost(&self.before), cost(&self.after))
    }
}

/// What changed between two graphs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphDiff {
    /// Every node of both, in an order that reads from top to bottom.
    pub rows: Vec<Row>,
    /// The first graph's cost at batch size 1.
    pub before: Cost,
    /// The second graph's cost at batch size 1.
    pub after: Cost,
    /// Peak activation bytes at batch size 1, first and second.
    pub peak_activation_bytes: (u64, u64),
}

impl GraphDiff {
    /// What the second graph costs more (or, negative, less).
    pub fn delta(&self) -> Delta {
        Delta::new(self.before, self.after)
    }

    /// How many rows have a status.
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }
}

/// Compares two graphs.
///
/// # Errors
/// One of them is not sound.
pub fn diff(before: &Graph, after: &Graph) -> Result<GraphDiff> {
    let (a, b) = (before.analyze(1)?, after.analyze(1)?);
    let to_after = align(before, after);
    let to_before: BTreeMap<usize, usize> = to_after.iter().map(|(i, j)| (*j, *i)).collect();
    let side = |graph: &Graph, analysis: &super::Analysis, i: usize| {
        let node = &graph.nodes[i];
        let shape = node.outputs.first().and_then(|o| analysis.shapes.get(o)).cloned().unwrap_or_default();
        Side { node: i, name: node.name.clone(), shape, cost: analysis.nodes[i] }
    };
    let mut rows = Vec::new();
    let mut removed = 0;
    let mut push_removed = |rows: &mut Vec<Row>, until: usize| {
        for i in removed..until {
            if !to_after.contains_key(&i) {
                rows.push(Row {
                    op: before.nodes[i].op.clone(),
                    status: Status::Removed,
                    before: Some(side(before, &a, i)),
                    after: None,
                    changes: vec![],
                });
            }
        }
        removed = removed.max(until);
    };
    // What was removed stands before what took its place.
    let mut next = vec![before.nodes.len(); after.nodes.len() + 1];
    for j in (0..after.nodes.len()).rev() {
        next[j] = to_before.get(&j).copied().unwrap_or(next[j + 1]);
    }
    for (j, node) in after.nodes.iter().enumerate() {
        let pair = to_before.get(&j).copied();
        push_removed(&mut rows, next[j]);
        let changes = pair.map_or_else(Vec::new, |i| changes((before, i), (after, j), &to_after));
        let status = match pair {
            None => Status::Added,
            Some(_) if changes.is_empty() => Status::Kept,
            Some(_) if changes.iter().all(|c| matches!(c.what, What::Input(_))) => Status::Rewired,
            Some(_) => Status::Changed,
        };
        rows.push(Row {
            op: node.op.clone(),
            status,
            before: pair.map(|i| side(before, &a, i)),
            after: Some(side(after, &b, j)),
            changes,
        });
    }
    push_removed(&mut rows, before.nodes.len());
    Ok(GraphDiff {
        rows,
        before: a.total,
        after: b.total,
        peak_activation_bytes: (a.peak_activation_bytes, b.peak_activation_bytes),
    })
}

/// Shapes of the weights among a node's inputs, by position.
fn weights(graph: &Graph, node: &Node) -> Vec<Option<Vec<usize>>> {
    node.inputs.iter().map(|name| graph.params.get(name).map(|p| p.shape.clone())).collect()
}

/// How gladly two nodes are paired; 0 is never.
fn score(before: &Graph, i: usize, after: &Graph, j: usize) -> u32 {
    let (a, b) = (&before.nodes[i], &after.nodes[j]);
    if a.op != b.op {
        return 0;
    }
    let shapes = weights(before, a);
    let content = a.attrs == b.attrs && shapes == weights(after, b);
    // Made names count the operators, so an inserted layer renames all behind it: a layer's
    // weights say more about which it is than its name does.
    let worth = if shapes.iter().any(Option::is_some) { 8 } else { 2 };
    1 + worth * u32::from(content) + 2 * u32::from(a.name == b.name)
}

/// Whether two nodes agree in everything but where they read from.
fn equal(before: &Graph, i: usize, after: &Graph, j: usize) -> bool {
    let (a, b) = (&before.nodes[i], &after.nodes[j]);
    a.name == b.name && a.op == b.op && a.attrs == b.attrs && weights(before, a) == weights(after, b)
}

/// Pairs of nodes: position in the first graph to position in the second.
fn align(before: &Graph, after: &Graph) -> BTreeMap<usize, usize> {
    /// Above this many cells only names are compared; imported graphs can be large.
    const CELLS: usize = 4_000_000;
    let mut pairs = BTreeMap::new();
    let (mut start, mut n, mut m) = (0, before.nodes.len(), after.nodes.len());
    while start < n.min(m) && equal(before, start, after, start) {
        pairs.insert(start, start);
        start += 1;
    }
    while n > start && m > start && equal(before, n - 1, after, m - 1) {
        (n, m) = (n - 1, m - 1);
        pairs.insert(n, m);
    }
    let (rows, columns) = (n - start, m - start);
    if (rows + 1) * (columns + 1) <= CELLS {
        // best[i][j]: the best score of the nodes from i and from j on.
        let width = columns + 1;
        let mut best = vec![0u32; (rows + 1) * width];
        let paired = |i: usize, j: usize, best: &[u32]| match score(before, start + i, after, start + j) {
            0 => 0,
            s => s + best[(i + 1) * width + j + 1],
        };
        for i in (0..rows).rev() {
            for j in (0..columns).rev() {
                best[i * width + j] =
                    paired(i, j, &best).max(best[(i + 1) * width + j]).max(best[i * width + j + 1]);
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < rows && j < columns {
            let here = best[i * width + j];
            if here > 0 && here == paired(i, j, &best) {
                pairs.insert(start + i, start + j);
                (i, j) = (i + 1, j + 1);
            } else if here == best[(i + 1) * width + j] {
                i += 1;
            } else {
                j += 1;
            }
        }
    }
    let taken: BTreeSet<usize> = pairs.values().copied().collect();
    let free: BTreeMap<(&str, &str), usize> = (0..after.nodes.len())
        .filter(|j| !taken.contains(j))
        .map(|j| ((after.nodes[j].name.as_str(), after.nodes[j].op.as_str()), j))
        .collect();
    for (i, node) in before.nodes.iter().enumerate() {
        if !pairs.contains_key(&i)
            && let Some(j) = free.get(&(node.name.as_str(), node.op.as_str()))
        {
            pairs.insert(i, *j);
        }
    }
    pairs
}

fn text(attr: Option<&Attr>) -> String {
    match attr {
        None => "–".into(),
        Some(Attr::Int(v)) => v.to_string(),
        Some(Attr::Float(v)) => v.to_string(),
        Some(Attr::Ints(v)) => format!("{v:?}"),
        Some(Attr::Floats(v)) => format!("{v:?}"),
        Some(Attr::Str(v)) => v.clone(),
    }
}

fn changes(
    (before, i): (&Graph, usize),
    (after, j): (&Graph, usize),
    to_after: &BTreeMap<usize, usize>,
) -> Vec<Change> {
    let (a, b) = (&before.nodes[i], &after.nodes[j]);
    let mut changes = Vec::new();
    let keys: BTreeSet<&String> = a.attrs.keys().chain(b.attrs.keys()).collect();
    for key in keys {
        let (old, new) = (a.attrs.get(key), b.attrs.get(key));
        if old != new {
            let what = What::Attribute(key.clone());
            changes.push(Change { what, before: text(old), after: text(new) });
        }
    }
    let shape = |graph: &Graph, name: Option<&String>| {
        name.and_then(|n| graph.params.get(n)).map_or_else(|| "–".into(), |p| format!("{:?}", p.shape))
    };
    // A tensor is named after what makes it: a node and its output number, or an input.
    let maker = |graph: &Graph, name: Option<&String>| {
        let name = name.filter(|n| !n.is_empty() && !graph.params.contains_key(*n))?;
        let find = |(k, node): (usize, &Node)| Some((k, node.outputs.iter().position(|o| o == name)?));
        graph.nodes.iter().enumerate().find_map(find).map_or_else(|| Some(Err(name.clone())), |m| Some(Ok(m)))
    };
    for position in 0..a.inputs.len().max(b.inputs.len()) {
        let (old, new) = (a.inputs.get(position), b.inputs.get(position));
        let (before_shape, after_shape) = (shape(before, old), shape(after, new));
        if before_shape != after_shape {
            let what = What::Weight(position);
            changes.push(Change { what, before: before_shape, after: after_shape });
        }
        let (from, to) = (maker(before, old), maker(after, new));
        let same = match (&from, &to) {
            (Some(Ok((k, output))), Some(Ok((l, other)))) => to_after.get(k) == Some(l) && output == other,
            (from, to) => from == to,
        };
        if !same {
            let name = |graph: &Graph, maker: &Option<Result<(usize, usize), String>>| match maker {
                None => "–".into(),
                Some(Err(input)) => input.clone(),
                Some(Ok((k, _))) => graph.nodes[*k].name.clone(),
            };
            let what = What::Input(position);
            changes.push(Change { what, before: name(before, &from), after: name(after, &to) });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConvOptions, GraphBuilder};

    /// Convolutions with (channels, kernel), a Relu behind each, and a Flatten.
    fn chain(layers: &[(usize, usize)]) -> Graph {
        let mut b = GraphBuilder::new("chain", &[1, 8, 8]);
        let mut x = b.input();
        for (channels, kernel) in layers {
            x = b.conv(&x, *channels, *kernel, ConvOptions::default()).unwrap();
            x = b.unary("Relu", &x).unwrap();
        }
        let x = b.unary("Flatten", &x).unwrap();
        b.finish(&x).unwrap()
    }

    fn statuses(diff: &GraphDiff) -> Vec<(&str, Status)> {
        diff.rows.iter().map(|r| (r.op.as_str(), r.status)).collect()
    }

    #[test]
    fn a_graph_does_not_differ_from_itself() {
        let g = chain(&[(4, 3), (8, 3)]);
        let d = diff(&g, &g).unwrap();
        assert_eq!(d.count(Status::Kept), 5);
        assert_eq!(d.delta(), Delta::default());
        assert!(d.rows.iter().all(|row| row.delta() == Delta::default()));
    }

    #[test]
    fn a_changed_kernel_is_named_with_its_cost() {
        let d = diff(&chain(&[(4, 3), (8, 3)]), &chain(&[(4, 3), (8, 5)])).unwrap();
        assert_eq!(d.count(Status::Changed), 1);
        let row = &d.rows[2];
        let of = |what: What| row.changes.iter().find(|c| c.what == what).unwrap();
        let kernel = of(What::Attribute("kernel_shape".into()));
        assert_eq!((kernel.before.as_str(), kernel.after.as_str()), ("[3, 3]", "[5, 5]"));
        let weight = of(What::Weight(1));
        assert_eq!((weight.before.as_str(), weight.after.as_str()), ("[8, 4, 3, 3]", "[8, 4, 5, 5]"));
        // 8 filters of 4 channels on 8 × 8 pixels, 25 instead of 9 taps each.
        assert_eq!(row.delta().macs, 8 * 4 * 64 * (25 - 9));
        assert_eq!(d.delta().params, 8 * 4 * (25 - 9));
        assert_eq!(d.delta().macs, row.delta().macs);
    }

    #[test]
    fn an_inserted_layer_leaves_the_others_alone() {
        use Status::{Added, Kept, Rewired};
        // Names move by one (conv1 becomes conv2); content keeps the alignment.
        let d = diff(&chain(&[(4, 3), (8, 3)]), &chain(&[(4, 3), (4, 1), (8, 3)])).unwrap();
        let convs: Vec<Status> = statuses(&d).into_iter().filter(|s| s.0 == "Conv").map(|s| s.1).collect();
        assert_eq!(convs, [Kept, Added, Rewired]);
        assert_eq!((d.count(Added), d.count(Status::Removed), d.count(Status::Changed)), (2, 0, 0));
        let back = diff(&chain(&[(4, 3), (4, 1), (8, 3)]), &chain(&[(4, 3), (8, 3)])).unwrap();
        assert_eq!((back.count(Added), back.count(Status::Removed)), (0, 2));
        assert_eq!(back.delta().params, -d.delta().params);
    }

    #[test]
    fn another_operator_is_removed_and_added() {
        let build = |op: &str| {
            let mut b = GraphBuilder::new("g", &[3]);
            let x = b.unary(op, &b.input()).unwrap();
            b.finish(&x).unwrap()
        };
        let d = diff(&build("Relu"), &build("Tanh")).unwrap();
        assert_eq!(statuses(&d), [("Relu", Status::Removed), ("Tanh", Status::Added)]);
    }

    #[test]
    fn survives_serialisation() {
        let d = diff(&chain(&[(4, 3)]), &chain(&[(6, 3)])).unwrap();
        let text = serde_json::to_string(&d).unwrap();
        assert_eq!(serde_json::from_str::<GraphDiff>(&text).unwrap(), d);
    }
}
