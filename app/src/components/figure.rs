//! The frame around every chart: title, caption, what to show while empty, and ways to keep it.

use super::export::{file_stem, save_png, save_text, svg_text};
use super::icons::{Icon, Sign};
use crate::dom::prelude::*;

/// A titled frame around a chart, with a small menu that saves it as SVG, PNG or CSV.
#[component]
pub fn Figure(
    /// Its title.
    #[prop(into)]
    title: Signal<String>,
    /// What to see in it; may be empty.
    #[prop(into, optional)]
    caption: Signal<String>,
    /// Its data as comma-separated values, made when asked for.
    #[prop(into, optional)]
    csv: Option<Callback<(), String>>,
    /// Whether there is nothing to draw yet.
    #[prop(into, optional)]
    empty: Signal<bool>,
    /// What will be here, and how to get it; shown while empty.
    #[prop(into, optional)]
    empty_text: Signal<String>,
    /// Whether it holds a drawing (and not, say, a table), which can be saved as SVG and PNG.
    #[prop(default = true)]
    drawing: bool,
    /// The chart.
    children: View,
) -> View {
    let body = NodeRef::new();
    let menu = NodeRef::new();
    let said = RwSignal::new(String::new());
    let tell = move |done: Option<()>, what: &str| {
        said.set(match done {
            Some(()) => format!("{what} saved."),
            None => format!("{what} could not be made in this browser."),
        });
        if let Some(menu) = menu.cast::<web_sys::HtmlDetailsElement>() {
            menu.set_open(false);
        }
    };
    let name = move |extension: &str| format!("{}.{extension}", title.with_untracked(|t| file_stem(t)));
    let as_svg = move |_| {
        let svg = body.get_untracked().and_then(|root| svg_text(&root));
        tell(svg.and_then(|(text, ..)| save_text(&name("svg"), "image/svg+xml", &text)), "SVG");
    };
    let as_png = move |_| {
        let svg = body.get_untracked().and_then(|root| svg_text(&root));
        tell(svg.and_then(|(text, w, h)| save_png(name("png"), &text, w, h)), "PNG");
    };
    let copy_svg = move |_| {
        let svg = body.get_untracked().and_then(|root| svg_text(&root));
        let done = svg.and_then(|(text, ..)| {
            let clipboard = web_sys::window()?.navigator().clipboard();
            // The answer comes later; a refusal leaves the clipboard as it was.
            let _ = clipboard.write_text(&text);
            Some(())
        });
        tell(done, "Copy of the SVG");
    };
    let on_key = move |event: leptos::ev::KeyboardEvent| {
        if event.key() == "Escape"
            && let Some(menu) = menu.cast::<web_sys::HtmlDetailsElement>()
        {
            menu.set_open(false);
        }
    };
    view! {
        <figure class="fig">
            <div class="fig-head">
                <h2>{move || title.get()}</h2>
                <details class="fig-menu" node_ref=menu on:keydown=on_key class:hidden=move || empty.get()>
                    <summary aria-label=move || format!("Save “{}”", title.get())>
                        <Icon sign=Sign::Save />
                        "Save"
                    </summary>
                    <ul>
                        {drawing.then(|| view! {
                            <li><button type="button" on:click=as_svg>"SVG file"</button></li>
                            <li><button type="button" on:click=as_png>"PNG file"</button></li>
                            <li><button type="button" on:click=copy_svg>"Copy SVG"</button></li>
                        })}
                        {csv.map(|make| view! {
                            <li>
                                <button
                                    type="button"
                                    on:click=move |_| tell(save_text(&name("csv"), "text/csv", &make.run(())), "CSV")
                                >
                                    "CSV file"
                                </button>
                            </li>
                        })}
                    </ul>
                </details>
            </div>
            <div node_ref=body class:hidden=move || empty.get()>{children}</div>
            <Show when=move || empty.get()>
                <div class="fig-empty"><p>{move || empty_text.get()}</p></div>
            </Show>
            <Show when=move || caption.with(|c| !c.is_empty())>
                <figcaption>{move || caption.get()}</figcaption>
            </Show>
            <p class="visually-hidden" role="status">{move || said.get()}</p>
        </figure>
    }
}
