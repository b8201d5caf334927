//! Between visits and between tabs: where one was, and who else is here.

use crate::dom::prelude::*;
use crate::state::App;
use wasm_bindgen::prelude::*;
use web_sys::{BroadcastChannel, MessageEvent};

const KEY: &str = "espalier.last";

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

/// The settings of the last visit, as a query; empty where there was none or nothing is kept.
pub fn last_query() -> String {
    storage().and_then(|s| s.get_item(KEY).ok().flatten()).unwrap_or_default()
}

/// Keeps the settings for the next visit.
pub fn remember(query: &str) {
    if let Some(storage) = storage() {
        // Without space the next visit starts with the defaults, nothing worse.
        let _ = storage.set_item(KEY, query);
    }
}

/// Says so, here and there, when the page is open in two tabs: both keep their models in one place.
pub fn greet(app: App) {
    let Ok(channel) = BroadcastChannel::new("espalier") else { return };
    let answer = channel.clone();
    let hear = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        if event.data().as_string().as_deref() == Some("hello") {
            let _ = answer.post_message(&"here".into());
        }
        app.notice(
            false,
            "Espalier is open in another tab too. Both work; each keeps its models, and a reload shows those of both.",
        );
    });
    channel.set_onmessage(Some(hear.as_ref().unchecked_ref()));
    hear.forget();
    let _ = channel.post_message(&"hello".into());
}
