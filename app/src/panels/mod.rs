//! The page's parts.

mod bar;
mod card;
mod compare;
mod data;
mod engine;
mod history;
mod labs;
mod open;
mod pictures;
mod rail;
mod run_page;
mod search;
mod transport;
mod try_it;
mod tune;

use crate::board::Board;
use crate::components::{Gravity, Notice, ParamForm};
use crate::dom::prelude::*;
use crate::later::{Later, Part};
use crate::state::{App, Made, Place, Stage};
use crate::{files, later};

/// Everything. Where the second module has not been fetched, it follows the first picture.
pub fn page(query: String, later: Option<Result<Later, String>>) -> View {
    let app = App::provide();
    let arrive = move |later: Result<Later, String>| match later {
        Ok(later) => {
            (later.address)(app, &query);
            app.later.set(Some(later));
            (later.begin)(app);
        }
        Err(text) => app.notice(true, text),
    };
    match later {
        Some(later) => arrive(later),
        None => request_animation_frame(move || {
            leptos::task::spawn_local(async move { arrive(later::fetch().await) });
        }),
    }
    files::show_recording(app);
    view! { <Page /> }
}

#[component]
fn Page() -> View {
    let app = App::get();
    view! {
        <div class="app">
            <a class="skip" href="#main">"Skip to the main part"</a>
            <bar::Bar />
            {move || match app.place.get() {
                Place::Studio => view! { <Studio /> },
                other => later::view(move |l| (l.place)(other.clone())),
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
pub fn build() -> String {
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
                Stage::Search => view! { <search::Search /> },
                other => later::view(move |l| (l.stage)(other)),
            }}
            <card::Card />
        </main>
        {later::view(|l| (l.history)())}
    }
}

/// A place other than the studio.
pub fn place(place: Place) -> View {
    match place {
        Place::Studio => View::Empty,
        Place::Labs(None) => view! { <labs::Gallery /> },
        Place::Labs(Some(id)) => view! { <labs::LabPage id=id /> },
        Place::Compare => view! { <compare::Compare /> },
        Place::Latency => view! { <run_page::RunPage about=&run_page::LATENCY /> },
        Place::Why => view! { <run_page::RunPage about=&run_page::WHY /> },
        Place::Learn => view! { <open::Learn /> },
        Place::Open => view! { <open::Open /> },
    }
}

/// A stage other than the search.
pub fn stage(stage: Stage) -> View {
    match stage {
        Stage::Search => View::Empty,
        Stage::Data => view! { <data::Data /> },
        Stage::Train => view! { <tune::Tune kind="train" /> },
        Stage::Prune => view! { <tune::Tune kind="prune" /> },
        Stage::Quantize => view! { <tune::Tune kind="quantize" /> },
        Stage::Use => view! { <try_it::Use /> },
    }
}

/// A part of the search's picture.
pub fn part(part: Part, board: Board) -> View {
    match part {
        Part::Outcome => view! { <pictures::Outcome board=board /> },
        Part::Charts => view! { <pictures::Charts board=board /> },
        Part::Jobs => view! { <search::Jobs /> },
        Part::Inside => view! { <pictures::Inside board=board /> },
        Part::Rest => view! {
            <pictures::Mistakes board=board />
            <pictures::Tables board=board />
            <pictures::Rest board=board />
        },
    }
}

/// The settings of the search.
pub fn search_settings() -> View {
    view! { <search::SearchSettings /> }
}

/// A model's figures.
pub fn figures(made: Made) -> View {
    view! { <card::Figures made=made /> }
}

/// The history.
pub fn history() -> View {
    view! { <history::History /> }
}
