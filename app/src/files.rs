//! Files in and out: downloads by Blob, fetches from the page's own origin, the visitor's files.

use crate::board::Board;
use crate::dom::prelude::*;
use crate::state::{App, Made, Place};
use espalier_core::data::Dataset;
use espalier_core::io::recording::Recording;
use espalier_core::params::ParamValue;
use espalier_core::protocol::{Answer, Event, Question, Tone};
use js_sys::{Array, Uint8Array};
use std::sync::Arc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Response, Url};

/// Hands a file to the visitor.
pub fn download(name: &str, kind: &str, bytes: &[u8]) -> Result<(), JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(kind);
    let blob = Blob::new_with_u8_array_sequence_and_options(&Array::of1(&Uint8Array::from(bytes)), &options)?;
    let url = Url::create_object_url_with_blob(&blob)?;
    let link: HtmlAnchorElement = document().create_element("a")?.unchecked_into();
    link.set_href(&url);
    link.set_download(name);
    link.click();
    Url::revoke_object_url(&url)
}

/// Hands a file to the visitor that the engine writes.
pub fn save(app: App, name: String, kind: &'static str, question: Question, about: Option<Made>) {
    spawn_local(async move {
        match app.ask(question, about.as_slice()).await {
            Ok(Answer::File(bytes)) if download(&name, kind, &bytes).is_err() => {
                app.notice(true, "The browser refused the download.");
            }
            Ok(_) => {}
            Err(text) => app.notice(true, text),
        }
    });
}

