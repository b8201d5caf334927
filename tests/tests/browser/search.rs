//! Strategies that train more than candidates, as a visitor meets them in the studio.

use crate::harness::{Options, Page, dist, run};

/// Nothing that takes long.
const SMALL: &str =
    "search.budget=4&search.epochs=1&search.batch=128&search.final.models=1&search.final.epochs=1";

#[test]
fn an_example_sets_a_search_to_something_worth_seeing() {
    let Some(dist) = dist() else { return };
    run(async {
        let page =
            Page::open(&dist, "?search.strategy=darts&search.budget=3&seed=9", Options::default()).await;
        page.engine().await;
        page.click("Watch it collapse").await;
        page.told("Set to “Watch it collapse”").await;
        page.wait("the address", "location.search.includes('search.space=nb201')").await;
        let link: String = page.eval("location.search").await;
        assert!(link.contains("search.nb201.stages=4") && link.contains("search.darts.rate=0.05"), "{link}");
        assert!(!link.contains("budget") && !link.contains("seed"), "what was set before is gone: {link}");
        page.screenshot("example").await;
        page.assert_no_errors().await;
    });
}

#[test]
fn shared_weights_are_seen_to_rank_networks() {
    let Some(dist) = dist() else { return };
    run(async {
        let query = format!(
            "?seed=2&search.strategy=one-shot&search.space=nb201&search.one-shot.epochs=2&search.one-shot.watched=2&search.one-shot.population=3&search.one-shot.generations=1&{SMALL}"
        );
        let page = Page::open(&dist, &query, Options::default()).await;
        page.engine().await;
        page.play().await;
        page.finished("the search").await;
        assert_eq!(page.candidates().await.len(), 4);
        page.click("Inside").await;
        page.wait(
            "predicted and measured",
            "document.querySelectorAll('.picture circle[role=option]').length === 4",
        )
        .await;
        let told: String = page.eval("document.querySelector('.picture').innerText").await;
        assert!(
            told.contains("Kendall’s τ") && told.contains("the best by shared weights are made of"),
            "{told}"
        );
        page.screenshot("one-shot").await;
        page.click("Best so far").await;
        page.wait("the charts", "document.querySelector('.picture').innerText.includes('Shared weights')")
            .await;
        page.screenshot("one-shot-charts").await;
        page.assert_no_errors().await;
    });
}

#[test]
fn what_shares_no_weights_is_refused_before_anything_trains() {
    let Some(dist) = dist() else { return };
    run(async {
        let page = Page::open(&dist, &format!("?search.strategy=one-shot&{SMALL}"), Options::default()).await;
        page.engine().await;
        page.play().await;
        page.told("networks of “chain” share no weights; those of elastic").await;
        page.assert_no_errors().await;
    });
}
