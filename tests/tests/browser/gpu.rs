//! The GPU engine, on WebGPU in software: for correctness, not for speed. Nothing in the page helps these
//! tests: a module put before the GPU worker's own breaks its shaders, and the browser's GPU process is ended.

use crate::harness::{Options, Page, dist, run};
use std::time::Duration;

/// WebGPU in software compiles some hundred shaders for the self-test, slowly.
const PATIENCE: Duration = Duration::from_secs(600);

/// One small candidate, 16 steps of training, and its final training, 48 steps.
const TINY: &str =
    "seed=3&search.budget=1&search.batch=128&search.epochs=2&search.final.models=1&search.final.epochs=6";

/// Lets `shim` run in the GPU's worker before the engine.
fn with_shim(shim: &str) -> Options {
    let shim = serde_json::json!(shim);
    let before = format!(
        "const Plain = window.Worker; window.Worker = class extends Plain {{ postMessage(message, transfer) {{
            if (message?.js?.includes('gpu.js')) {{
                const code = {shim} + `\nexport {{ default }} from ${{JSON.stringify(message.js)}};`;
                message = {{ ...message, js: 'data:text/javascript,' + encodeURIComponent(code) }};
            }}
            return super.postMessage(message, transfer);
        }} }};"
    );
    Options { webgpu: true, before, ..Options::default() }
}

/// Changes the source of every shader after the first few.
fn break_shaders(change: &str) -> String {
    format!(
        "const plain = GPUDevice.prototype.createShaderModule; let made = 0;
        GPUDevice.prototype.createShaderModule = function (d) {{
            return plain.call(this, ++made < 4 ? d : {{ ...d, code: (code => {change})(d.code) }});
        }};"
    )
}

/// The built page, where it was built with its GPU engine (not so by `cargo xtask build --no-gpu`).
fn dist_with_gpu() -> Option<std::path::PathBuf> {
    let dist = dist()?;
    if dist.join("gpu_bg.wasm").is_file() {
        return Some(dist);
    }
    eprintln!("skipped: this page was built without its GPU engine");
    None
}

const BADGE: &str = "document.querySelector('header .badge')";

async fn badge(page: &Page, words: &str) {
    page.wait_within(PATIENCE, words, &format!("{BADGE}?.innerText.includes('{words}')")).await;
}

/// Files of the GPU engine that the page asked for.
async fn fetched(page: &Page) -> Vec<String> {
    page.eval(
        "performance.getEntriesByType('resource').map(e => e.name).filter(n => /\\/gpu(_bg)?\\./.test(n))",
    )
    .await
}

/// Validation accuracy of the first candidate, in percent, from its label.
fn accuracy(candidates: &[String]) -> f64 {
    let label = candidates.first().expect("a candidate");
    let after = label.split("accuracy ").nth(1).unwrap_or_default();
    let number: String = after.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    number.parse().unwrap_or_else(|_| panic!("no accuracy in “{label}”"))
}

async fn searched(page: &Page) -> Vec<String> {
    page.wait_within(
        PATIENCE,
        "a live candidate",
        "!document.querySelector('.recording') && document.querySelector('circle[role=option]')",
    )
    .await;
    page.candidates().await
}

#[test]
fn without_a_usable_gpu_nothing_of_its_engine_is_fetched() {
    let Some(dist) = dist() else { return };
    run(async {
        let page = Page::open(&dist, &format!("?engine=gpu&{TINY}"), Options::default()).await;
        page.engine().await;
        page.told("The GPU is not used").await;
        badge(&page, "CPU").await;
        badge(&page, "GPU not used").await;
        let why: String = page.eval(&format!("{BADGE}.title")).await;
        assert!(why.contains("WebGPU") || why.contains("graphics processor"), "{why}");
        assert_eq!(page.eval::<String>("document.querySelector('select[title*=GPU]').value").await, "cpu");
        page.play().await;
        searched(&page).await;
        assert_eq!(fetched(&page).await, Vec::<String>::new());
        page.assert_no_errors().await;
    });
}

