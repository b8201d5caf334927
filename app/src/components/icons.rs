//! The few signs the page uses, drawn on a 16 × 16 grid in the colour of the text.

use crate::dom::prelude::*;

/// A sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A check mark.
    Yes,
    /// A cross.
    No,
    /// A question mark.
    Unsure,
    /// The letter i.
    Info,
    /// A triangle with an exclamation mark.
    Warning,
    /// An octagon with an exclamation mark.
    Error,
    /// A small cross, to dismiss.
    Close,
    /// An arrow into a tray.
    Save,
    /// An arrow that turns back.
    Undo,
}

impl Sign {
    const fn path(self) -> &'static str {
        match self {
            Self::Yes => "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M5 8.2l2.2 2.2L11 6.4",
            Self::No => "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4",
            Self::Unsure => {
                "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M6.2 6.3a1.8 1.8 0 1 1 2.7 1.6c-.6.4-.9.7-.9 1.4M8 11.3v.4"
            }
            Self::Info => "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M8 7.4v3.8M8 4.7v.4",
            Self::Warning => "M8 2L14.5 13.5H1.5ZM8 6.4v3.4M8 11.6v.3",
            Self::Error => "M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3L1.5 10.7V5.3ZM8 4.8v3.8M8 10.9v.3",
            Self::Close => "M4 4l8 8M12 4l-8 8",
            Self::Save => "M8 2v7.5M4.8 6.5L8 9.7l3.2-3.2M2.5 11v2.5h11V11",
            Self::Undo => "M6 3.5L2.8 6.7L6 9.9M3 6.7h6.2a3.4 3.4 0 0 1 0 6.8H6",
        }
    }
}

/// A sign beside words that say the same; hidden from screen readers.
#[component]
pub fn Icon(
    /// Which.
    sign: Sign,
) -> View {
    view! {
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
            <path d=sign.path() />
        </svg>
    }
}
