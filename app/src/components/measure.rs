//! The width a component has on the page, so that drawings use pixels and text keeps its size.

use crate::dom::prelude::*;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The browser's observer of element sizes; declared here because the page needs only this
    /// much of it.
    type ResizeObserver;

    #[wasm_bindgen(constructor)]
    fn new(changed: &Closure<dyn FnMut()>) -> ResizeObserver;

    #[wasm_bindgen(method)]
    fn observe(this: &ResizeObserver, element: &web_sys::Element);

    #[wasm_bindgen(method)]
    fn disconnect(this: &ResizeObserver);
}

/// The width of an element in CSS pixels; `fallback` until it is laid out.
pub fn use_width(node: NodeRef, fallback: f64) -> Signal<f64> {
    let width = RwSignal::new(fallback);
    Effect::new(move |_| {
        let Some(element) = node.get() else { return };
        let observed = element.clone();
        let changed = Closure::<dyn FnMut()>::new(move || {
            let observed = observed.clone();
            // In the next frame: a change of layout from within the observer is an error to the browser.
            request_animation_frame(move || {
                let now = f64::from(observed.client_width());
                // A hidden element has no width; it keeps its drawing for when it comes back.
                if now > 0.0 && width.try_get_untracked().is_some_and(|w| (w - now).abs() >= 1.0) {
                    width.set(now);
                }
            });
        });
        let observer = ResizeObserver::new(&changed);
        observer.observe(&element);
        // The closure lives as long as the observer, and both as long as the component.
        let kept = StoredValue::new_local(Some((observer, changed)));
        on_cleanup(move || {
            if let Some(Some((observer, _))) = kept.try_update_value(Option::take) {
                observer.disconnect();
            }
        });
    });
    width.into()
}