#[test]
fn the_gpu_agrees_with_the_cpu_and_when_it_is_lost_the_cpu_goes_on() {
    let Some(dist) = dist_with_gpu() else { return };
    run(async {
        let page = Page::open(&dist, &format!("?{TINY}"), Options::default()).await;
        page.engine().await;
        page.play().await;
        let on_cpu = searched(&page).await;
        drop(page);

        let options = Options { webgpu: true, ..Options::default() };
        let page = Page::open(&dist, &format!("?engine=gpu&{TINY}"), options).await;
        badge(&page, "GPU · checked against CPU").await;
        assert_eq!(fetched(&page).await.len(), 1, "its code; its script is the worker's");
        page.play().await;
        let on_gpu = searched(&page).await;
        // The self-test holds two training steps to 1e-3; over 16 steps rounding grows.
        let (cpu, gpu) = (accuracy(&on_cpu), accuracy(&on_gpu));
        println!("validation accuracy: {cpu} % on the CPU, {gpu} % on the GPU");
        assert!((cpu - gpu).abs() <= 2.0, "validation accuracy {cpu} % on the CPU, {gpu} % on the GPU");

        // In the middle of the final training.
        page.wait_within(
            PATIENCE,
            "a job under way",
            "document.querySelector('progress, [role=progressbar]')",
        )
        .await;
        // What a driver's crash is to a browser: every device is lost at once.
        page.cdp("Browser.crashGpuProcess", serde_json::json!({})).await;
        page.told("The GPU is not used: the GPU was lost").await;
        page.told("the run goes on").await;
        badge(&page, "CPU").await;
        badge(&page, "GPU not used").await;
        page.finished("the search").await;
        assert_eq!(accuracy(&page.candidates().await), gpu, "what the GPU had found is kept");

        // It can be had again. The race measures both and keeps the faster one.
        page.click("Race").await;
        page.wait_within(PATIENCE, "the race", "document.querySelector('#race').innerText").await;
        let told: String = page.eval("document.querySelector('#race').innerText").await;
        let wins = if told.contains("The GPU is") { "GPU" } else { "CPU" };
        badge(&page, wins).await;
        let figures: Vec<f64> =
            told.split(' ').filter_map(|word| word.parse().ok()).filter(|f| *f > 0.0).collect();
        assert!(figures.len() >= 3, "{told}");
        page.assert_no_errors().await;
        page.assert_same_origin().await;
    });
}

#[test]
fn a_gpu_that_computes_wrongly_is_not_used() {
    let Some(dist) = dist_with_gpu() else { return };
    run(async {
        // One that does not compile: Burn would only log it, and go on with stale numbers.
        let options = with_shim(&break_shaders("code + ' nonsense'"));
        let page = Page::open(&dist, "?engine=gpu", options).await;
        page.told("The GPU is not used").await;
        badge(&page, "GPU not used").await;
        drop(page);
        // One that compiles and is wrong: the self-test names an operator and says by how much.
        let options = with_shim(&break_shaders("code.replaceAll(' * ', ' + ')"));
        let page = Page::open(&dist, "?engine=gpu", options).await;
        badge(&page, "GPU not used").await;
        let why: String = page.eval(&format!("{BADGE}.title")).await;
        assert!(why.contains("self-test failed") && why.contains("on the CPU"), "{why}");
        page.engine().await;
        page.assert_no_errors().await;
    });
}

#[test]
fn operators_are_timed_on_the_gpu_and_candidates_train_there_side_by_side() {
    let Some(dist) = dist_with_gpu() else { return };
    // Two networks that differ in their width alone.
    let query = |place: &str, together: u32| {
        format!(
            "?engine=gpu&seed=7{place}&latency.on=gpu&latency.networks=4&latency.space=mlp&search.space=mlp&search.mlp.depth=1&search.strategy=random&search.budget=2&search.lookahead=8&search.together={together}&search.epochs=2&search.batch=128&search.final.models=1&search.final.epochs=1"
        )
    };
    run(async {
        let options = Options { webgpu: true, ..Options::default() };
        let page = Page::open(&dist, &query("&place=latency", 2), options).await;
        badge(&page, "GPU · checked against CPU").await;
        page.play().await;
        ended(&page).await;
        let told = page.finished("the timing").await;
        assert!(told.contains("GPU") && told.contains("r = "), "{told}");
        println!("{told}");
        let table: String =
            page.eval("document.querySelector('.boards [role=region] table').innerText").await;
        assert!(table.contains("Gemm") || table.contains("MatMul"), "{table}");
        let kept: Vec<String> =
            page.eval("caches.open('espalier').then(c => c.keys()).then(all => all.map(r => r.url))").await;
        assert!(kept.len() == 1 && kept[0].contains("kept=gpu"), "{kept:?}");

        page.click("Back to the search").await;
        page.play().await;
        page.click("At work").await;
        page.wait_within(PATIENCE, "both at once", "document.body.innerText.includes('side by side')").await;
        let both = searched_all(&page).await;
        page.goto(&query("", 1)).await;
        badge(&page, "GPU · checked against CPU").await;
        page.play().await;
        let alone = searched_all(&page).await;
        println!("together {both:?}, alone {alone:?}");
        assert_eq!((both.len(), alone.len()), (2, 2));
        for (a, b) in both.iter().zip(&alone) {
            assert!(
                (accuracy(std::slice::from_ref(a)) - accuracy(std::slice::from_ref(b))).abs() <= 1.0,
                "{a} and {b}"
            );
        }
        page.assert_no_errors().await;
    });
}

/// Waits for the end of a run on the GPU.
async fn ended(page: &Page) {
    page.wait_within(PATIENCE, "the run's end", "document.querySelector('.finished, .note.error')").await;
}

/// The candidates of a finished search.
async fn searched_all(page: &Page) -> Vec<String> {
    ended(page).await;
    page.finished("the search").await;
    page.click("Trade-off").await;
    page.candidates().await
}
