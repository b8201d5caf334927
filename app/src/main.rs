//! The page: a slim bar, the stage rail, three columns, the history. Everything that computes is
//! in the engine's workers; this bundle has no Burn in it.

mod board;
mod client;
mod components;
mod dom;
mod files;
mod latency;
mod panels;
mod session;
mod state;
mod storage;
mod url;

use crate::dom::prelude::*;

fn main() {
    console_error_panic_hook::set_once();
    dom::mount(panels::Page);
    // Only now: the page never stands empty.
    if let Some(before) = document().get_element_by_id("before") {
        before.remove();
    }
}
