//! Which class was taken for which; every cell opens the images behind it.

use crate::dom::prelude::*;

/// A confusion matrix: rows are true classes, columns the network's answers.
///
/// The arrow keys go from cell to cell; Enter or a click calls `on_cell` with (truth, answer).
#[component]
pub fn Confusion(
    /// Class names.
    #[prop(into)]
    classes: Signal<Vec<String>>,
    /// `counts[truth][answer]`.
    #[prop(into)]
    counts: Signal<Vec<Vec<u32>>>,
    /// Called with (truth, answer).
    #[prop(into, optional)]
    on_cell: Option<Callback<(usize, usize)>>,
    /// The cell whose images are shown.
    #[prop(into, optional)]
    chosen: Signal<Option<(usize, usize)>>,
) -> View {
    let cursor = RwSignal::new((0usize, 0usize));
    let table = NodeRef::new();
    let focus_cell = move |(r, c): (usize, usize)| {
        cursor.set((r, c));
        let Some(table) = table.get_untracked() else { return };
        let found = table.query_selector(&format!("[data-cell=\"{r}-{c}\"]")).ok().flatten();
        if let Some(cell) = found.and_then(|e| wasm_bindgen::JsCast::dyn_into::<web_sys::HtmlElement>(e).ok())
        {
            // A cell that cannot take the focus only loses the outline.
            let _ = cell.focus();
        }
    };
    let on_key = move |event: leptos::ev::KeyboardEvent| {
        let n = classes.with_untracked(Vec::len);
        if n == 0 {
            return;
        }
        let (r, c) = cursor.get_untracked();
        let next = match event.key().as_str() {
            "ArrowUp" => (r.saturating_sub(1), c),
            "ArrowDown" => ((r + 1).min(n - 1), c),
            "ArrowLeft" => (r, c.saturating_sub(1)),
            "ArrowRight" => (r, (c + 1).min(n - 1)),
            "Home" => (r, 0),
            "End" => (r, n - 1),
            _ => return,
        };
        event.prevent_default();
        focus_cell(next);
    };
    let rows = move || {
        let names = classes.get();
        let counts = counts.get();
        let row_total = |r: usize| counts.get(r).map_or(0, |row| row.iter().sum::<u32>());
        let each = names.iter().enumerate().map(|(r, truth)| {
            let total = row_total(r);
            let cells = names.iter().enumerate().map(|(c, answer)| {
                let count = counts.get(r).and_then(|row| row.get(c)).copied().unwrap_or(0);
                // Shades by the square root: one mistake among a hundred must be seen.
                let part = if total == 0 { 0.0 } else { (f64::from(count) / f64::from(total)).sqrt() };
                let shade = if count == 0 { 0 } else { 1 + (part * 4.0).ceil().min(4.0) as u32 };
                let side = if r == c { "right" } else { "wrong" };
                let said = if r == c { "recognised".to_owned() } else { format!("taken for {answer}") };
                let label = format!("{count} of {truth} {said}");
                view! {
                    <td>
                        <button
                            type="button"
                            class=format!("cell {side} shade-{shade}")
                            class:is-chosen=move || chosen.get() == Some((r, c))
                            data-cell=format!("{r}-{c}")
                            tabindex=move || if cursor.get() == (r, c) { "0" } else { "-1" }
                            aria-label=label
                            on:focus=move |_| cursor.set((r, c))
                            on:click=move |_| {
                                if let Some(call) = on_cell {
                                    call.run((r, c));
                                }
                            }
                        >
                            {(count > 0).then(|| count.to_string())}
                        </button>
                    </td>
                }
            });
            view! {
                <tr>
                    <th scope="row">{truth.clone()}</th>
                    {cells.collect_view()}
                </tr>
            }
        });
        each.collect_view()
    };
    view! {
        <div class="confusion">
            <table node_ref=table on:keydown=on_key>
                <caption>"Rows: what it is. Columns: what the network says."</caption>
                <thead>
                    <tr>
                        <td></td>
                        {move || classes.get().into_iter().map(|c| view! { <th scope="col">{c}</th> }).collect_view()}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}
