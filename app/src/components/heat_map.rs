//! Parts of one, for each of several choices: what a method leans towards.

use super::format;
use crate::dom::prelude::*;
use espalier_core::protocol::HeatRow;

/// Steps of shade that can be told apart.
const SHADES: f64 = 8.0;

/// A row for each choice, a cell for each of its options, darker for the larger part.
#[component]
pub fn HeatMap(
    /// What it shows; its caption.
    title: String,
    /// The choices.
    rows: Vec<HeatRow>,
) -> View {
    let rows = rows.into_iter().map(|(name, options)| {
        let cells = options.into_iter().map(|(option, part)| {
            let shade = (part.clamp(0.0, 1.0) * SHADES).round() as u32;
            view! {
                <li class=format!("heat-{shade}")>
                    <span>{option}</span>
                    <small>{format::percent(part)}</small>
                </li>
            }
        });
        view! {
            <tr>
                <th scope="row">{name}</th>
                <td>
                    <ul class="heat-cells">{cells.collect_view()}</ul>
                </td>
            </tr>
        }
    });
    view! {
        <div class="table-scroll" tabindex="0" role="region" aria-label=title.clone()>
            <table class="heat">
                <caption>{title}</caption>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}
