//! A weight matrix, and what of it is kept, as pixels.

use super::format;
use super::pixels::{full_scale, shades};
use crate::dom::prelude::*;

/// A matrix to look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matrix {
    /// Columns.
    pub columns: usize,
    /// Row-major values.
    pub values: Vec<f32>,
    /// Which values are kept; empty where all are.
    pub kept: Vec<bool>,
}

impl Matrix {
    /// A weight tensor with its first axis (output channels) as rows.
    pub fn from_weight(weight: &espalier_core::model::Weight) -> Self {
        let rows = weight.shape.first().copied().unwrap_or(1).max(1);
        let kept = match weight.mask {
            Some(_) => (0..weight.len()).map(|i| weight.kept(i)).collect(),
            None => Vec::new(),
        };
        Self { columns: weight.len() / rows, values: weight.to_f32(), kept }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.columns).unwrap_or(0)
    }
}

/// The squares of what is masked, as one path.
fn holes(matrix: &Matrix) -> String {
    let mut d = String::new();
    if matrix.columns == 0 {
        return d;
    }
    for (y, row) in matrix.kept.chunks(matrix.columns).enumerate() {
        let mut x = 0;
        while x < row.len() {
            let run = row[x..].iter().take_while(|k| **k == row[x]).count();
            if !row[x] {
                d.push_str(&format!("M{x} {y}h{run}v1h-{run}z"));
            }
            x += run;
        }
    }
    d
}

/// Weights on the diverging scale, one pixel each; what is masked is hatched out.
#[component]
pub fn MaskView(
    /// The matrix.
    #[prop(into)]
    matrix: Signal<Matrix>,
    /// What it is, e.g. the layer's name.
    #[prop(into)]
    label: Signal<String>,
) -> View {
    let sentence = move || {
        matrix.with(|m| {
            let kept = if m.kept.is_empty() { m.values.len() } else { m.kept.iter().filter(|k| **k).count() };
            let part = kept as f64 / m.values.len().max(1) as f64;
            format!("{}: {} × {}, {} kept", label.get(), m.rows(), m.columns, format::percent(part))
        })
    };
    let drawn = move || {
        matrix.with(|m| {
            let full = full_scale(&m.values);
            let each = shades(&m.values, m.columns, full).into_iter().map(|s| {
                let class = if s.negative { "shade-neg" } else { "shade-pos" };
                view! { <path class=class d=s.d fill-opacity=s.opacity /> }
            });
            view! {
                <svg
                    class="mask-view"
                    role="img"
                    aria-label=sentence()
                    viewBox=format!("0 0 {} {}", m.columns.max(1), m.rows().max(1))
                    shape-rendering="crispEdges"
                >
                    {each.collect_view()}
                    <path class="mask-hole" d=holes(m) />
                </svg>
                <DivergingKey low=-f64::from(full) high=f64::from(full) />
            }
        })
    };
    view! { <div class="mask">{drawn}<p class="readout">{sentence}</p></div> }
}

/// The key of the diverging scale: orange, paper, blue.
#[component]
pub fn DivergingKey(
    /// Value of full orange.
    low: f64,
    /// Value of full blue.
    high: f64,
) -> View {
    let squares = (0..9).map(|i| {
        let part = (f64::from(i) - 4.0) / 4.0;
        let class = if part < 0.0 { "shade-neg" } else { "shade-pos" };
        view! { <rect class=class x=i y="0" width="1" height="1" fill-opacity=part.abs() /> }
    });
    view! {
        <p class="diverging-key">
            <span>{format::significant(low)}</span>
            <svg viewBox="0 0 9 1" aria-hidden="true" preserveAspectRatio="none">{squares.collect_view()}</svg>
            <span>{format::significant(high)}</span>
        </p>
    }
}
