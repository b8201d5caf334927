//! What a long job is doing, how far it is, and how long it has to go.

use super::format;
use crate::dom::prelude::*;

/// A bar, what is being done, and the time left.
///
/// `fraction` is 0 to 1, `None` where the end is not known; `left_ms` is an estimate in
/// milliseconds where there is one.
#[component]
pub fn Progress(
    /// What is being done, e.g. "candidate 7 of 24".
    #[prop(into)]
    label: Signal<String>,
    /// Part done, 0 to 1.
    #[prop(into)]
    fraction: Signal<Option<f64>>,
    /// Estimated time left, milliseconds.
    #[prop(into, optional)]
    left_ms: Option<Signal<Option<f64>>>,
) -> View {
    let part = move || fraction.get().map(|f| f.clamp(0.0, 1.0));
    let left = move || left_ms.and_then(|l| l.get()).map(format::time_left);
    view! {
        <div class="progress">
            <p class="progress-line">
                <span class="progress-label">{move || label.get()}</span>
                <span class="progress-figures">
                    {move || part().map(|f| format!("{:.0}\u{a0}%", f * 100.0))}
                    {move || left().map(|text| format!(", {text}"))}
                </span>
            </p>
            <progress
                max="1"
                prop:value=move || part().unwrap_or(0.0)
                class:progress-unknown=move || part().is_none()
                aria-label=move || label.get()
            ></progress>
        </div>
    }
}
