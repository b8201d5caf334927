//! A claim and whether it held, said as calmly either way.

use super::icons::{Icon, Sign};
use crate::dom::prelude::*;

/// The claim's sentence with the measured numbers in it, its verdict, and what would break it.
#[component]
pub fn Verdict(
    /// The claim, with the measured numbers in the sentence.
    #[prop(into)]
    sentence: Signal<String>,
    /// `None` is undecided.
    #[prop(into)]
    holds: Signal<Option<bool>>,
    /// What to change to see it break; may be empty.
    #[prop(into, optional)]
    breaks: Signal<String>,
) -> View {
    let parts = move || match holds.get() {
        Some(true) => ("claim holds", Sign::Yes, "Holds"),
        Some(false) => ("claim fails", Sign::No, "Does not hold"),
        None => ("claim undecided", Sign::Unsure, "Undecided"),
    };
    view! {
        <div class=move || parts().0 role="status">
            <p class="claim-word">
                {move || view! { <Icon sign=parts().1 /> }}
                <strong>{move || parts().2}</strong>
            </p>
            <p class="claim-sentence">{move || sentence.get()}</p>
            <Show when=move || breaks.with(|b| !b.is_empty())>
                <p class="claim-breaks">"To see it break: " {move || breaks.get()}</p>
            </Show>
        </div>
    }
}
