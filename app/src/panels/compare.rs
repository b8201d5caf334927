//! Strategies side by side.

use super::open::Drop;
use super::pictures::{Charts, Outcome, Rest, Tables};
use super::transport::Transport;
use crate::components::{ParamForm, Scatter};
use crate::dom::prelude::*;
use crate::state::{App, Place, Status};
use espalier_core::params::ParamSpec;
use espalier_core::protocol::{Metric, Tone};
use espalier_core::registry;

/// The place.
#[component]
pub fn Compare() -> View {
    let app = App::get();
    let board = app.compare;
    let specs = registry::settings("compare");
    let busy = move || app.status.get() != Status::Idle && app.kind.with(|k| k == "compare");
    let by_table = move || app.configs.compare.with(|c| c.text(specs, "compare.by") == "table");
    // Strategies first, then what is the comparison's own, then what every search shares.
    let strategies = espalier_core::search::ALL.len().min(specs.len());
    let own = specs.iter().take_while(|s| s.key.starts_with("compare.")).count();
    let (strategies, rest) = specs.split_at(strategies);
    let (own, shared) = rest.split_at(own.saturating_sub(strategies.len()));
    let form = move |specs: &'static [ParamSpec]| {
        view! { <ParamForm specs=specs config=app.configs.compare enabled=Signal::derive(move || !busy()) /> }
    };
    let (x, y) = (RwSignal::new(Metric::Params), RwSignal::new(Metric::ValAccuracy));
    view! {
        <main class="plain-page" id="main" tabindex="-1">
            <button type="button" class="word" on:click=move |_| app.place.set(Place::Studio)>"Back to the search"</button>
            <h1>"Compare strategies"</h1>
            <p class="quiet">
                "The same space, training, seeds and budget for all, and the test split touched once, by what each has chosen on validation. Bands show one standard deviation over the seeds."
            </p>
            <div class="lab">
                <div class="stack">
                    <Transport kind="compare" go="Compare" tone=Tone::Grow />
                    <div class="group" role="group" aria-label="Strategies">
                        <h2>"Strategies"</h2>
                        {form(strategies)}
                    </div>
                    <div class="group">{form(own)}</div>
                    <details class="group">
                        <summary>"More settings"</summary>
                        {form(shared)}
                    </details>
                </div>
                <div class="boards">
                    <Show when=by_table>
                        {move || match app.table.get() {
                            Some(name) => view! { <p class="quiet">{format!("The table is “{name}”.")}</p> },
                            None => view! {
                                <div class="stack-s">
                                    <p>
                                        "NAS-Bench-201 holds what every one of its 15,625 networks reached, so a search takes a moment and hundreds can be compared. Its table is a CSV file with the columns cell, c10_val_200ep and c10_test_200ep; drop it in."
                                    </p>
                                    <Drop />
                                </div>
                            },
                        }}
                    </Show>
                    <Outcome board=board />
                    <Charts board=board />
                    <Tables board=board />
                    <Show when=move || !board.points.with(Vec::is_empty)>
                        <Scatter dots=board.points x=x y=y hovered=board.hovered selected=board.selected title="Candidates" />
                    </Show>
                    <Rest board=board />
                </div>
            </div>
        </main>
    }
}
