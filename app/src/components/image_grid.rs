//! Small grey images with captions: digits, filters, wrong answers.

use super::pixels::{full_scale, shades};
use crate::dom::prelude::*;

/// One small image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picture {
    /// What it is, e.g. "7 taken for 1".
    pub caption: String,
    /// Row-major values: 0 to 1 is paper to ink; signed images use the diverging scale.
    pub values: Vec<f32>,
}

/// One image as crisp squares. Grey from 0 to 1; with `signed`, orange through paper to blue, up
/// to the largest magnitude in it.
#[component]
pub fn PixelImage(
    /// Row-major values.
    #[prop(into)]
    values: Signal<Vec<f32>>,
    /// Pixels in a row.
    width: usize,
    /// Rows.
    height: usize,
    /// What it shows; its accessible name. Empty marks it as decoration.
    #[prop(into)]
    label: Signal<String>,
    /// Whether values have a sign that matters.
    #[prop(optional)]
    signed: bool,
) -> View {
    let squares = move || {
        values.with(|v| {
            let full = if signed { full_scale(v) } else { 1.0 };
            let each = shades(v, width, full).into_iter().map(|s| {
                let class = match (signed, s.negative) {
                    (false, _) => "shade-ink",
                    (true, false) => "shade-pos",
                    (true, true) => "shade-neg",
                };
                view! { <path class=class d=s.d fill-opacity=s.opacity /> }
            });
            each.collect_view()
        })
    };
    view! {
        <svg
            class="pixel-image"
            role=move || if label.with(String::is_empty) { "presentation" } else { "img" }
            aria-label=move || Some(label.get()).filter(|l| !l.is_empty())
            aria-hidden=move || label.with(String::is_empty).then_some("true")
            viewBox=format!("0 0 {width} {height}")
            shape-rendering="crispEdges"
        >
            {squares}
        </svg>
    }
}

/// A grid of small images; where `on_pick` is given, each is a button.
#[component]
pub fn ImageGrid(
    /// The images.
    #[prop(into)]
    pictures: Signal<Vec<Picture>>,
    /// Pixels in a row of each.
    #[prop(default = 8)]
    width: usize,
    /// Rows of each.
    #[prop(default = 8)]
    height: usize,
    /// Whether values have a sign that matters.
    #[prop(optional)]
    signed: bool,
    /// Called with an image's place in the list.
    #[prop(into, optional)]
    on_pick: Option<Callback<usize>>,
) -> View {
    let each = move || {
        pictures
            .get()
            .into_iter()
            .enumerate()
            .map(|(i, picture)| {
                let caption = picture.caption.clone();
                let image = view! {
                    <PixelImage values=Signal::stored(picture.values) width height label=picture.caption.clone() signed />
                };
                let body = view! { {image} <span class="pic-caption" aria-hidden="true">{caption}</span> };
                match on_pick {
                    Some(pick) => view! {
                        <li><button type="button" class="pic" on:click=move |_| pick.run(i)>{body}</button></li>
                    },
                    None => view! { <li class="pic">{body}</li> },
                }
            })
            .collect_view()
    };
    view! { <ul class="image-grid">{each}</ul> }
}
