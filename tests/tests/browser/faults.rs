//! What goes wrong: workers that die, bad links, bad files, storage that is closed or corrupt.

use crate::control::{cores, result};
use crate::harness::{Options, Page, dist, run};

const TINY: &str = "?seed=11&search.budget=6&search.epochs=3&search.final.models=1&search.final.epochs=1";

/// Keeps a handle on every worker, in the order of their starts: the coordinator is the first.
const KEEP_WORKERS: &str = "window.__workers = []; const Plain = window.Worker; window.Worker = class extends Plain { constructor(...a) { super(...a); window.__workers.push(this); } };";

/// The same search, with a worker dying in the middle of it.
async fn with_a_death(dist: &std::path::Path, index: usize) -> (String, Vec<String>) {
    let mut options = cores(2);
    options.before.push_str(KEEP_WORKERS);
    let page = Page::open(dist, TINY, options).await;
    page.engine().await;
    page.wait("all workers", "window.__workers.length === 3").await;
    page.play().await;
    page.wait(
        "a live candidate",
        "!document.querySelector('.recording') && document.querySelector('circle[role=option]')",
    )
    .await;
    // What a crash looks like from outside: an error event, and silence from then on.
    let _: bool = page
        .eval(&format!("(w => {{ w.terminate(); w.dispatchEvent(new ErrorEvent('error', {{ message: 'out of memory' }})); return true; }})(window.__workers[{index}])"))
        .await;
    page.told("out of memory").await;
    let told = page.finished("the search").await;
    let notices = page.notices().await;
    assert!(notices.contains("again"), "the message says how it was mended: {notices}");
    page.wait("a new worker in its place", "window.__workers.length === 4").await;
    page.assert_no_errors().await;
    (told, page.candidates().await)
}

#[test]
fn a_run_survives_the_death_of_a_worker_and_of_its_coordinator() {
    let Some(dist) = dist() else { return };
    run(async {
        let whole = result(&dist, TINY, cores(2)).await;
        assert_eq!(whole, with_a_death(&dist, 1).await, "a job's worker died");
        assert_eq!(whole, with_a_death(&dist, 0).await, "the coordinator died");
    });
}

#[test]
fn a_bad_link_is_answered_in_words_and_the_rest_of_it_counts() {
    let Some(dist) = dist() else { return };
    run(async {
        let page = Page::open(
            &dist,
            "?seed=abc&search.nonsense=3&search.budget=1000000&search.epochs=2",
            Options::default(),
        )
        .await;
        page.told("abc").await;
        page.told("search.nonsense").await;
        page.told("1000000").await;
        page.wait("the good part", "[...document.querySelectorAll('label')].find(l => l.innerText.trim() === 'Epochs each')?.control?.value === '2'").await;
        page.engine().await;
        // A name in a link is text.
        page.goto("?lab=%3Cimg%20src=x%20onerror=window.__broken=1%3E").await;
        page.told("<img").await;
        assert!(page.eval::<bool>("!window.__broken && !document.querySelector('img')").await);
        page.assert_no_errors().await;
    });
}

#[test]
fn a_seed_that_is_no_number_starts_nothing() {
    let Some(dist) = dist() else { return };
    run(async {
        let page = Page::open(&dist, "", Options::default()).await;
        page.engine().await;
        let seed = page.find("input", "Seed").await;
        seed.scroll_into_view().await.unwrap();
        seed.clear().await.unwrap();
        seed.send_keys("seven\n").await.unwrap();
        page.wait("what is wrong, in words", "/whole number/.test(document.body.innerText)").await;
        page.play().await;
        page.told("not started").await;
        assert!(page.eval::<bool>("document.querySelector('button[aria-label=Stop]').disabled").await);
        page.assert_no_errors().await;
    });
}

#[test]
fn bad_files_are_answered_in_words_and_change_nothing() {
    let Some(dist) = dist() else { return };
    run(async {
        let page = Page::open(&dist, "?stage=data", Options::default()).await;
        page.engine().await;
        page.wait("the digits", "/1,?797|1.?078|1.?797/.test(document.querySelector('main').innerText)")
            .await;
        let before: String = page.eval("document.querySelector('main section').innerText").await;
        let bad: [(&str, &[u8]); 5] = [
            ("not-a-table.csv", b"\x00\x01\x02\xff\xfe no table at all"),
            ("short.espalier", b"ESP"),
            ("cut.onnx", &[8, 8, 18, 255]),
            ("train-idx3-ubyte", &[0, 0, 8, 3, 0, 0]),
            ("<img src=x onerror=window.__broken=1>.zip", b"PK"),
        ];
        for (name, bytes) in bad {
            page.choose_file(name, bytes).await;
            page.told(name).await;
        }
        assert!(
            page.eval::<bool>("!window.__broken && !document.querySelector('img')").await,
            "a file's name is text"
        );
        assert_eq!(page.eval::<String>("document.querySelector('main section').innerText").await, before);
        page.assert_no_errors().await;
        // The page still works.
        page.stage("Search").await;
        page.play().await;
        page.wait(
            "a live candidate",
            "!document.querySelector('.recording') && document.querySelector('circle[role=option]')",
        )
        .await;
    });
}

