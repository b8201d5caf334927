//! The whole story, from opening the page to a link that restores it.

use crate::harness::{Options, Page, dist, run};
use serde_json::json;
use thirtyfour::prelude::*;

/// A small budget, by the address alone.
pub const SMALL: &str = "?seed=7&search.budget=5&search.epochs=1&search.final.models=1&search.final.epochs=2&train.epochs=3&prune.epochs=1&prune.steps=2";

#[test]
fn the_page_opens_without_errors_and_asks_nobody_else() {
    let Some(dist) = dist() else { return };
    run(async {
        let page = Page::open(&dist, "", Options::default()).await;
        page.wait("the page's heading", "document.querySelector('h1')").await;
        page.wait("the recording, said to be one", "/recording/i.test(document.querySelector('main').innerText) && document.querySelector('circle[role=option]')").await;
        page.engine().await;
        page.screenshot("open").await;
        page.assert_no_errors().await;
        page.assert_same_origin().await;
    });
}

#[test]
fn from_opening_the_page_to_a_digit_read_by_three_networks() {
    let Some(dist) = dist() else { return };
    run(async {
        let page = Page::open(&dist, SMALL, Options::default()).await;
        page.engine().await;
        search(&page).await;
        train(&page).await;
        prune(&page).await;
        quantize(&page).await;
        draw(&page).await;
        compare(&page).await;
        download(&page).await;
        let link = copy_link(&page).await;
        page.assert_no_errors().await;
        page.assert_same_origin().await;
        drop(page);

        let query = link.split_once('?').expect("the link carries the settings").1;
        let other = Page::open(&dist, &format!("?{query}&stage=search"), Options::default()).await;
        let field = |label: &str| {
            format!(
                "[...document.querySelectorAll('label')].find(l => l.innerText.trim() === '{label}')?.control?.value"
            )
        };
        other.wait("the seed from the link", "[...document.querySelectorAll('label')].some(l => l.innerText.startsWith('Seed') && l.control?.value === '7')").await;
        other.wait("the candidates from the link", &format!("{} === '5'", field("Candidates"))).await;
        other.wait("the epochs from the link", &format!("{} === '1'", field("Epochs each"))).await;
        other.assert_no_errors().await;
    });
}

async fn search(page: &Page) {
    page.stage("Search").await;
    page.play().await;
    page.wait(
        "the first candidate",
        "!document.querySelector('.recording') && document.querySelector('circle[role=option]')",
    )
    .await;
    let told = page.finished("the search").await;
    assert!(told.contains("test samples"), "the search says what it found: {told}");
    assert!(page.candidates().await.len() >= 5, "every candidate of the budget is on the plot");
    page.click("Inside").await;
    page.wait("what the population is made of", "document.querySelectorAll('table.heat tr').length > 3")
        .await;
    page.screenshot("inside").await;
    page.click("Trade-off").await;
    page.screenshot("searched").await;
}

async fn train(page: &Page) {
    // A dot on the front: nothing is drawn over it.
    let dot = page.driver.find(By::Css("circle[role=option].on-front")).await.unwrap();
    dot.scroll_into_view().await.unwrap();
    dot.click().await.unwrap();
    page.wait("the candidate's drawing", "document.querySelector('[aria-label=\"The candidate\"] svg')")
        .await;
    page.click("Train this one").await;
    page.wait(
        "the stage Train",
        "/^Train/.test(document.querySelector('nav[aria-label=Stages] [aria-current]').innerText)",
    )
    .await;
    page.play().await;
    page.finished("training").await;
    page.wait("train and validation loss in one chart", "[...document.querySelectorAll('.line-chart')].some(c => { const n = [...c.querySelectorAll('.line-label')].map(t => t.textContent).join(' '); return /train/i.test(n) && /val/i.test(n) && c.querySelectorAll('path.stroke').length >= 2; })").await;
    page.wait(
        "a confusion matrix of ten classes",
        "document.querySelectorAll('.confusion button.cell').length === 100",
    )
    .await;
    let cell = page.driver.find(By::Css(".confusion button.cell:not(.shade-0)")).await.unwrap();
    cell.scroll_into_view().await.unwrap();
    cell.click().await.unwrap();
    page.wait(
        "the images behind a cell",
        "document.querySelector('[aria-label=\"Confusion matrix\"] .pixel-image')",
    )
    .await;
    page.screenshot("trained").await;
}

async fn prune(page: &Page) {
    page.stage("Prune").await;
    let slider = page.find("input[type=range]", "Amount").await;
    slider.scroll_into_view().await.unwrap();
    let amount =
        "[...document.querySelectorAll('label')].find(l => l.innerText.trim() === 'Amount').control.value";
    let before: String = page.eval(amount).await;
    page.driver.execute("arguments[0].focus()", vec![slider.to_json().unwrap()]).await.unwrap();
    for _ in 0..20 {
        page.key("ArrowRight").await;
    }
    let after: String = page.eval(amount).await;
    assert_ne!(before, after, "the slider moves the setting");
    page.play().await;
    page.finished("pruning").await;
    let sizes: String = page
        .eval("[...document.querySelectorAll('[role=region]')].find(t => t.getAttribute('aria-label') === 'Sizes')?.innerText ?? ''")
        .await;
    for word in ["before", "masked", "shrunk", "compressed"] {
        assert!(sizes.contains(word), "the sizes stand apart, “{word}” among them: {sizes}");
    }
    page.screenshot("pruned").await;
}

