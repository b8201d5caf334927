//! What every engine worker does, whatever it computes on: it decides (one of them, the coordinator) and
//! computes (all others).
//!
//! It speaks [`espalier_core::protocol`] as postcard bytes and knows nothing of the page. A panic
//! ends it; the page starts another and sends the job again.

use espalier_core::data::Dataset;
use espalier_core::desk::Desk;
use espalier_core::job::{self, Device, Host, JobCtx, LocalFuture};
use espalier_core::protocol::{Command, Event, JobId, JobProgress, JobRequest, Reply};
use espalier_core::registry::{self, Shelf};
use espalier_core::run::{Driver, Step};
use espalier_core::{Error, Result};
use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, MessageChannel, MessageEvent, Performance};

/// How long a job may hold the worker before messages are read, in milliseconds.
const YIELD_MS: f64 = 12.0;
/// How often a job's news may reach the page, in milliseconds.
const PROGRESS_MS: f64 = 60.0;
/// How often a silent job says that it is alive, in milliseconds.
const HEARTBEAT_MS: f64 = 500.0;

/// What computes, and what else a worker must know of it.
pub trait Accelerator {
    /// Where tensors live.
    fn device(&self) -> Device;

    /// The device's name, for what is kept by device; two CPUs are one in a browser.
    fn name(&self) -> String {
        String::new()
    }

    /// Waits where too much work is under way on the device.
    fn settle(&self) -> LocalFuture<'_, ()>;

    /// Whether the device still computes: asked when a job has failed, because a job that a dying device
    /// spoiled has not failed, it is another worker's.
    fn check(&self) -> LocalFuture<'_, Result<()>>;

    /// What is not always there, which may have to be fetched.
    fn more(&self) -> LocalFuture<'_, Result<&'static Shelf>>;
}

/// The engine's memory. It says so when there is no more: what follows is an abort without a word.
struct Memory;

#[global_allocator]
static MEMORY: Memory = Memory;

impl Memory {
    fn told(place: *mut u8, bytes: usize) -> *mut u8 {
        thread_local!(static TELLING: Cell<bool> = const { Cell::new(false) });
        // Saying so takes a little memory too.
        if place.is_null() && !TELLING.replace(true) {
            last_words(&format!(
                "its memory is used up, {} MiB more were asked for; a smaller batch, network or data set needs less",
                bytes.div_ceil(1 << 20)
            ));
            TELLING.set(false);
        }
        place
    }
}

// SAFETY: every request is the system allocator's.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::told(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::told(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::told(unsafe { System.realloc(place, layout, size) }, size)
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

/// Makes a panic say its last words.
pub fn hear_panics() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        last_words(&format!("the engine broke: {info}"));
    }));
}

/// Ends this worker for a reason in words. An engine that computes wrongly must not be used.
pub fn fail(why: &str) -> ! {
    last_words(why);
    wasm_bindgen::throw_str(why)
}

/// Why this worker ends: the page shows it. Only the first reason counts, what follows comes of it.
fn last_words(why: &str) {
    thread_local!(static SAID: Cell<bool> = const { Cell::new(false) });
    if !SAID.replace(true) {
        post(&Reply::Failed(why.into()));
    }
}

/// Takes commands from now on. `name` is what it computes on, for people.
pub fn serve(accelerator: Rc<dyn Accelerator>, name: String) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let engine = Rc::new(Engine {
        data: RefCell::default(),
        driver: RefCell::default(),
        desk: RefCell::default(),
        control: Rc::default(),
        busy: Cell::default(),
        accelerator,
        shelf: Cell::new(None),
        queue: RefCell::default(),
    });
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let bytes = Uint8Array::new(&event.data()).to_vec();
        match job::decode::<Command>(&bytes) {
            Ok(command) => engine.clone().take(command),
            Err(error) => post(&Reply::Failed(error.to_string())),
        }
    });
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    post(&Reply::Ready(name));
}

/// Sends a reply, handing its bytes over without a copy.
fn post(reply: &Reply) {
    let Ok(bytes) = job::encode(reply) else { return };
    let array = Uint8Array::from(bytes.as_slice());
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    // Fails only when the worker is already being ended.
    let _ = scope.post_message_with_transfer(&array, &Array::of1(&array.buffer()));
}

/// Says why a run does not begin.
fn refuse(error: &Error) {
    let events = vec![Event::Error(error.to_string())];
    post(&Reply::Decided { events, jobs: Vec::new(), finished: true });
}

/// The worker's clock, where it has a fine one.
fn clock() -> Option<Performance> {
    let clock = Reflect::get(&js_sys::global(), &"performance".into()).ok()?;
    (!clock.is_undefined()).then(|| clock.unchecked_into())
}

fn now_ms(clock: Option<&Performance>) -> f64 {
    clock.map_or_else(js_sys::Date::now, Performance::now)
}

/// What this worker holds.
struct Engine {
    data: RefCell<BTreeMap<String, Arc<Dataset>>>,
    driver: RefCell<Option<Driver>>,
    desk: RefCell<Desk>,
    control: Rc<Control>,
    busy: Cell<bool>,
    accelerator: Rc<dyn Accelerator>,
    /// What is not always there, once it was asked for.
    shelf: Cell<Option<&'static Shelf>>,
    /// While it is fetched: what came meanwhile.
    queue: RefCell<Option<Vec<Command>>>,
}

