//! Fetching an engine's code: compiled once, handed to every worker.

use js_sys::WebAssembly;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// A compiled engine and the addresses of its scripts.
#[derive(Clone)]
pub struct Module {
    pub compiled: JsValue,
    pub js: String,
    pub worker: String,
}

/// Fetches and compiles an engine.
pub async fn compile(build: &str, name: &str) -> Result<Module, String> {
    let said = |error: JsValue| match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => format!("{error:?}"),
    };
    fetch(build, name).await.map_err(said)
}

async fn fetch(build: &str, name: &str) -> Result<Module, JsValue> {
    let window = web_sys::window().ok_or("no window")?;
    let base = window.document().and_then(|d| d.base_uri().ok().flatten()).unwrap_or_default();
    let url = |name: &str| web_sys::Url::new_with_base(&format!("{name}?v={build}"), &base).map(|u| u.href());
    let wasm = url(&format!("{name}_bg.wasm"))?;
    let streamed = JsFuture::from(WebAssembly::compile_streaming(&window.fetch_with_str(&wasm))).await;
    let compiled = match streamed {
        Ok(module) => module,
        // A host that serves Wasm under another type, or an old browser.
        Err(_) => {
            let response: web_sys::Response =
                JsFuture::from(window.fetch_with_str(&wasm)).await?.unchecked_into();
            if !response.ok() {
                return Err(js_sys::Error::new(&format!("{wasm}: status {}", response.status())).into());
            }
            let buffer = JsFuture::from(response.array_buffer()?).await?;
            JsFuture::from(WebAssembly::compile(&buffer)).await?
        }
    };
    Ok(Module { compiled, js: url(&format!("{name}.js"))?, worker: url("worker.js")? })
}
