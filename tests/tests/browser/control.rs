//! Pause, step, stop, reset; the same seed gives the same result, whatever the number of workers.

use crate::harness::{Options, PLAY, Page, dist, run};

/// Long enough to be caught in the middle.
const LONG: &str = "?search.budget=40&search.epochs=4&search.final.models=1&search.final.epochs=1";
const TINY: &str = "?seed=11&search.budget=4&search.epochs=1&search.final.models=1&search.final.epochs=1";

/// A page that believes in a machine of so many cores.
pub fn cores(n: u32) -> Options {
    let before =
        format!("Object.defineProperty(Navigator.prototype, 'hardwareConcurrency', {{ get: () => {n} }});");
    Options { before, ..Options::default() }
}

/// What a whole search shows.
pub async fn result(dist: &std::path::Path, query: &str, options: Options) -> (String, Vec<String>) {
    let page = Page::open(dist, query, options).await;
    page.engine().await;
    page.play().await;
    page.wait(
        "a live candidate",
        "!document.querySelector('.recording') && document.querySelector('circle[role=option]')",
    )
    .await;
    let told = page.finished("the search").await;
    let candidates = page.candidates().await;
    assert!(candidates.len() >= 4, "{candidates:?}");
    page.assert_no_errors().await;
    (told, candidates)
}

#[test]
fn the_same_link_gives_the_same_result_on_one_worker_and_on_two() {
    let Some(dist) = dist() else { return };
    run(async {
        let once = result(&dist, TINY, cores(2)).await;
        assert_eq!(once, result(&dist, TINY, cores(2)).await, "the same link twice");
        assert_eq!(once, result(&dist, TINY, cores(1)).await, "one worker");
        let other = result(&dist, &TINY.replace("seed=11", "seed=12"), cores(2)).await;
        assert_ne!(once.1, other.1, "another seed gives another search");
    });
}

#[test]
fn pause_step_stop_and_reset_answer_in_mid_run() {
    let Some(dist) = dist() else { return };
    run(async {
        let page = Page::open(&dist, LONG, Options::default()).await;
        page.engine().await;
        let count = "(document.querySelector('.recording') ? 0 : document.querySelectorAll('circle[role=option]').length)";
        page.play().await;
        page.wait("the first candidate", &format!("{count} > 0")).await;

        page.play().await;
        page.wait(
            "the run to be held",
            &format!("!/pause/i.test({PLAY}.innerText + ({PLAY}.ariaLabel ?? ''))"),
        )
        .await;
        let held: u32 = page.eval(count).await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert_eq!(page.eval::<u32>(count).await, held, "a held run takes nothing in");

        for step in 1..=2 {
            page.click("Step").await;
            page.wait("one more result", &format!("{count} > {}", held + step - 1)).await;
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            assert_eq!(page.eval::<u32>(count).await, held + step, "a step takes exactly one result in");
        }

        page.play().await;
        page.wait("the run to go on", &format!("{count} > {}", held + 2)).await;
        page.click("Stop").await;
        let stopped: u32 = page.eval(count).await;
        page.wait("the run to be over", "document.querySelector('button[aria-label=Stop]').disabled").await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert!(page.eval::<u32>(count).await <= stopped + 1, "nothing is added to a stopped run");
        assert!(page.eval::<u32>(count).await > 0, "what was found stays");

        page.click("Reset").await;
        page.wait("an empty plot", &format!("{count} === 0")).await;
        page.assert_no_errors().await;
    });
}
