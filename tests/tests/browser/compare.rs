//! Strategies side by side, as a visitor compares them.

use crate::harness::{Options, Page, dist, run};

/// Curves with a band each, in the chart of the best so far.
const BANDS: &str = "document.querySelectorAll('.boards .line-chart path.band').length";
const TABLE: &str = "document.querySelector('.boards [role=region]')?.innerText ?? ''";

#[test]
fn strategies_are_compared_by_training() {
    let Some(dist) = dist() else { return };
    run(async {
        let small =
            "?place=compare&seed=3&compare.seeds=2&compare.macs=0.1&compare.epochs=2&compare.halving=1";
        let page = Page::open(&dist, small, Options::default()).await;
        page.engine().await;
        page.play().await;
        let told = page.finished("the comparison").await;
        assert!(told.contains("2 seeds cannot show"), "{told}");
        assert_eq!(page.eval::<u32>(BANDS).await, 3, "bands over seeds, never a lone lucky line");
        let table: String = page.eval(TABLE).await;
        for name in ["Random search", "Regularized evolution", "Successive halving"] {
            assert!(table.contains(name), "{table}");
        }
        page.screenshot("compared-by-training").await;
        let link: String = page.eval("location.search").await;
        assert!(link.contains("compare.halving=1") && link.contains("place=compare"), "{link}");
        page.assert_no_errors().await;
    });
}

#[test]
fn a_table_is_dropped_in_and_hundreds_of_searches_are_replayed() {
    let Some(dist) = dist() else { return };
    run(async {
        let query = "?place=compare&compare.by=table&compare.reinforce=1&compare.evaluations=75";
        let page = Page::open(&dist, query, Options::default()).await;
        page.engine().await;
        page.play().await;
        page.told("There is no table yet").await;
        // Told from a data set by its header; what it lacks is named.
        page.choose_file("half.csv", b"cell,c10_val_200ep\n").await;
        page.told("“c10_test_200ep” is missing").await;
        page.choose_file("cut.csv.gz", b"\x1f\x8b\x08").await;
        page.told("cannot be unpacked").await;

        let dismiss = "(document.querySelectorAll('.notices button').forEach(b => b.click()), true)";
        page.eval::<bool>(dismiss).await;

        let Some(path) = espalier_tests::reference("nb201_joint.csv.gz") else { return };
        page.choose_file("nb201_joint.csv.gz", &std::fs::read(path).unwrap()).await;
        page.told("“nb201_joint.csv” is the table").await;
        page.play().await;
        let told = page.finished("the comparison").await;
        assert!(told.contains("over 400 seeds"), "{told}");
        assert_eq!(page.eval::<u32>(BANDS).await, 3);
        let table: String = page.eval(TABLE).await;
        assert!(table.contains("93.70 ± 0.36"), "the published figure stands beside ours: {table}");
        page.screenshot("compared-on-the-table").await;
        page.assert_no_errors().await;
        page.assert_same_origin().await;
    });
}

#[test]
fn the_winner_is_explained_by_swapping_its_choices() {
    let Some(dist) = dist() else { return };
    run(async {
        let query = "?seed=7&search.budget=3&search.epochs=1&search.final.models=1&search.final.epochs=1&why.most=4&why.seeds=1";
        let page = Page::open(&dist, query, Options::default()).await;
        page.engine().await;
        page.play().await;
        page.finished("the search").await;
        page.click("Why this one?").await;
        page.wait("the question", "document.querySelector('h1')?.innerText === 'Why this one?'").await;
        page.play().await;
        let told = page.finished("the ablation").await;
        assert!(told.contains("validation split") && told.contains("choices"), "{told}");
        let rows: u32 = page.eval("document.querySelectorAll('.boards [role=region] tbody tr').length").await;
        assert!((1..=3).contains(&rows), "{rows} choices");
        page.screenshot("explained").await;
        page.click("Back to the search").await;
        page.wait("the search", "document.querySelector('.scatter')").await;
        page.assert_no_errors().await;
    });
}

#[test]
fn every_step_is_timed_and_networks_are_predicted() {
    let Some(dist) = dist() else { return };
    run(async {
        let page = Page::open(&dist, "?place=latency&latency.networks=5", Options::default()).await;
        page.engine().await;
        page.play().await;
        let told = page.finished("the timing").await;
        assert!(told.contains("r = "), "{told}");
        let table: String = page.eval(TABLE).await;
        assert!(table.contains("Conv") && table.contains("Microseconds"), "{table}");
        assert_eq!(page.candidates().await.len(), 5);
        page.screenshot("timed").await;
        // Kept for the next visit, by device and build, until the visitor has everything forgotten.
        let kept: Vec<String> =
            page.eval("caches.open('espalier').then(c => c.keys()).then(all => all.map(r => r.url))").await;
        assert!(kept.len() == 1 && kept[0].contains("kept=cpu"), "{kept:?}");
        let steps: String = page
            .eval("caches.open('espalier').then(async c => (await c.match((await c.keys())[0])).text())")
            .await;
        assert!(steps.lines().count() > 3 && steps.contains("Conv"), "{steps}");
        page.assert_no_errors().await;
    });
}
