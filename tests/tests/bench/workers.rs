//! The page's own engine workers, with the deciding half of a run here.

use crate::harness::Page;
use espalier_core::job::{Task, decode, encode};
use espalier_core::protocol::{Command, Event, JobId, JobRequest, Reply, RunSpec};
use espalier_core::registry;
use espalier_core::run::Driver;
use serde_json::json;
use std::time::Duration;

/// Starts workers as the page does. Jobs wait in the page, so that a worker that has ended one is
/// given the next without a round trip to here. The first byte of a message is the variant.
const START: &str = r#"
    const [engine, count, data, done] = arguments;
    const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
    const text = array => { let s = ''; for (const b of array) s += String.fromCharCode(b); return btoa(s); };
    (async () => {
        const url = name => new URL(name, document.baseURI).href;
        const module = await WebAssembly.compileStreaming(fetch(url(`${engine}_bg.wasm`)));
        const pool = window.__pool = { queue: [], inbox: [], idle: [], workers: [], ready: 0, bytes };
        pool.hand = () => {
            while (pool.queue.length && pool.idle.length) {
                const worker = pool.idle.shift();
                worker.since = performance.now();
                worker.postMessage(bytes(pool.queue.shift()));
            }
        };
        for (let i = 0; i < count; i++) {
            const worker = new Worker(url('worker.js'), { type: 'module' });
            pool.workers.push(worker);
            worker.onerror = e => pool.inbox.push(['error', String(e.message)]);
            worker.onmessage = ({ data: reply }) => {
                const array = new Uint8Array(reply);
                if (array[0] === 0) { worker.postMessage(bytes(data)); pool.idle.push(worker); pool.ready++; }
                if (array[0] === 3) { pool.inbox.push([performance.now() - worker.since, text(array)]); pool.idle.push(worker); pool.hand(); }
                if (array[0] === 4) pool.inbox.push(['error', text(array)]);
            };
            worker.postMessage({ js: url(`${engine}.js`), module });
        }
        done(true);
    })();
"#;

/// Puts jobs into the queue and waits until something has come of some, or half a minute: a driver's answer must come
/// before its client gives up.
const TURN: &str = r#"
    const [jobs, done] = arguments;
    const pool = window.__pool;
    pool.queue.push(...jobs);
    pool.hand();
    const until = performance.now() + 30000;
    const look = () => pool.inbox.length || performance.now() > until ? done(pool.inbox.splice(0)) : setTimeout(look, 1);
    look();
"#;

/// Starts a job, cancels it after a while, and gives the milliseconds until it has ended.
const CANCEL: &str = r#"
    const [job, cancel, done] = arguments;
    const pool = window.__pool;
    pool.queue.push(job);
    pool.hand();
    setTimeout(() => {
        const since = performance.now();
        pool.workers.forEach(worker => worker.postMessage(pool.bytes(cancel)));
        const look = () => pool.inbox.length ? (pool.inbox.length = 0, done(performance.now() - since)) : setTimeout(look, 0);
        look();
    }, 300);
"#;

/// Engine workers in a page.
pub struct Workers<'a> {
    page: &'a Page,
}

impl<'a> Workers<'a> {
    /// Starts so many of `engine` (or `gpu`) and gives them the digits.
    pub async fn start(page: &'a Page, engine: &str, count: u32, digits: &[u8]) -> Self {
        page.driver.set_script_timeout(Duration::from_secs(600)).await.unwrap();
        let data = Command::Data { name: "digits".into(), format: "digits".into(), bytes: digits.to_vec() };
        let args = vec![json!(engine), json!(count), json!(base64(&encode(&data).unwrap()))];
        page.driver.execute_async(START, args).await.unwrap();
        // The GPU's tests itself first, which takes minutes in software.
        let ready = format!("window.__pool.ready === {count} || window.__pool.inbox.length");
        page.wait_within(Duration::from_secs(900), "the engine's workers", &ready).await;
        Self { page }
    }

    /// Hands jobs out and gives what has come back by then, if anything has: id, outcome, milliseconds.
    async fn turn(&self, jobs: Vec<JobRequest>) -> Vec<(JobId, Result<Vec<u8>, String>, f64)> {
        let jobs: Vec<String> =
            jobs.into_iter().map(|job| base64(&encode(&Command::Compute(job)).unwrap())).collect();
        let ret = self.page.driver.execute_async(TURN, vec![json!(jobs)]).await.unwrap();
        let told: Vec<(serde_json::Value, String)> = ret.convert().unwrap();
        let read = |(ms, text): (serde_json::Value, String)| {
            let ms = ms.as_f64().unwrap_or_else(|| panic!("a worker failed: {text}"));
            match decode::<Reply>(&unbase64(&text)).unwrap() {
                Reply::Done(id, outcome) => (id, outcome, ms),
                other => panic!("{other:?}"),
            }
        };
        told.into_iter().map(read).collect()
    }

    /// Drives a run to its end; gives its events and the wall time in milliseconds.
    pub async fn run(&mut self, spec: RunSpec) -> (Vec<Event>, f64) {
        let kind = spec.kind.clone();
        let start = std::time::Instant::now();
        let mut driver = Driver::new(spec, Vec::new(), &registry::MORE).unwrap();
        let mut events = Vec::new();
        loop {
            let step = driver.step();
            events.extend(step.events);
            if step.finished {
                let error = events.iter().find(|e| matches!(e, Event::Error(_)));
                assert!(error.is_none(), "{kind}: {error:?}");
                return (events, start.elapsed().as_secs_f64() * 1e3);
            }
            for (id, outcome, _) in self.turn(step.jobs).await {
                driver.deliver(id, outcome);
            }
        }
    }

    /// One job; gives its output and its milliseconds in the worker.
    pub async fn job<T: Task>(&mut self, task: &T) -> (T::Output, f64) {
        let mut told = self.turn(vec![request(task)]).await;
        while told.is_empty() {
            told = self.turn(Vec::new()).await;
        }
        let (_, outcome, ms) = told.swap_remove(0);
        (decode(&outcome.unwrap()).unwrap(), ms)
    }

    /// Starts a job, cancels it, and gives the milliseconds until it has ended.
    pub async fn cancelled<T: Task>(&mut self, task: &T) -> f64 {
        let request = request(task);
        let args = [Command::Compute(request), Command::Cancel];
        let args: Vec<_> = args.iter().map(|c| json!(base64(&encode(c).unwrap()))).collect();
        self.page.driver.execute_async(CANCEL, args).await.unwrap().convert().unwrap()
    }
}

fn request<T: Task>(task: &T) -> JobRequest {
    let input = encode(task).unwrap();
    JobRequest { id: JobId(vec![0]), kind: T::NAME.into(), label: task.label(), input }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 of RFC 4648, as `atob` reads it.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let at = (n >> (18 - 6 * i)) & 63;
            text.push(if i <= chunk.len() { char::from(ALPHABET[at as usize]) } else { '=' });
        }
    }
    text
}

fn unbase64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut n, mut bits) = (0u32, 0);
    for c in text.bytes().filter(|c| *c != b'=') {
        let at = ALPHABET.iter().position(|a| *a == c).expect("base64") as u32;
        n = n << 6 | at;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((n >> bits) as u8);
        }
    }
    bytes
}
