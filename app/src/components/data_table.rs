//! A plain table with figures that line up.

use crate::dom::prelude::*;

/// Whether a cell is a figure, and stands at the right of its column.
fn is_figure(text: &str) -> bool {
    let first = text.trim_start_matches(['−', '-', '+', '±', '<', '≤', '≥', '~']).chars().next();
    text == "–" || first.is_some_and(|c| c.is_ascii_digit())
}

/// Which columns hold figures only.
fn figure_columns(columns: usize, rows: &[Vec<String>]) -> Vec<bool> {
    (0..columns)
        .map(|c| {
            let mut cells = rows.iter().filter_map(|r| r.get(c)).filter(|t| !t.is_empty()).peekable();
            cells.peek().is_some() && cells.all(|t| is_figure(t))
        })
        .collect()
}

/// A table from an event: headings and cells as text.
#[component]
pub fn DataTable(
    /// Its title.
    #[prop(into)]
    title: Signal<String>,
    /// Headings.
    #[prop(into)]
    columns: Signal<Vec<String>>,
    /// Cells.
    #[prop(into)]
    rows: Signal<Vec<Vec<String>>>,
) -> View {
    let figures = Memo::new(move |_| columns.with(|c| rows.with(|r| figure_columns(c.len(), r))));
    let class = move |c: usize| if figures.with(|f| f.get(c) == Some(&true)) { "figure-cell" } else { "" };
    let head = move || {
        let each = columns.get().into_iter().enumerate();
        each.map(|(c, text)| {
            // An empty heading heads nothing.
            if text.is_empty() {
                view! { <td class=class(c)></td> }
            } else {
                view! { <th scope="col" class=class(c)>{text}</th> }
            }
        })
        .collect_view()
    };
    let body = move || {
        let each = rows.get().into_iter().map(|row| {
            let cells = row.into_iter().enumerate().map(|(c, text)| match c {
                0 => view! { <th scope="row" class=class(c)>{text}</th> },
                _ => view! { <td class=class(c)>{text}</td> },
            });
            view! { <tr>{cells.collect_view()}</tr> }
        });
        each.collect_view()
    };
    view! {
        <div class="table-scroll" tabindex="0" role="region" aria-label=move || title.get()>
            <table class="data-table">
                <caption>{move || title.get()}</caption>
                <thead><tr>{head}</tr></thead>
                <tbody>{body}</tbody>
            </table>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_from_words() {
        let rows = vec![vec!["a".into(), "12.4\u{a0}k".into()], vec!["3 layers".into(), "−0.4".into()]];
        assert_eq!(figure_columns(2, &rows), [false, true]);
    }
}
