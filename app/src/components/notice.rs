//! Messages: what happened, and what to do.

use super::icons::{Icon, Sign};
use crate::dom::prelude::*;

/// How grave a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gravity {
    /// Good to know.
    #[default]
    Info,
    /// Something will not go as wished.
    Warning,
    /// Something did not work.
    Error,
}

/// A message with an icon, what to do about it, and a way to dismiss it.
#[component]
pub fn Notice(
    /// How grave it is.
    #[prop(optional)]
    gravity: Gravity,
    /// What happened.
    #[prop(into)]
    text: Signal<String>,
    /// What to do; may be empty.
    #[prop(into, optional)]
    advice: Signal<String>,
    /// Label and deed of a button that helps, e.g. "Try again".
    #[prop(optional)]
    action: Option<(&'static str, Callback<()>)>,
    /// Called when it is dismissed; without it, it stays.
    #[prop(into, optional)]
    on_dismiss: Option<Callback<()>>,
) -> View {
    let (class, sign, word) = match gravity {
        Gravity::Info => ("note info", Sign::Info, "Note"),
        Gravity::Warning => ("note warning", Sign::Warning, "Warning"),
        Gravity::Error => ("note error", Sign::Error, "Error"),
    };
    let role = if gravity == Gravity::Error { "alert" } else { "status" };
    view! {
        <div class=class role=role>
            <Icon sign />
            <div class="note-body">
                <p>
                    <strong class="note-word">{word} ": "</strong>
                    {move || text.get()}
                </p>
                <Show when=move || advice.with(|a| !a.is_empty())>
                    <p class="note-advice">{move || advice.get()}</p>
                </Show>
                {action.map(|(label, deed)| {
                    view! { <button type="button" class="note-action" on:click=move |_| deed.run(())>{label}</button> }
                })}
            </div>
            {on_dismiss.map(|dismiss| {
                view! {
                    <button type="button" class="icon-button" aria-label="Dismiss this message" on:click=move |_| dismiss.run(())>
                        <Icon sign=Sign::Close />
                    </button>
                }
            })}
        </div>
    }
}
