//! What is kept between visits, in IndexedDB: models, and what the last run of each kind told.
//!
//! The page works without it: every failure is a message in words, once, and nothing else.

use crate::components::Drawn;
use crate::dom::prelude::*;
use crate::state::{App, Made};
use espalier_core::model::{Anatomy, Model};
use espalier_core::protocol::{Event, Metrics, Tone};
use idb::{Database, DatabaseEvent, Factory, ObjectStoreParams, TransactionMode};
use js_sys::Uint8Array;
use std::rc::Rc;
use std::sync::Arc;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;

const NAME: &str = "espalier";
const MODELS: &str = "models";
const RUNS: &str = "runs";

type Record = (String, Tone, String, Model, Metrics, Option<u32>, u32, Anatomy);

/// The open database.
#[derive(Clone)]
pub struct Storage {
    database: Rc<Database>,
}

impl Storage {
    /// Opens it and brings the page to where it was.
    pub fn restore(app: App) {
        spawn_local(async move {
            match Self::open().await {
                Ok(storage) => {
                    app.storage.set_value(Some(storage.clone()));
                    storage.load(app).await;
                }
                Err(_) => app.notice(
                    false,
                    "This browser keeps nothing for this page (a private window does that). Everything works; download what you want to keep.",
                ),
            }
        });
    }

    async fn open() -> Result<Self, idb::Error> {
        let mut request = Factory::new()?.open(NAME, Some(1))?;
        request.on_upgrade_needed(|event| {
            if let Ok(database) = event.database() {
                for store in [MODELS, RUNS] {
                    let _ = database.create_object_store(store, ObjectStoreParams::new());
                }
            }
        });
        let database = request.await?;
        Ok(Self { database: Rc::new(database) })
    }

    async fn load(&self, app: App) {
        let mut broken = 0;
        match self.all(MODELS).await {
            Ok(records) => {
                let mut models: Vec<Made> = Vec::new();
                for (_, bytes) in records {
                    match postcard::from_bytes::<Record>(&bytes) {
                        Ok((name, tone, made_by, model, metrics, parent, id, anatomy))
                            if model.check_weights().is_ok() =>
                        {
                            // Two tabs may have given the same number.
                            if models.iter().any(|m| m.id == id) {
                                continue;
                            }
                            models.push(Made {
                                id,
                                name,
                                tone,
                                made_by,
                                drawn: Drawn::new(model.graph.clone(), anatomy),
                                model: Arc::new(model),
                                metrics,
                                parent,
                            });
                        }
                        _ => broken += 1,
                    }
                }
                if !models.is_empty() && app.models.with_untracked(Vec::is_empty) {
                    app.active.set(models.last().map(|m| m.id));
                    app.models.set(models);
                }
            }
            Err(_) => broken += 1,
        }
        for (kind, bytes) in self.all(RUNS).await.unwrap_or_default() {
            let board = app.board(&kind);
            match postcard::from_bytes::<Vec<Event>>(&bytes) {
                Ok(events)
                    if !kind.starts_with("lab:") && (board.is_empty() || board.recorded.get_untracked()) =>
                {
                    board.clear();
                    events.into_iter().for_each(|e| board.apply(e));
                }
                Ok(_) => {}
                Err(_) => broken += 1,
            }
        }
        if broken > 0 {
            app.notice(
                false,
                format!("{broken} of the records kept from earlier visits could not be read and were left out; the rest is here."),
            );
        }
    }

    async fn all(&self, store: &str) -> Result<Vec<(String, Vec<u8>)>, idb::Error> {
        let transaction = self.database.transaction(&[store], TransactionMode::ReadOnly)?;
        let store = transaction.object_store(store)?;
        let keys = store.get_all_keys(None, None)?.await?;
        let values = store.get_all(None, None)?.await?;
        let bytes = |value: JsValue| value.dyn_into::<Uint8Array>().map(|a| a.to_vec()).unwrap_or_default();
        Ok(keys
            .into_iter()
            .map(|k| k.as_string().unwrap_or_default())
            .zip(values.into_iter().map(bytes))
            .collect())
    }

    fn put(&self, app: App, store: &'static str, key: String, bytes: Vec<u8>) {
        let database = self.database.clone();
        spawn_local(async move {
            let put = async {
                let transaction = database.transaction(&[store], TransactionMode::ReadWrite)?;
                let value = Uint8Array::from(bytes.as_slice());
                transaction.object_store(store)?.put(&value, Some(&JsValue::from_str(&key)))?.await?;
                transaction.commit()?.await?;
                Ok::<(), idb::Error>(())
            };
            if let Err(error) = put.await {
                app.notice(
                    true,
                    format!("This could not be kept for your next visit: {error}. Often the browser's space for the page is full. It is still here; download it to be safe."),
                );
            }
        });
    }

    /// Keeps a model.
    pub fn keep(&self, app: App, made: &Made) {
        let Made { id, name, tone, made_by, model, drawn, metrics, parent } = made;
        let record = (name, tone, made_by, &**model, metrics, parent, id, &drawn.anatomy);
        let Ok(bytes) = postcard::to_allocvec(&record) else { return };
        // Unique between tabs, ascending in time.
        let key = format!("{:015.0}-{:06}", js_sys::Date::now(), (js_sys::Math::random() * 1e6) as u32);
        self.put(app, MODELS, key, bytes);
    }

    /// Keeps what a run told, in place of the last one of its kind.
    pub fn keep_run(&self, app: App, kind: &str, events: &[Event]) {
        // Its models are kept by themselves.
        let events: Vec<&Event> = events.iter().filter(|e| !matches!(e, Event::Model { .. })).collect();
        if let Ok(bytes) = postcard::to_allocvec(&events) {
            self.put(app, RUNS, kind.into(), bytes);
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        let database = self.database.clone();
        spawn_local(async move {
            if let Ok(transaction) = database.transaction(&[MODELS, RUNS], TransactionMode::ReadWrite) {
                for name in [MODELS, RUNS] {
                    if let Ok(store) = transaction.object_store(name)
                        && let Ok(request) = store.clear()
                    {
                        let _ = request.await;
                    }
                }
                let _ = transaction.commit();
            }
        });
        // What the engines keep for themselves: their tables of step times.
        let caches = js_sys::Reflect::get(&js_sys::global(), &"caches".into());
        let delete = caches.as_ref().ok().and_then(|c| js_sys::Reflect::get(c, &"delete".into()).ok());
        if let (Ok(caches), Some(Ok(delete))) = (&caches, delete.map(JsValue::dyn_into::<js_sys::Function>)) {
            let _ = delete.call1(caches, &"espalier".into());
        }
    }
}