/// A file of the page's own origin.
pub async fn fetch(path: &str) -> Result<Vec<u8>, String> {
    let words = |e: JsValue| format!("{path} could not be fetched: {e:?}");
    let response: Response =
        JsFuture::from(window().fetch_with_str(path)).await.map_err(words)?.unchecked_into();
    if !response.ok() {
        return Err(format!("{path} could not be fetched: status {}", response.status()));
    }
    let buffer = JsFuture::from(response.array_buffer().map_err(words)?).await.map_err(words)?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

/// Gives a data set to the page and, as its file, to every worker.
fn use_data(app: App, format: &str, set: Dataset, bytes: Vec<u8>) {
    let name = set.name.clone();
    app.client(|c| c.data(&name, format, bytes));
    if format == "nb201" {
        app.table.set(Some(name.clone()));
        app.configs.compare.update(|c| {
            c.0.insert("compare.by".into(), ParamValue::Text("table".into()));
        });
        app.place.set(Place::Compare);
        return app.notice(false, format!("“{name}” is the table that strategies are compared on now."));
    }
    app.dataset.set(Some(Arc::new(set)));
    app.data.set((name, format.into()));
}

#[wasm_bindgen]
extern "C" {
    type DecompressionStream;
    #[wasm_bindgen(constructor, catch)]
    fn new(format: &str) -> Result<DecompressionStream, JsValue>;

    /// Whatever has a body: a response, or what came of one.
    type Body;
    #[wasm_bindgen(method, getter)]
    fn body(this: &Body) -> Stream;

    type Stream;
    #[wasm_bindgen(method, catch, js_name = pipeThrough)]
    fn pipe_through(this: &Stream, through: &DecompressionStream) -> Result<Stream, JsValue>;

    #[wasm_bindgen(js_name = Response)]
    type Whole;
    #[wasm_bindgen(constructor, js_class = "Response")]
    fn read(stream: &Stream) -> Whole;
}

/// Inflates (RFC 1951), by the browser's own means.
///
/// `format` is the browser's name of it: `deflate-raw`, or `gzip` (RFC 1952).
async fn inflate(stored: &[u8], format: &str) -> Result<Vec<u8>, JsValue> {
    let through = DecompressionStream::new(format)?;
    let stored: Body = Response::new_with_opt_js_u8_array(Some(&Uint8Array::from(stored)))?.unchecked_into();
    let whole: Response = Whole::read(&stored.body().pipe_through(&through)?).unchecked_into();
    Ok(Uint8Array::new(&JsFuture::from(whole.array_buffer()?).await?).to_vec())
}

/// Fetches the shipped digits, then the engine.
pub fn begin(app: App, build: String) {
    spawn_local(async move {
        match fetch("./data/digits.bin").await {
            Ok(bytes) => match Dataset::digits("digits", &bytes) {
                Ok(set) => use_data(app, "digits", set, bytes),
                Err(error) => app.notice(true, error.to_string()),
            },
            Err(error) => app.notice(
                true,
                format!("The shipped digits are missing: {error}. Open a file of your own instead."),
            ),
        }
        app.client(|c| c.load(&build));
    });
}

/// Shows the recorded search, where there is nothing else to be shown yet.
pub fn show_recording(app: App) {
    spawn_local(async move {
        // Without it the page merely stands empty until the engine arrives.
        if let Ok(bytes) = fetch("./data/recorded-search.bin").await
            && let Ok(stored) = Recording::stored("recorded-search.bin", &bytes)
            && let Ok(payload) = inflate(stored, "deflate-raw").await
            && let Ok(recording) = Recording::inflated("recorded-search.bin", &payload)
            && app.search.is_empty()
        {
            replay(app.search, recording.events);
        }
    });
}

/// Shows a recording at a pace that can be followed, until something live takes its place.
fn replay(board: Board, events: Vec<Event>) {
    board.clear();
    board.recorded.set(true);
    let events = std::cell::RefCell::new(events.into_iter());
    let handle = std::rc::Rc::new(std::cell::Cell::new(None::<leptos::leptos_dom::helpers::IntervalHandle>));
    let stop = handle.clone();
    let interval = set_interval_with_handle(
        move || {
            let live = !board.recorded.get_untracked();
            let mut told = false;
            while !live && !told {
                let Some(event) = events.borrow_mut().next() else { break };
                told = matches!(event, Event::Point { .. });
                board.apply(event);
            }
            if !told && let Some(interval) = stop.take() {
                interval.clear();
            }
        },
        std::time::Duration::from_millis(160),
    );
    handle.set(interval.ok());
}

/// A file of the visitor's: a data set or a model, by its name and its content.
pub fn open(app: App, file: web_sys::File) {
    spawn_local(async move {
        let (name, bytes) = match content(&file).await {
            Ok(content) => content,
            Err(text) => return app.notice(true, text),
        };
        match app.ask(Question::Open { name: name.clone(), bytes }, &[]).await {
            Ok(Answer::Model(model, anatomy, metrics)) => {
                let made_by = format!("opened from “{name}”");
                app.keep(name.clone(), Tone::Baseline, made_by, *model, anatomy, metrics, None);
                app.notice(false, format!("“{name}” is in the history and in hand."));
            }
            Ok(Answer::Data(set, format)) => match content(&file).await {
                Ok((_, bytes)) => use_data(app, &format, set, bytes),
                Err(text) => app.notice(true, text),
            },
            Ok(_) => {}
            Err(text) => app.notice(true, text),
        }
    });
}

/// A file's name and bytes; what is packed by gzip is unpacked.
async fn content(file: &web_sys::File) -> Result<(String, Vec<u8>), String> {
    let name = file.name();
    let unreadable = |error: JsValue| format!("“{}” cannot be read: {error:?}", file.name());
    let buffer = JsFuture::from(file.array_buffer()).await.map_err(unreadable)?;
    let bytes = Uint8Array::new(&buffer).to_vec();
    match name.strip_suffix(".gz") {
        None => Ok((name, bytes)),
        Some(inner) => match inflate(&bytes, "gzip").await {
            Ok(unpacked) => Ok((inner.to_owned(), unpacked)),
            Err(_) => Err(format!("“{name}” is called gzip but cannot be unpacked; it may be cut short.")),
        },
    }
}
