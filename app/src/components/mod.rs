//! The page's components, one per file: plain data in, drawings and callbacks out. They know the
//! core's vocabulary (metrics, tones, graphs) and nothing of the page's state.
//!
//! Colours come from the tokens of `style.css` by classes; nothing here has a `style` attribute,
//! which the page's Content-Security-Policy forbids.

mod confusion;
pub mod data_table;
pub mod digit;
mod draw_pad;
mod export;
mod figure;
pub mod format;
pub mod graph_layout;
pub mod graph_text;
mod graph_view;
mod heat_map;
mod histogram;
mod icons;
mod image_grid;
pub mod layer_table;
mod line_chart;
pub mod line_data;
mod mask_view;
mod measure;
mod model_card_parts;
mod notice;
mod param_form;
pub mod pareto;
pub mod pixels;
mod progress;
pub mod scale;
mod scatter;
mod verdict;

pub use confusion::Confusion;
pub use data_table::DataTable;
pub use draw_pad::DrawPad;
pub use export::save_text;
pub use figure::Figure;
pub use graph_layout::NodeLook;
pub use graph_text::Drawn;
pub use graph_view::{GraphThumb, GraphView};
pub use heat_map::HeatMap;
pub use histogram::{Distribution, Histogram};
pub use image_grid::{ImageGrid, Picture, PixelImage};
pub use layer_table::LayerTable;
pub use line_chart::LineChart;
pub use line_data::Line;
pub use mask_view::{MaskView, Matrix};
pub use measure::use_width;
pub use model_card_parts::{LineageThumb, MetricRow};
pub use notice::{Gravity, Notice};
pub use param_form::ParamForm;
pub use pareto::Dot;
pub use progress::Progress;
pub use scatter::Scatter;
pub use verdict::Verdict;

pub use espalier_core::order::indices as order_by;
use espalier_core::protocol::Tone;
use std::sync::atomic::{AtomicU32, Ordering};

/// The class that gives an element the hue of a tone, as the custom property `--tone`.
pub const fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Grow => "tone-grow",
        Tone::Prune => "tone-prune",
        Tone::Quantize => "tone-quantize",
        Tone::Baseline => "tone-baseline",
    }
}

/// An element id that no other component has.
pub fn unique_id(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A cell of a CSV file, quoted where it must be (RFC 4180).
pub fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

/// The width of a text in pixels at the size of chart labels, near enough to leave room for it.
pub fn text_width(text: &str) -> f64 {
    text.chars().map(|c| if matches!(c, 'i' | 'l' | '.' | ',' | ' ' | '\u{a0}') { 3.6 } else { 6.6 }).sum()
}

/// A text cut to a width, with an ellipsis.
pub fn fit_text(text: &str, width: f64) -> String {
    if text_width(text) <= width {
        return text.into();
    }
    let mut used = 8.0;
    let kept = text.chars().take_while(|c| {
        used += text_width(&c.to_string());
        used <= width
    });
    format!("{}…", kept.collect::<String>().trim_end())
}