#[test]
fn without_storage_the_page_says_so_and_works() {
    let Some(dist) = dist() else { return };
    run(async {
        let before = "IDBFactory.prototype.open = () => { throw new DOMException('closed', 'SecurityError'); }; Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('closed', 'SecurityError'); } });";
        let query = "?search.budget=2&search.epochs=1&search.final.models=1&search.final.epochs=1";
        let page = Page::open(&dist, query, Options { before: before.into(), ..Options::default() }).await;
        page.told("keeps nothing").await;
        page.engine().await;
        page.play().await;
        page.finished("the search").await;
        page.assert_no_errors().await;
    });
}

#[test]
fn a_corrupt_record_is_left_out_and_the_rest_is_there() {
    let Some(dist) = dist() else { return };
    run(async {
        let query = "?search.budget=2&search.epochs=1&search.final.models=1&search.final.epochs=1";
        let page = Page::open(&dist, query, Options::default()).await;
        page.engine().await;
        page.play().await;
        page.finished("the search").await;
        page.wait("a model in the history", "document.querySelectorAll('.history .made').length > 0").await;
        let made: u32 = page.eval("document.querySelectorAll('.history .made').length").await;
        let spoil = "const done = arguments[arguments.length - 1]; const open = indexedDB.open('espalier'); open.onsuccess = () => { const t = open.result.transaction(['models', 'runs'], 'readwrite'); for (const store of ['models', 'runs']) t.objectStore(store).put(new Uint8Array([1, 2, 3, 250, 251]), '0-garbage'); t.oncomplete = () => { open.result.close(); done(true); }; };";
        page.driver.execute_async(spoil, vec![]).await.unwrap();
        page.goto(query).await;
        page.told("could not be read").await;
        page.wait(
            "the models of the last visit",
            &format!("document.querySelectorAll('.history .made').length === {made}"),
        )
        .await;
        page.engine().await;
        page.assert_no_errors().await;
    });
}

#[test]
fn two_tabs_are_told_of_each_other_and_both_work() {
    let Some(dist) = dist() else { return };
    run(async {
        let query = "?search.budget=2&search.epochs=1&search.final.models=1&search.final.epochs=1";
        let page = Page::open(&dist, query, Options::default()).await;
        page.engine().await;
        let first = page.driver.window().await.unwrap();
        let second = page.driver.new_tab().await.unwrap();
        page.driver.switch_to_window(second).await.unwrap();
        page.goto(query).await;
        page.told("another tab").await;
        page.engine().await;
        page.play().await;
        page.finished("the search in the second tab").await;
        page.driver.switch_to_window(first).await.unwrap();
        page.told("another tab").await;
        page.play().await;
        page.finished("the search in the first tab").await;
        // Neither has overwritten the other's model.
        page.goto(query).await;
        page.wait("the models of both", "document.querySelectorAll('.history .made').length === 2").await;
    });
}

#[test]
fn a_full_store_is_told_and_nothing_is_lost() {
    let Some(dist) = dist() else { return };
    run(async {
        let before =
            "IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); };";
        let query = "?search.budget=2&search.epochs=1&search.final.models=1&search.final.epochs=1";
        let page = Page::open(&dist, query, Options { before: before.into(), ..Options::default() }).await;
        page.engine().await;
        page.play().await;
        page.told("could not be kept").await;
        page.wait("the model all the same", "document.querySelectorAll('.history .made').length > 0").await;
        page.click("Download model").await;
    });
}

#[test]
fn memory_that_is_used_up_is_told_and_the_page_goes_on() {
    let Some(dist) = dist() else { return };
    run(async {
        // 7.5 MiB: enough for the digits in small batches, not for a thousand of them at once.
        let options = Options { wasm_pages: Some(120), ..Options::default() };
        let small = "search.budget=4&search.epochs=1&search.final.models=1&search.final.epochs=1";
        let page = Page::open(&dist, &format!("?search.batch=1024&{small}"), options).await;
        page.engine().await;
        page.play().await;
        page.told("memory is used up").await;
        page.told("a smaller batch").await;
        page.wait("the run's end, in words", "document.querySelector('.finished, .note.error')").await;
        page.engine().await;
        page.goto(&format!("?search.batch=32&{small}")).await;
        page.engine().await;
        page.play().await;
        page.finished("a search that fits").await;
        page.assert_no_errors().await;
    });
}
