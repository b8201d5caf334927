//! What each layer costs.

use super::format;
use super::graph_text::{Drawn, describe, kind_class};
use crate::dom::prelude::*;
use espalier_core::model::Kind;
use std::sync::Arc;

/// A layer's costs.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    node: usize,
    name: String,
    size: String,
    kind: Kind,
    params: u64,
    macs: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Costs {
    rows: Vec<Row>,
    params: u64,
    macs: u64,
    peak: u64,
}

fn costs(drawn: &Drawn) -> Costs {
    let rows = drawn.anatomy.layers.iter().enumerate().map(|(i, layer)| {
        let text = describe(drawn, i);
        Row {
            node: i,
            name: text.what,
            size: text.size,
            kind: layer.kind,
            params: layer.params,
            macs: layer.macs,
            bytes: layer.bytes,
        }
    });
    let rows = rows.collect();
    let anatomy = &drawn.anatomy;
    Costs { rows, params: anatomy.params, macs: anatomy.macs, peak: anatomy.peak_bytes }
}

/// The costs as comma-separated values.
pub fn csv(drawn: &Drawn) -> String {
    let mut out = String::from("layer,output,parameters,MACs,activation bytes\n");
    for row in costs(drawn).rows {
        let (name, size) = (super::csv_cell(&row.name), super::csv_cell(&row.size));
        out.push_str(&format!("{name},{size},{},{},{}\n", row.params, row.macs, row.bytes));
    }
    out
}

/// A figure with a bar for its share of the largest one.
fn figure(value: u64, most: u64, text: String) -> View {
    let part = if most == 0 { 0.0 } else { value as f64 / most as f64 };
    (value > 0)
        .then(|| {
            view! {
                {text}
                <svg class="cell-bar" viewBox="0 0 72 3" aria-hidden="true">
                    <rect width="72" height="3" />
                    <rect x=72.0 * (1.0 - part) width=72.0 * part height="3" />
                </svg>
            }
        })
        .to_view()
}

/// A table of the layers with their parameters, MACs and output memory for one sample, and their
/// totals. Pointing at a row sets `hovered` to its node.
#[component]
pub fn LayerTable(
    /// The network.
    #[prop(into)]
    graph: Signal<Arc<Drawn>>,
    /// Index of the node under the pointer, shared with other views.
    hovered: RwSignal<Option<usize>>,
) -> View {
    let costs = Memo::new(move |_| graph.with(|g| costs(g)));
    let body = move || {
        let costs = costs.get();
        let most = |f: fn(&Row) -> u64| costs.rows.iter().map(f).max().unwrap_or(0);
        let (params, macs, bytes) = (most(|r| r.params), most(|r| r.macs), most(|r| r.bytes));
        let each = costs.rows.iter().map(|row| {
            let node = row.node;
            let faint = matches!(row.kind, Kind::Norm | Kind::Activation | Kind::Shape);
            view! {
                <tr
                    class=kind_class(row.kind)
                    class:is-faint=faint
                    class:is-lit=move || hovered.get() == Some(node)
                    on:pointerenter=move |_| hovered.set(Some(node))
                >
                    <th scope="row"><span class="layer-swatch"></span>{row.name.clone()}</th>
                    <td>{row.size.clone()}</td>
                    <td class="figure-cell">{figure(row.params, params, format::count(row.params))}</td>
                    <td class="figure-cell">{figure(row.macs, macs, format::count(row.macs))}</td>
                    <td class="figure-cell">{figure(row.bytes, bytes, format::bytes(row.bytes as f64))}</td>
                </tr>
            }
        });
        each.collect_view()
    };
    let total = move |f: fn(&Costs) -> String| move || costs.with(f);
    view! {
        <div class="table-scroll" tabindex="0" role="region" aria-label="Costs of each layer" on:pointerleave=move |_| hovered.set(None)>
            <table class="data-table layer-table">
                <thead>
                    <tr>
                        <th scope="col">"layer"</th>
                        <th scope="col">"output"</th>
                        <th scope="col" class="figure-cell">"parameters"</th>
                        <th scope="col" class="figure-cell">"MACs"</th>
                        <th scope="col" class="figure-cell">"memory"</th>
                    </tr>
                </thead>
                <tbody>{body}</tbody>
                <tfoot>
                    <tr>
                        <th scope="row">"in all"</th>
                        <td></td>
                        <td class="figure-cell">{total(|c| format::count(c.params))}</td>
                        <td class="figure-cell">{total(|c| format::count(c.macs))}</td>
                        <td class="figure-cell">{total(|c| format!("peak {}", format::bytes(c.peak as f64)))}</td>
                    </tr>
                </tfoot>
            </table>
        </div>
    }
}
