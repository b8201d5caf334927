//! The page: a slim bar, the stage rail, three columns, the history. Everything that computes is
//! in the engine's workers; this bundle has no Burn in it.

mod board;
mod client;
mod components;
mod dom;
mod files;
mod latency;
mod later;
mod panels;
mod session;
mod state;
mod storage;
mod url;

use crate::dom::prelude::*;

fn main() {
    console_error_panic_hook::set_once();
    let mut query = window().location().search().unwrap_or_default();
    if query.is_empty() {
        query = session::last_query();
    }
    // A link may lead anywhere: everything is needed before it is followed.
    if query.is_empty() {
        begin(query, None);
    } else {
        wasm_bindgen_futures::spawn_local(async move { begin(query, Some(later::fetch().await)) });
    }
}

/// Draws the page, with its second module where that has been fetched.
fn begin(query: String, later: Option<Result<later::Later, String>>) {
    dom::mount(move || panels::page(query, later));
    // Only now: the page never stands empty.
    if let Some(before) = document().get_element_by_id("before") {
        before.remove();
    }
}
