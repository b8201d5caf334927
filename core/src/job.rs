//! Jobs compute: heavy, pure, serialisable in and out.

use crate::data::Dataset;
use crate::protocol::{JobOutcome, JobProgress, JobRequest};
use crate::{Error, Result, registry};
pub use burn::tensor::Device;
#[cfg(feature = "webgpu")]
pub use burn::tensor::wgpu;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A future on one thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a job may ask of the world: time, yielding and cancelling come in through this.
pub trait Host {
    /// Milliseconds since some fixed moment.
    fn now_ms(&self) -> f64;

    /// Tells the page how far the job is.
    fn progress(&self, progress: JobProgress);

    /// Lets others run and honours pause and stop. Call it at least every 50 ms of work; cheap
    /// when nothing is due.
    fn checkpoint(&self) -> LocalFuture<'_, Result<()>>;

    /// What was kept under a name for this device and this build of the program; `None` where nothing was, or nothing
    /// can be kept here.
    fn recall<'a>(&'a self, _name: &'a str) -> LocalFuture<'a, Option<String>> {
        Box::pin(std::future::ready(None))
    }

    /// Keeps a text under a name, for [`Self::recall`]; nothing where nothing can be kept.
    fn keep<'a>(&'a self, _name: &'a str, _text: String) -> LocalFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What a job works with.
pub struct JobCtx<'a> {
    /// The data sets this worker has.
    pub data: &'a BTreeMap<String, Arc<Dataset>>,
    /// Time, progress, checkpoints.
    pub host: &'a dyn Host,
    /// Where tensors live.
    pub device: Device,
}

impl JobCtx<'_> {
    /// A data set by name: one that was loaded, or one that is generated from a seed
    /// ([`crate::data::generated`]).
    ///
    /// # Errors
    /// This worker has none of that name.
    pub fn dataset(&self, name: &str) -> Result<Arc<Dataset>> {
        if let Some(data) = self.data.get(name) {
            return Ok(data.clone());
        }
        let missing = || Error::Data { name: name.into(), message: "it is not loaded".into() };
        crate::data::generated::open(name).map(Arc::new).ok_or_else(missing)
    }
}

/// A kind of job, typed: what to compute and what comes of it.
pub trait Task: Serialize + DeserializeOwned + 'static {
    /// Unique name in the registry.
    const NAME: &'static str;
    /// What comes of it.
    type Output: Serialize + DeserializeOwned + 'static;

    /// What it is, for the progress line.
    fn label(&self) -> String;

    /// Computes. A function of the task and its data alone; `ctx.host`'s clock may be used only
    /// to measure latency.
    fn run(self, ctx: &JobCtx<'_>) -> impl Future<Output = Result<Self::Output>>;
}

/// A [`Task`] with its type erased, for the registry.
#[derive(Clone, Copy)]
pub struct JobKind {
    /// The task's name.
    pub name: &'static str,
    /// Decodes, runs, encodes.
    pub run: for<'a> fn(&'a [u8], &'a JobCtx<'a>) -> LocalFuture<'a, Result<Vec<u8>>>,
}

impl JobKind {
    /// The entry of a task type.
    pub const fn of<T: Task>() -> Self {
        Self { name: T::NAME, run: run_task::<T> }
    }
}

fn run_task<'a, T: Task>(input: &'a [u8], ctx: &'a JobCtx<'a>) -> LocalFuture<'a, Result<Vec<u8>>> {
    Box::pin(async move {
        let task: T = decode(input)?;
        encode(&task.run(ctx).await?)
    })
}

/// Runs a request of a kind that is always there or of a shelf.
pub async fn execute(request: &JobRequest, ctx: &JobCtx<'_>, shelf: &registry::Shelf) -> JobOutcome {
    let Some(kind) = registry::job(&request.kind, shelf) else {
        return Err(format!("there is no job kind “{}”", request.kind));
    };
    (kind.run)(&request.input, ctx).await.map_err(|e| e.to_string())
}

/// Postcard, with our error.
///
/// # Errors
/// The value cannot be encoded.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    postcard::to_allocvec(value).map_err(|e| Error::format("a message", e.to_string()))
}

/// Postcard, with our error.
///
/// # Errors
/// The bytes are not of this type.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|e| Error::format("a message", e.to_string()))
}

/// A host without clock or visitors: for tests and native runs that measure no latency.
pub struct NullHost;

impl Host for NullHost {
    fn now_ms(&self) -> f64 {
        0.0
    }
    fn progress(&self, _progress: JobProgress) {}
    fn checkpoint(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
