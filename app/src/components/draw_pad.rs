//! A place to draw a digit: by mouse, finger or pen, or cell by cell with the keyboard.

use super::digit::{SIDE, Stroke, rasterise};
use super::icons::{Icon, Sign};
use super::image_grid::PixelImage;
use crate::dom::prelude::*;

/// What was done, so that it can be undone.
#[derive(Debug, Clone, PartialEq)]
enum Deed {
    /// A stroke, with the pressure of its pen (0.5 for what has none).
    Stroke(Stroke, f64),
    /// A cell switched on or off.
    Cell(usize),
}

/// The cells that are switched on.
fn cells(deeds: &[Deed]) -> [bool; SIDE * SIDE] {
    let mut on = [false; SIDE * SIDE];
    for deed in deeds {
        if let Deed::Cell(i) = deed
            && let Some(cell) = on.get_mut(*i)
        {
            *cell = !*cell;
        }
    }
    on
}

/// The image that the network sees.
fn image(deeds: &[Deed]) -> Vec<f32> {
    let strokes: Vec<Stroke> = deeds
        .iter()
        .filter_map(|d| match d {
            Deed::Stroke(points, _) => Some(points.clone()),
            Deed::Cell(_) => None,
        })
        .collect();
    let mut values = rasterise(&strokes);
    values.iter_mut().zip(cells(deeds)).filter(|(_, on)| *on).for_each(|(v, _)| *v = 1.0);
    values
}

