//! By keyboard alone, and what axe-core finds.

use crate::harness::{Options, Page, dist, run};

/// Presses Tab until the focused element satisfies a condition.
async fn tab_to(page: &Page, what: &str, condition: &str) {
    for _ in 0..120 {
        page.key("Tab").await;
        if page.eval::<bool>(&format!("!!(e => {condition})(document.activeElement)")).await {
            let seen: bool = page
                .eval("(s => (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none')(getComputedStyle(document.activeElement))")
                .await;
            assert!(seen, "the focus on {what} is visible");
            return;
        }
    }
    page.screenshot("failed").await;
    panic!("{what} is not reached by Tab");
}

#[test]
fn by_keyboard_alone() {
    let Some(dist) = dist() else { return };
    run(async {
        let query = "?search.budget=3&search.epochs=1&search.final.models=1&search.final.epochs=1";
        let page = Page::open(&dist, query, Options::default()).await;
        page.engine().await;
        tab_to(&page, "Play", "e.id === 'play'").await;
        page.key("Enter").await;
        page.finished("the search").await;

        // Round by Tab to the plot; arrows go through the candidates, Enter takes one.
        tab_to(&page, "the plot", "e.getAttribute('role') === 'listbox'").await;
        page.key("ArrowRight").await;
        let active = "document.querySelector('svg[role=listbox]').getAttribute('aria-activedescendant')";
        page.wait("a candidate under the cursor", active).await;
        let first: String = page.eval(active).await;
        page.key("ArrowRight").await;
        page.wait("the next one", &format!("{active} !== '{first}'")).await;
        page.key("Enter").await;
        page.wait("a chosen candidate", "document.querySelector('circle[role=option][aria-selected=true]')")
            .await;
        page.wait("its readout", "/parameters/.test(document.querySelector('.scatter .readout').innerText)")
            .await;

        page.goto("?stage=use").await;
        page.engine().await;
        page.wait("the models of the search", "document.querySelector('.answer')").await;
        tab_to(&page, "the pad", "e.matches('svg.draw-surface, svg.pad')").await;
        for key in [" ", "ArrowDown", " ", "ArrowDown", " "] {
            page.key(key).await;
        }
        page.wait(
            "an answer to what the keyboard drew",
            "/\\d[^]*(ms|µs)/.test(document.querySelector('.answer').innerText)",
        )
        .await;
        page.assert_no_errors().await;
    });
}

/// axe-core's script, where set-up could fetch it.
fn axe() -> Option<String> {
    let Some(path) = std::env::var_os("ESPALIER_AXE") else {
        eprintln!("skipped: axe-core is not here; `cargo xtask setup` fetches it where npm can");
        return None;
    };
    Some(std::fs::read_to_string(path).expect("ESPALIER_AXE names axe-core's script"))
}

#[test]
fn an_accessibility_checker_finds_nothing_serious() {
    let (Some(dist), Some(axe)) = (dist(), axe()) else { return };
    run(async {
        let mut found = Vec::new();
        for (dark, width) in [(false, 1280), (true, 1280), (false, 390), (true, 390)] {
            let query = "?search.budget=2&search.epochs=1&search.final.models=1&search.final.epochs=1";
            let options = Options { dark, width, reduced_motion: true, ..Options::default() };
            let page = Page::open(&dist, query, options).await;
            page.engine().await;
            if !dark {
                page.play().await;
                page.finished("the search").await;
            }
            // By the debugger, since the page's own policy allows no foreign script.
            page.cdp("Runtime.evaluate", serde_json::json!({ "expression": axe })).await;
            for stage in ["Data", "Search", "Train", "Prune", "Quantize", "Use"] {
                page.stage(stage).await;
                let script = r#"
                    const done = arguments[arguments.length - 1];
                    axe.run(document, { resultTypes: ['violations'] }).then(
                        r => done(r.violations
                            .filter(v => v.impact === 'serious' || v.impact === 'critical')
                            .map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.target.join(' ') + ' (' + n.any.concat(n.all).map(c => c.message).join('; ') + ')').join(', '))),
                        e => done(['axe failed: ' + e]));"#;
                let ret = page.driver.execute_async(script, vec![]).await.unwrap();
                let wrong: Vec<String> = ret.convert().unwrap();
                found.extend(wrong.into_iter().map(|w| format!("{stage}, {width} px, dark {dark}: {w}")));
            }
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    });
}
