//! The GPU engine worker: Burn on WebGPU, for one dedicated worker.
//!
//! It says “ready” only when every operator has been held against the CPU, forward and backward. An error of
//! the device, a shader that does not compile or a lost device ends the worker in words: the page goes back
//! to the CPU then, and its run with it. Nothing is ever read from a device that may hold stale numbers.

mod worker;

use espalier_core::job::wgpu::{WgpuSetup, wgpu};
use espalier_core::job::{Device, Host, LocalFuture};
use espalier_core::protocol::JobProgress;
use espalier_core::registry::Shelf;
use espalier_core::train::self_test;
use espalier_core::{Error, Result};
use js_sys::Promise;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::Accelerator;

fn main() {
    worker::hear_panics();
    // The logger is set once, here; there is none before.
    let _ = log::set_logger(&Listener);
    log::set_max_level(log::LevelFilter::Error);
    spawn_local(async {
        let gpu = match Gpu::open().await {
            Ok(gpu) => Rc::new(gpu),
            Err(error) => worker::fail(&error.to_string()),
        };
        // The integer engine runs here too; its kernels are the processor's.
        let tested = match espalier_core::engine::self_test() {
            Ok(()) => self_test::self_test(&gpu.device, &Still).await,
            Err(error) => Err(error),
        };
        // A shader's fault is reported after its results: nobody is ready before the device has said that
        // there were none.
        let settled = async {
            tested?;
            gpu.check().await
        };
        match settled.await {
            Ok(()) => worker::serve(gpu, "GPU · checked against CPU".into()),
            Err(error) => {
                let error: Error = error;
                worker::fail(&format!("the GPU's self-test failed: {error}"));
            }
        }
    });
}

/// Burn's GPU runtime reports invalid shaders here and goes on: what the page must not do. Anything that it
/// calls an error ends this worker.
struct Listener;

impl log::Log for Listener {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Error
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = record.args().to_string();
            // A shader's source follows its fault.
            let text = text.split("\n--- ").next().unwrap_or_default();
            // Whichever notices first that the device is gone.
            if text.contains("device was lost") || text.contains("on_submitted_work_done") {
                worker::fail(
                    "the GPU was lost: its driver, or the browser's part that speaks to it, stopped",
                );
            }
            worker::fail(&format!("the GPU cannot be trusted: {text}"));
        }
    }

    fn flush(&self) {}
}

/// The device with its queue.
struct Gpu {
    device: Device,
    setup: WgpuSetup,
    /// The work that was under way when the worker last looked.
    under_way: RefCell<Option<Promise>>,
}

impl Gpu {
    /// Asks for the adapter that the page has found usable, and listens to its device.
    async fn open() -> Result<Self> {
        let none = |error: &dyn std::fmt::Display| Error::Unsupported(format!("no GPU can be had: {error}"));
        let (device, setup) = Device::wgpu_options().init_with_setup_async().await.map_err(|e| none(&e))?;
        // Burn's runtime has its own handlers; these say it to a person. It goes on without
        // `timestamp-query` until its first stream is made, and panics then.
        if !setup.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(none(&"it cannot time its work, which the engine needs (timestamp-query)"));
        }
        setup.device.on_uncaptured_error(Arc::new(|error| {
            worker::fail(&format!("the GPU reported an error: {error}"));
        }));
        setup.device.set_device_lost_callback(|_, message| {
            worker::fail(&format!("the GPU was lost: {message}"));
        });
        Ok(Self { device, setup, under_way: RefCell::default() })
    }

    /// Resolves when all that has been submitted so far is done.
    fn done(&self) -> Promise {
        Promise::new(&mut |resolve, _| {
            self.setup.queue.on_submitted_work_done(move || {
                let _ = resolve.call0(&JsValue::NULL);
            });
        })
    }
}

impl Accelerator for Gpu {
    fn device(&self) -> Device {
        self.device.clone()
    }

    fn name(&self) -> String {
        let info = self.setup.adapter.get_info();
        format!("{} {} {}", info.name, info.vendor, info.device)
    }

    /// Waits for what was under way the last time: the device always has something to do, and never more
    /// than a job can be held or stopped within.
    fn settle(&self) -> LocalFuture<'_, ()> {
        let earlier = self.under_way.replace(Some(self.done()));
        Box::pin(async move {
            if let Some(earlier) = earlier {
                // It is never rejected: a lost device has done all it will.
                let _ = JsFuture::from(earlier).await;
            }
        })
    }

    /// Computes something whose answer is known.
    fn check(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async move {
            let gone = |why: String| Error::Numeric(format!("the GPU was lost: {why}"));
            let answer = self_test::answers(&self.device).await;
            // Its error events, if any, come before this.
            let _ = JsFuture::from(self.done()).await;
            answer.map_err(|error| gone(error.to_string()))
        })
    }

    fn more(&self) -> LocalFuture<'_, Result<&'static Shelf>> {
        Box::pin(std::future::ready(Ok(&espalier_core::registry::MORE)))
    }
}

/// The self-test's world: nobody listens yet.
struct Still;

impl Host for Still {
    fn now_ms(&self) -> f64 {
        0.0
    }
    fn progress(&self, _progress: JobProgress) {}
    fn checkpoint(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