/// What the visitor asked of the running job.
#[derive(Default)]
struct Control {
    paused: Cell<bool>,
    cancelled: Cell<bool>,
    /// Wakes a held job.
    wake: RefCell<Option<Function>>,
}

impl Control {
    fn wake(&self) {
        if let Some(resolve) = self.wake.take() {
            let _ = resolve.call0(&JsValue::NULL);
        }
    }
}

impl Engine {
    /// Obeys, in the order of the commands; one that needs what is not always there, and all that come after it,
    /// when that has been fetched.
    fn take(self: Rc<Self>, command: Command) {
        if let Some(queue) = self.queue.borrow_mut().as_mut() {
            return queue.push(command);
        }
        let known = match &command {
            Command::Start { spec, .. } => registry::run_kind(&spec.kind, &registry::NOTHING).is_some(),
            Command::Compute(request) => registry::job(&request.kind, &registry::NOTHING).is_some(),
            _ => true,
        };
        if known || self.shelf.get().is_some() {
            return self.obey(command);
        }
        *self.queue.borrow_mut() = Some(Vec::new());
        spawn_local(async move {
            match (self.accelerator.more().await, command) {
                (Ok(shelf), command) => {
                    self.shelf.set(Some(shelf));
                    self.clone().obey(command);
                }
                (Err(error), Command::Compute(request)) => {
                    post(&Reply::Done(request.id, Err(error.to_string())));
                }
                (Err(error), _) => refuse(&error),
            }
            for command in self.queue.take().unwrap_or_default() {
                self.clone().obey(command);
            }
        });
    }

    fn obey(self: Rc<Self>, command: Command) {
        match command {
            Command::Data { name, format, bytes } => match Dataset::open(&name, &format, &bytes) {
                Ok(set) => {
                    self.data.borrow_mut().insert(name, Arc::new(set));
                }
                Err(error) => post(&Reply::Failed(error.to_string())),
            },
            Command::Start { spec, log } => match Driver::new(spec, log, self.shelf()) {
                Ok(driver) => {
                    *self.driver.borrow_mut() = Some(driver);
                    self.step();
                }
                Err(error) => refuse(&error),
            },
            Command::Deliver { id, outcome } => {
                if let Some(driver) = self.driver.borrow_mut().as_mut() {
                    driver.deliver(id, outcome);
                }
                self.step();
            }
            Command::Compute(request) => self.compute(request),
            Command::Hold(number, model) => self.desk.borrow_mut().hold(number, *model),
            Command::Forget => *self.desk.borrow_mut() = Desk::default(),
            Command::Ask(number, question) => {
                let clock = clock();
                let answer = self.desk.borrow_mut().answer(question, &|| now_ms(clock.as_ref()));
                post(&Reply::Answer(number, answer));
            }
            Command::Pause => self.control.paused.set(true),
            Command::Resume => {
                self.control.paused.set(false);
                self.control.wake();
            }
            Command::Cancel => {
                self.control.cancelled.set(self.busy.get());
                self.control.paused.set(false);
                self.control.wake();
            }
        }
    }

    fn shelf(&self) -> &'static Shelf {
        self.shelf.get().unwrap_or(&registry::NOTHING)
    }

    fn step(&self) {
        // The page counts on one answer to every start and every result, an over-late one included.
        let step = self.driver.borrow_mut().as_mut().map(Driver::step);
        let step = step.unwrap_or_else(|| Step { finished: true, ..Step::default() });
        post(&Reply::Decided { events: step.events, jobs: step.jobs, finished: step.finished });
        if step.finished {
            *self.driver.borrow_mut() = None;
        }
    }

    fn compute(self: Rc<Self>, request: JobRequest) {
        if self.busy.replace(true) {
            return post(&Reply::Failed(format!(
                "“{}” came while this worker was busy; it was not started",
                request.label
            )));
        }
        self.control.cancelled.set(false);
        spawn_local(async move {
            let data = self.data.borrow().clone();
            let host = WorkerHost::new(request.id.clone(), self.control.clone(), self.accelerator.clone());
            let ctx = JobCtx { data: &data, host: &host, device: self.accelerator.device() };
            let outcome = job::execute(&request, &ctx, self.shelf()).await;
            if outcome.is_err()
                && let Err(error) = self.accelerator.check().await
            {
                fail(&error.to_string());
            }
            self.busy.set(false);
            self.control.cancelled.set(false);
            post(&Reply::Done(request.id, outcome));
        });
    }
}

/// The world of a job in this worker.
struct WorkerHost {
    job: JobId,
    control: Rc<Control>,
    accelerator: Rc<dyn Accelerator>,
    clock: Option<Performance>,
    channel: Option<MessageChannel>,
    yielded_ms: Cell<f64>,
    told_ms: Cell<f64>,
    latest: RefCell<JobProgress>,
}

