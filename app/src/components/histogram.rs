//! Distributions over one another: before and after.

use super::scale::{Scale, Spread};
use super::{format, tone_class, use_width};
use crate::dom::prelude::*;
use espalier_core::protocol::Tone;

/// One distribution.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// Which, e.g. "before".
    pub label: String,
    /// Its hue.
    pub tone: Tone,
    /// Left edge of the first and right edge of the last bin.
    pub range: (f64, f64),
    /// Counts.
    pub counts: Vec<u32>,
}

impl Distribution {
    fn edge(&self, i: usize) -> f64 {
        self.range.0 + (self.range.1 - self.range.0) * i as f64 / self.counts.len().max(1) as f64
    }

    /// Share of all values in a bin, per unit of x: comparable whatever the bins.
    fn density(&self, i: usize) -> f64 {
        let total: u32 = self.counts.iter().sum();
        let width = (self.range.1 - self.range.0) / self.counts.len().max(1) as f64;
        if total == 0 || width <= 0.0 { 0.0 } else { f64::from(self.counts[i]) / f64::from(total) / width }
    }
}

const TOP: f64 = 24.0;
const BOTTOM: f64 = 36.0;

/// Distributions as outlines over one axis, the first filled. Areas are equal, so shapes compare.
#[component]
pub fn Histogram(
    /// The distributions.
    #[prop(into)]
    distributions: Signal<Vec<Distribution>>,
    /// What is distributed, with its unit; the axis label.
    #[prop(into)]
    x_label: Signal<String>,
    /// What the chart shows; its accessible name.
    #[prop(into)]
    title: Signal<String>,
    /// Height in pixels.
    #[prop(default = 180.0)]
    height: f64,
) -> View {
    let root = NodeRef::new();
    let width = use_width(root, 400.0);
    let bin = RwSignal::new(None::<f64>);
    let scales = Memo::new(move |_| {
        distributions.with(|all| {
            let low = all.iter().map(|d| d.range.0).fold(f64::INFINITY, f64::min);
            let high = all.iter().map(|d| d.range.1).fold(f64::NEG_INFINITY, f64::max);
            let most = all.iter().flat_map(|d| (0..d.counts.len()).map(|i| d.density(i))).fold(0.0, f64::max);
            (
                Scale::new(Spread::Linear, (low, high), (8.0, width.get() - 8.0)),
                Scale::new(
                    Spread::Linear,
                    (0.0, if most > 0.0 { most } else { 1.0 }),
                    (height - BOTTOM, TOP),
                ),
            )
        })
    });
    let shapes = move || {
        let (x, y) = scales.get();
        distributions.with(|all| {
            let each = all.iter().enumerate().map(|(k, d)| {
                let mut path = format!("M{:.1} {:.1}", x.map(d.range.0), height - BOTTOM);
                for i in 0..d.counts.len() {
                    path.push_str(&format!("V{:.1}H{:.1}", y.map(d.density(i)), x.map(d.edge(i + 1))));
                }
                path.push_str(&format!("V{:.1}", height - BOTTOM));
                let class = format!("{} {}", if k == 0 { "hist first" } else { "hist" }, tone_class(d.tone));
                view! { <path class=class d=path /> }
            });
            each.collect_view()
        })
    };
    let axis = move || {
        let (x, _) = scales.get();
        let bottom = height - BOTTOM;
        let ticks = x.ticks((width.get() / 80.0) as usize).into_iter().map(|v| {
            let at = x.map(v);
            view! {
                <line class="axis" x1=at x2=at y1=bottom y2=bottom + 4.0 />
                <text class="tick" x=at y=bottom + 16.0 text-anchor="middle">{format::significant(v)}</text>
            }
        });
        view! {
            <line class="axis" x1="8" x2=width.get() - 8.0 y1=bottom y2=bottom />
            {ticks.collect_view()}
            <text class="axis-label" x=width.get() - 8.0 y=height - 4.0 text-anchor="end">{x_label.get()}</text>
        }
    };
    let readout = move || {
        let at = bin.get()?;
        let parts = distributions.with(|all| {
            let parts = all.iter().filter_map(|d| {
                let part = (at - d.range.0) / (d.range.1 - d.range.0);
                let i = ((part * d.counts.len() as f64).floor().max(0.0) as usize)
                    .min(d.counts.len().checked_sub(1)?);
                Some(format!(
                    "{} {} between {} and {}",
                    d.label,
                    format::count(u64::from(d.counts[i])),
                    format::significant(d.edge(i)),
                    format::significant(d.edge(i + 1))
                ))
            });
            parts.collect::<Vec<_>>().join("; ")
        });
        Some(parts)
    };
    let legend = move || {
        let all = distributions.get().into_iter();
        all.map(|d| view! { <li class=format!("legend-item {}", tone_class(d.tone))>{d.label}</li> })
            .collect_view()
    };
    view! {
        <div class="chart histogram" node_ref=root>
            <ul class="legend">{legend}</ul>
            <svg
                role="img"
                aria-label=move || title.get()
                width=move || width.get()
                height=height
                viewBox=move || format!("0 0 {} {height}", width.get())
                on:pointermove=move |e| bin.set(Some(scales.get_untracked().0.invert(f64::from(e.offset_x()))))
                on:pointerleave=move |_| bin.set(None)
            >
                {shapes}
                {axis}
            </svg>
            <p class="readout">{readout}</p>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_of_a_distribution_is_one() {
        let counts = vec![0, 0, 1, 0, 1, 1, 0, 1];
        let d = Distribution { label: "w".into(), tone: Tone::Grow, range: (-2.0, 2.0), counts };
        let area: f64 = (0..8).map(|i| d.density(i) * 0.5).sum();
        assert!((area - 1.0).abs() < 1e-12);
        assert_eq!((d.edge(0), d.edge(8)), (-2.0, 2.0));
    }
}
