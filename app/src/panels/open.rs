//! Open a file of one's own; read about what happens here.

use crate::dom::prelude::*;
use crate::files;
use crate::state::{App, Place, Stage};
use espalier_core::params::ParamValue;
use wasm_bindgen::JsCast;

/// Where files are dropped.
#[component]
pub fn Drop() -> View {
    let app = App::get();
    let over = RwSignal::new(false);
    let take = move |list: Option<web_sys::FileList>| {
        for file in list.iter().flat_map(|l| (0..l.length()).filter_map(|i| l.get(i))) {
            files::open(app, file);
        }
    };
    view! {
        <div
            class="drop"
            class:over=move || over.get()
            on:dragover=move |e| {
                e.prevent_default();
                over.set(true);
            }
            on:dragleave=move |_| over.set(false)
            on:drop=move |e| {
                e.prevent_default();
                over.set(false);
                take(e.data_transfer().and_then(|d| d.files()));
            }
        >
            <label class="field">
                <span>"Drop a file here, or choose one"</span>
                <input
                    type="file"
                    multiple
                    accept=".csv,.espalier,.onnx,.idx,.ubyte,.gz"
                    on:change=move |e| {
                        let input = e.target().and_then(|t| t.dyn_into::<web_sys::HtmlInputElement>().ok());
                        take(input.and_then(|i| i.files()));
                    }
                />
            </label>
            <p class="small quiet">"Data: CSV with a class in each row, IDX, NAS-Bench-201’s table; packed by gzip or not. Models: .espalier, as downloaded here, and .onnx."</p>
        </div>
    }
}

/// The place.
#[component]
pub fn Open() -> View {
    view! {
        <main class="plain-page" id="main" tabindex="-1">
            <h1>"Open a file of your own"</h1>
            <Drop />
            <p class="quiet">"It is read in this page and goes nowhere else."</p>
        </main>
    }
}

/// Words that are buttons.
#[component]
pub fn Learn() -> View {
    let app = App::get();
    let word = move |text: &'static str, stage: Stage, key: &'static str, value: ParamValue| {
        view! {
            <button
                type="button"
                class="word"
                on:click=move |_| {
                    if !key.is_empty() {
                        app.config(stage.key()).update(|c| {
                            c.0.insert(key.into(), value.clone());
                        });
                    }
                    app.stage.set(stage);
                    app.place.set(Place::Studio);
                }
            >
                {text}
            </button>
        }
    };
    let go = move |text: &'static str, stage: Stage| word(text, stage, "", ParamValue::Bool(true));
    let choice = |text: &str| ParamValue::Text(text.into());
    view! {
        <main class="plain-page learn" id="main" tabindex="-1">
            <h1>"More fruit on less wood"</h1>
            <p class="lead">
                "An espalier is a tree trained flat against a frame and pruned until it bears more fruit on less wood. This page does that to neural networks. The underlined words set what they speak of and take you there."
            </p>
            <section class="stack-s">
                <h2>"Grow"</h2>
                <p>
                    "A network has to learn from " {go("examples", Stage::Data)}
                    ": here 1,797 handwritten digits of 8 × 8 pixels. Some of them are held back, so that it can be asked about digits it has never seen."
                </p>
                <p>
                    "Which layers, how many, how wide? Trying is the honest way. "
                    {word("Random search", Stage::Search, "strategy", choice("random"))}
                    " draws candidates and trains each; "
                    {word("evolution", Stage::Search, "strategy", choice("evolution"))}
                    " changes the best ones a little and keeps what does better. There is no single winner: a larger network is mostly better, so look at the front, the networks that nothing beats in both size and accuracy."
                </p>
                <p>
                    {go("Training", Stage::Train)}
                    " turns the candidate's random weights into useful ones. When the training loss falls on while the validation loss rises, it has begun to learn the examples by heart."
                </p>
            </section>
            <section class="stack-s">
                <h2>"Prune"</h2>
                <p>
                    "Much of a trained network does little. "
                    {word("Take whole channels away", Stage::Prune, "prune.kind", choice("structured"))}
                    " and the arithmetic shrinks with them; "
                    {word("take single weights away", Stage::Prune, "prune.kind", choice("unstructured"))}
                    " and only zeros are left behind, which compress well but are not faster by themselves. That is why three sizes stand apart here: masked, compressed, shrunk. A little more training afterwards wins most of the accuracy back."
                </p>
            </section>
            <section class="stack-s">
                <h2>"Quantize"</h2>
                <p>
                    "A weight is usually a number of 32 bits. "
                    {word("Eight bits", Stage::Quantize, "quant.weight_bits", ParamValue::Int(8))} ", or "
                    {word("four", Stage::Quantize, "quant.weight_bits", ParamValue::Int(4))}
                    ", are mostly enough: a scale maps each weight to a small whole number, and the network then computes on whole numbers."
                </p>
                <p class="formula">"w ≈ s · (q − z),   q = round(w / s) + z,   q in −128 … 127"</p>
            </section>
            <section class="stack-s">
                <h2>"Use"</h2>
                <p>
                    {go("Draw a digit", Stage::Use)}
                    " and let the float, the pruned and the quantized network answer side by side. Everything is computed on your machine, in this page; nothing leaves it."
                </p>
            </section>
        </main>
    }
}