impl WorkerHost {
    fn new(job: JobId, control: Rc<Control>, accelerator: Rc<dyn Accelerator>) -> Self {
        let host = Self {
            job,
            control,
            accelerator,
            clock: clock(),
            channel: MessageChannel::new().ok(),
            yielded_ms: Cell::new(0.0),
            told_ms: Cell::new(0.0),
            latest: RefCell::new(JobProgress { fraction: 0.0, values: Vec::new() }),
        };
        host.yielded_ms.set(host.now_ms());
        host
    }

    fn tell(&self) {
        self.told_ms.set(self.now_ms());
        post(&Reply::Progress(self.job.clone(), self.latest.borrow().clone()));
    }

    /// Lets the worker read its messages: a macrotask, since microtasks would starve them, and by
    /// a channel, since timers are held back to 4 ms and more.
    async fn macrotask(&self) {
        let Some(channel) = &self.channel else { return };
        let (from, to) = (channel.port1(), channel.port2());
        let promise = Promise::new(&mut |resolve, _| {
            to.set_onmessage(Some(&resolve));
            let _ = from.post_message(&JsValue::NULL);
        });
        let _ = JsFuture::from(promise).await;
        self.yielded_ms.set(self.now_ms());
    }

    async fn held(&self) {
        while self.control.paused.get() && !self.control.cancelled.get() {
            let promise = Promise::new(&mut |resolve, _| {
                *self.control.wake.borrow_mut() = Some(resolve);
            });
            let _ = JsFuture::from(promise).await;
        }
    }
}

impl Drop for WorkerHost {
    fn drop(&mut self) {
        if let Some(channel) = &self.channel {
            channel.port2().set_onmessage(None);
            channel.port1().close();
        }
    }
}

impl Host for WorkerHost {
    fn now_ms(&self) -> f64 {
        now_ms(self.clock.as_ref())
    }

    fn progress(&self, progress: JobProgress) {
        let last = progress.fraction >= 1.0;
        *self.latest.borrow_mut() = progress;
        if last || self.now_ms() - self.told_ms.get() >= PROGRESS_MS {
            self.tell();
        }
    }

    fn checkpoint(&self) -> LocalFuture<'_, Result<()>> {
        let now = self.now_ms();
        if now - self.told_ms.get() >= HEARTBEAT_MS {
            self.tell();
        }
        if now - self.yielded_ms.get() < YIELD_MS {
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(async move {
            self.accelerator.settle().await;
            self.macrotask().await;
            self.held().await;
            if self.control.cancelled.get() { Err(Error::Cancelled) } else { Ok(()) }
        })
    }

    fn recall<'a>(&'a self, name: &'a str) -> LocalFuture<'a, Option<String>> {
        let (build, address) = self.kept_at(name);
        Box::pin(async move {
            let cache = kept().await.ok()?;
            let response = call(&cache, "match", &[&address.into()]).await.ok()?;
            let text = call(&response, "text", &[]).await.ok()?.as_string()?;
            // Another build computes otherwise.
            text.strip_prefix(&build)?.strip_prefix('\n').map(str::to_owned)
        })
    }

    fn keep<'a>(&'a self, name: &'a str, text: String) -> LocalFuture<'a, ()> {
        let (build, address) = self.kept_at(name);
        Box::pin(async move {
            // A browser that keeps nothing measures anew.
            let Ok(cache) = kept().await else { return };
            let response = Reflect::get(&js_sys::global(), &"Response".into()).and_then(|class| {
                let text = format!("{build}\n{text}");
                Reflect::construct(class.unchecked_ref::<Function>(), &Array::of1(&text.into()))
            });
            if let Ok(response) = response {
                let _ = call(&cache, "put", &[&address.into(), &response]).await;
            }
        })
    }
}

impl WorkerHost {
    /// The build that this worker is of, and where something is kept for its device: a release takes the place of
    /// the one before.
    fn kept_at(&self, name: &str) -> (String, String) {
        let location = Reflect::get(&js_sys::global(), &"location".into());
        let location = location.and_then(|l| Reflect::get(&l, &"href".into()));
        let from = location.ok().and_then(|l| l.as_string()).unwrap_or_default();
        let (script, build) = from.split_once('?').unwrap_or((&from, ""));
        let name = js_sys::encode_uri_component(&format!("{name} {}", self.accelerator.name()));
        (build.to_owned(), format!("{script}?kept={}", String::from(name)))
    }
}

/// The browser's store for what workers keep, under [`KEPT`]. The page deletes it with everything else.
async fn kept() -> std::result::Result<JsValue, JsValue> {
    let caches = Reflect::get(&js_sys::global(), &"caches".into())?;
    call(&caches, "open", &[&KEPT.into()]).await
}

/// The name of that store.
const KEPT: &str = "espalier";

/// Calls a method that promises something.
async fn call(of: &JsValue, method: &str, arguments: &[&JsValue]) -> std::result::Result<JsValue, JsValue> {
    let function: Function = Reflect::get(of, &method.into())?.dyn_into()?;
    let arguments: Array = arguments.iter().copied().collect();
    JsFuture::from(Promise::resolve(&function.apply(of, &arguments)?)).await
}
