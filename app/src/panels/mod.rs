//! The page's parts.

mod bar;
mod card;
mod data;
mod engine;
mod history;
mod labs;
mod open;
mod pictures;
mod rail;
mod search;
mod transport;
mod try_it;
mod tune;

use crate::components::{Gravity, Notice, ParamForm};
use crate::dom::prelude::*;
use crate::state::{App, Place, Stage};
use crate::storage::Storage;
use crate::{files, session, url};

/// Everything.
#[component]
pub fn Page() -> View {
    let app = App::provide();
    let mut query = window().location().search().unwrap_or_default();
    if query.is_empty() {
        query = session::last_query();
    }
    for wrong in url::apply(&app, &query) {
        app.notice(false, format!("From the link: {wrong}. The rest of it was applied."));
    }
    url::follow(app);
    session::greet(app);
    crate::latency::follow(app);
    Storage::restore(app);
    files::begin(app, build());

    view! {
        <div class="app">
            <a class="skip" href="#main">"Skip to the main part"</a>
            <bar::Bar />
            {move || match app.place.get() {
                Place::Studio => view! { <Studio /> },
                Place::Labs(None) => view! { <labs::Gallery /> },
                Place::Labs(Some(id)) => view! { <labs::LabPage id=id /> },
                Place::Learn => view! { <open::Learn /> },
                Place::Open => view! { <open::Open /> },
            }}
            <div class="notices" role="status" aria-live="polite">
                <For each=move || app.notices.get() key=|n| n.id let:notice>
                    <Notice
                        gravity=if notice.error { Gravity::Error } else { Gravity::Info }
                        text=notice.text.clone()
                        on_dismiss=Callback::new(move |()| {
                            app.notices.update(|all| all.retain(|n| n.id != notice.id));
                        })
                    />
                </For>
            </div>
        </div>
    }
}

/// A run kind's settings: the first few open, the rest folded away.
#[component]
fn Settings(
    specs: &'static [espalier_core::params::ParamSpec],
    config: RwSignal<espalier_core::params::Config>,
    #[prop(into)] enabled: Signal<bool>,
) -> View {
    let (first, rest) = specs.split_at(specs.len().min(4));
    view! {
        <div class="group">
            <ParamForm specs=first config=config enabled=enabled />
        </div>
        {(!rest.is_empty()).then(|| view! {
            <details class="group">
                <summary>"More settings"</summary>
                <ParamForm specs=rest config=config enabled=enabled />
            </details>
        })}
    }
}

/// The name of this build, by which engine and workers are asked for.
fn build() -> String {
    document()
        .query_selector("meta[name=build]")
        .ok()
        .flatten()
        .and_then(|meta| meta.get_attribute("content"))
        .unwrap_or_default()
}

#[component]
fn Studio() -> View {
    let app = App::get();
    view! {
        <rail::Rail />
        <main class="studio" id="main" tabindex="-1">
            {move || match app.stage.get() {
                Stage::Data => view! { <data::Data /> },
                Stage::Search => view! { <search::Search /> },
                Stage::Train => view! { <tune::Tune kind="train" /> },
                Stage::Prune => view! { <tune::Tune kind="prune" /> },
                Stage::Quantize => view! { <tune::Tune kind="quantize" /> },
                Stage::Use => view! { <try_it::Use /> },
            }}
            <card::Card />
        </main>
        <history::History />
    }
}