/// A drawing pad that calls `on_draw` with 64 values from 0 to 1 whenever the drawing changes.
///
/// Strokes are kept as points, never read back from a canvas: protected browsers falsify that.
#[component]
pub fn DrawPad(
    /// Called with the 8 × 8 image, row-major, 0 to 1.
    #[prop(into)]
    on_draw: Callback<Vec<f32>>,
) -> View {
    let deeds = RwSignal::new(Vec::<Deed>::new());
    let drawing = RwSignal::new(None::<i32>);
    let cursor = RwSignal::new(None::<(usize, usize)>);
    let surface = NodeRef::new();
    let seen = Memo::new(move |_| deeds.with(|d| image(d)));
    Effect::new(move |last: Option<Vec<f32>>| {
        let now = seen.get();
        if last.is_some_and(|l| l != now) {
            on_draw.run(now.clone());
        }
        now
    });

    let place = move |event: &leptos::ev::PointerEvent| -> Option<(f64, f64)> {
        let rect = surface.get_untracked()?.get_bounding_client_rect();
        if rect.width() <= 0.0 || rect.height() <= 0.0 {
            return None;
        }
        let x = (f64::from(event.client_x()) - rect.left()) / rect.width();
        let y = (f64::from(event.client_y()) - rect.top()) / rect.height();
        Some((x.clamp(0.0, 1.0), y.clamp(0.0, 1.0)))
    };
    let begin = move |event: leptos::ev::PointerEvent| {
        if event.button() != 0 || drawing.get_untracked().is_some() {
            return;
        }
        let Some(at) = place(&event) else { return };
        if let Some(pad) = surface.get_untracked() {
            // Without capture, a stroke ends at the edge of the pad; nothing worse.
            let _ = pad.set_pointer_capture(event.pointer_id());
        }
        drawing.set(Some(event.pointer_id()));
        cursor.set(None);
        let pressure = if event.pointer_type() == "pen" { f64::from(event.pressure()).max(0.2) } else { 0.5 };
        deeds.update(|d| d.push(Deed::Stroke(vec![at], pressure)));
    };
    let go_on = move |event: leptos::ev::PointerEvent| {
        if drawing.get_untracked() != Some(event.pointer_id()) {
            return;
        }
        let Some(at) = place(&event) else { return };
        deeds.update(|d| {
            if let Some(Deed::Stroke(points, pressure)) = d.last_mut() {
                let far = points.last().is_none_or(|p| (p.0 - at.0).hypot(p.1 - at.1) > 0.004);
                if far {
                    points.push(at);
                    if event.pointer_type() == "pen" {
                        *pressure = pressure.max(f64::from(event.pressure()));
                    }
                }
            }
        });
    };
    let end = move |event: leptos::ev::PointerEvent| {
        if drawing.get_untracked() == Some(event.pointer_id()) {
            drawing.set(None);
        }
    };
    let undo = move || {
        deeds.update(|d| {
            d.pop();
        });
    };
    let clear = move || deeds.set(Vec::new());
    let on_key = move |event: leptos::ev::KeyboardEvent| {
        let (x, y) = cursor.get_untracked().unwrap_or((3, 3));
        let last = SIDE - 1;
        let next = match event.key().as_str() {
            "ArrowLeft" => (x.saturating_sub(1), y),
            "ArrowRight" => ((x + 1).min(last), y),
            "ArrowUp" => (x, y.saturating_sub(1)),
            "ArrowDown" => (x, (y + 1).min(last)),
            " " | "Enter" => {
                deeds.update(|d| d.push(Deed::Cell(y * SIDE + x)));
                (x, y)
            }
            "Backspace" => {
                undo();
                (x, y)
            }
            "Delete" => {
                clear();
                (x, y)
            }
            _ => return,
        };
        event.prevent_default();
        cursor.set(Some(next));
    };
    let where_is = move || {
        let (x, y) = cursor.get()?;
        let on = deeds.with(|d| cells(d)[y * SIDE + x]);
        Some(format!("Row {}, column {}: {}", y + 1, x + 1, if on { "on" } else { "off" }))
    };
    let side = 1.0 / SIDE as f64;
    let ink = move || {
        deeds.with(|deeds| {
            let cells = cells(deeds);
            let squares = cells.iter().enumerate().filter(|(_, on)| **on).map(|(i, _)| {
                let (x, y) = ((i % SIDE) as f64 * side, (i / SIDE) as f64 * side);
                view! { <rect class="cell-on" x=x y=y width=side height=side /> }
            });
            let strokes = deeds.iter().filter_map(|deed| match deed {
                Deed::Cell(_) => None,
                Deed::Stroke(points, pressure) => {
                    let mut d = String::new();
                    for (i, (x, y)) in points.iter().enumerate() {
                        d.push_str(&format!("{}{x:.4} {y:.4}", if i == 0 { 'M' } else { 'L' }));
                    }
                    // A line to itself: a dot, which a lone "move" would not draw.
                    if let [(x, y)] = points.as_slice() {
                        d.push_str(&format!("L{x:.4} {y:.4}"));
                    }
                    Some(view! { <path class="ink" d=d stroke-width=0.05 + 0.06 * pressure /> })
                }
            });
            view! { {squares.collect_view()} {strokes.collect_view()} }
        })
    };
    let grid = move || {
        let (x, y) = cursor.get()?;
        let lines = (1..SIDE).map(|i| {
            let at = i as f64 * side;
            view! {
                <line class="cell-grid" x1=at x2=at y1="0" y2="1" />
                <line class="cell-grid" x1="0" x2="1" y1=at y2=at />
            }
        });
        let (cx, cy) = (x as f64 * side, y as f64 * side);
        Some(view! {
            {lines.collect_view()}
            <rect class="cell-cursor" x=cx y=cy width=side height=side />
        })
    };
    let blank = move || deeds.with(Vec::is_empty);
    view! {
        <div class="draw-pad">
            <svg
                class="draw-surface"
                node_ref=surface
                viewBox="0 0 1 1"
                tabindex="0"
                role="application"
                aria-label="Drawing pad, 8 by 8 cells. Arrow keys move, space switches a cell, backspace undoes, delete clears."
                on:pointerdown=begin
                on:pointermove=go_on
                on:pointerup=end
                on:pointercancel=end
                on:keydown=on_key
                on:blur=move |_| cursor.set(None)
            >
                {ink}
                {grid}
                <Show when=move || blank() && cursor.get().is_none()>
                    <text class="draw-hint" x="0.5" y="0.52">"draw a digit here"</text>
                </Show>
            </svg>
            <div class="draw-seen">
                <PixelImage values=seen width=SIDE height=SIDE label="Your drawing as the network sees it, 8 by 8 pixels" />
                <span>"what the network sees"</span>
            </div>
            <div class="draw-buttons">
                <button type="button" on:click=move |_| undo() disabled=blank>
                    <Icon sign=Sign::Undo />
                    "Undo"
                </button>
                <button type="button" on:click=move |_| clear() disabled=blank>
                    "Clear"
                </button>
            </div>
            <p class="visually-hidden" aria-live="polite">{where_is}</p>
        </div>
    }
}
