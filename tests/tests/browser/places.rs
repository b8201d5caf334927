//! Narrow windows, dark, reduced motion.

use crate::harness::{Options, Page, dist, run};

const STAGES: [&str; 6] = ["Data", "Search", "Train", "Prune", "Quantize", "Use"];

#[test]
fn everything_fits_a_window_of_390_pixels() {
    let Some(dist) = dist() else { return };
    run(async {
        let query = "?search.budget=2&search.epochs=1&search.final.models=1&search.final.epochs=1";
        let page = Page::open(&dist, query, Options { width: 390, height: 844, ..Options::default() }).await;
        page.engine().await;
        for stage in STAGES {
            page.stage(stage).await;
            page.screenshot(&format!("narrow-{stage}")).await;
            let width: u32 = page.eval("document.documentElement.scrollWidth").await;
            assert!(width <= 390, "{stage} is {width} pixels wide");
        }
        page.stage("Search").await;
        page.play().await;
        page.finished("the search").await;
        page.screenshot("narrow-searched").await;
        let width: u32 = page.eval("document.documentElement.scrollWidth").await;
        assert!(width <= 390, "with results it is {width} pixels wide");
        page.assert_no_errors().await;
    });
}

#[test]
fn dark_and_still_where_the_visitor_wants_it() {
    let Some(dist) = dist() else { return };
    run(async {
        let paper = "getComputedStyle(document.body).backgroundColor";
        let moving = "[...document.querySelectorAll('*')].filter(e => { const s = getComputedStyle(e); const long = t => t.split(',').some(x => parseFloat(x) > 0.01); return long(s.transitionDuration) || (s.animationName !== 'none' && long(s.animationDuration)); }).length";
        let light = Page::open(&dist, "", Options::default()).await;
        light.engine().await;
        let day: String = light.eval(paper).await;
        drop(light);
        let dark =
            Page::open(&dist, "", Options { dark: true, reduced_motion: true, ..Options::default() }).await;
        dark.engine().await;
        let night: String = dark.eval(paper).await;
        assert_ne!(day, night, "dark mode changes the ground");
        assert_eq!(dark.eval::<u32>(moving).await, 0, "nothing moves where motion is not wanted");
        dark.screenshot("dark").await;
        dark.click("Switch between light and dark").await;
        dark.wait("light by choice", &format!("{paper} !== '{night}'")).await;
        dark.goto("").await;
        dark.wait("the choice kept", &format!("{paper} !== '{night}'")).await;
    });
}