async fn quantize(page: &Page) {
    page.stage("Quantize").await;
    page.play().await;
    let told = page.finished("quantization").await;
    assert!(told.contains("smaller"), "quantization says what it gained: {told}");
    page.wait("histograms of the weights", "document.querySelector('.picture svg')").await;
    page.screenshot("quantized").await;
}

const SAYS: &str = "[...document.querySelectorAll('.answer')].map(a => a.innerText)";

/// Draws a one with a pointer of that kind, and waits for the networks' answers.
async fn draw_with(page: &Page, kind: &str) {
    let pad = "document.querySelector('svg.pad, svg.draw-surface')";
    page.wait("the pad", pad).await;
    let _: bool = page.eval(&format!("({pad}.scrollIntoView({{ block: 'center' }}), true)")).await;
    let [x, y, side]: [f64; 3] =
        page.eval(&format!("(r => [r.left, r.top, r.width])({pad}.getBoundingClientRect())")).await;
    let path: Vec<(f64, f64)> =
        (0..=8).map(|i| (x + 0.5 * side, y + (0.15 + 0.7 * f64::from(i) / 8.0) * side)).collect();
    for (i, (x, y)) in path.iter().enumerate() {
        let (first, last) = (i == 0, i + 1 == path.len());
        if kind == "touch" {
            let step = if first { "touchStart" } else { "touchMove" };
            page.cdp(
                "Input.dispatchTouchEvent",
                json!({ "type": step, "touchPoints": [{ "x": x, "y": y }] }),
            )
            .await;
            if last {
                page.cdp("Input.dispatchTouchEvent", json!({ "type": "touchEnd", "touchPoints": [] })).await;
            }
        } else {
            let mut event = json!({ "type": if first { "mousePressed" } else { "mouseMoved" }, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1, "pointerType": kind });
            page.cdp("Input.dispatchMouseEvent", event.clone()).await;
            if last {
                event["type"] = "mouseReleased".into();
                event["buttons"] = 0.into();
                page.cdp("Input.dispatchMouseEvent", event).await;
            }
        }
    }
    page.wait(
        &format!("three answers to a drawing by {kind}, each with its milliseconds"),
        &format!("{SAYS}.length >= 3 && {SAYS}.every(t => /\\d/.test(t) && /(ms|µs)/.test(t))"),
    )
    .await;
}

async fn draw(page: &Page) {
    page.stage("Use").await;
    for kind in ["mouse", "touch", "pen"] {
        draw_with(page, kind).await;
        page.screenshot(&format!("drawn-{kind}")).await;
        page.click("Clear").await;
        page.wait("an empty pad", &format!("!{SAYS}.some(t => /(ms|µs)/.test(t))")).await;
    }
}

async fn compare(page: &Page) {
    let made: u32 = page.eval("document.querySelectorAll('.history .made').length").await;
    assert!(made >= 4, "candidate, trained, pruned and quantized stand in the history: {made}");
    page.wait(
        "lineage: some models continue another's line",
        "document.querySelectorAll('.history li:not(.root)').length >= 1",
    )
    .await;
    let picks = page.driver.find_all(By::Css(".history button[aria-label^=Compare]")).await.unwrap();
    picks[0].scroll_into_view().await.unwrap();
    picks[0].click().await.unwrap();
    page.wait(
        "a table of what changed",
        "/parameters/.test(document.querySelector('.history .compare')?.innerText ?? '')",
    )
    .await;
    page.screenshot("compared").await;
}

async fn download(page: &Page) {
    page.click("Download model").await;
    let start = std::time::Instant::now();
    let file = loop {
        let ready = std::fs::read_dir(&page.downloads)
            .unwrap()
            .filter_map(|e| Some(e.ok()?.path()))
            .find(|p| p.extension().is_some_and(|e| e == "espalier"));
        if let Some(file) = ready {
            break file;
        }
        assert!(start.elapsed().as_secs() < 60, "no file came; the page says: {}", page.notices().await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let bytes = std::fs::read(&file).unwrap();
    let model = espalier_core::io::file::decode("download", &bytes).expect("the download is a model");
    assert!(!model.weights.is_empty());

    // What the page gives it also takes.
    let made: u32 = page.eval("document.querySelectorAll('.history .made').length").await;
    page.click("Open").await;
    page.wait("the file field", "document.querySelector('input[type=file]')").await;
    page.choose_file("again.espalier", &bytes).await;
    page.told("“again.espalier” is in the history").await;
    page.click("Studio").await;
    page.wait(
        "the model in the history",
        &format!("document.querySelectorAll('.history .made').length === {}", made + 1),
    )
    .await;
}

async fn copy_link(page: &Page) -> String {
    page.click("Copy").await;
    page.told("link").await;
    page.eval("location.href").await
}
