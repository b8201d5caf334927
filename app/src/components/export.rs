//! Charts as files: SVG with its colours resolved, PNG drawn from that SVG, CSV.

use wasm_bindgen::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Document, Element, HtmlAnchorElement, HtmlCanvasElement, HtmlImageElement};

/// What a stylesheet says about a drawing and a file must say for itself.
const PROPERTIES: [&str; 15] = [
    "fill",
    "fill-opacity",
    "stroke",
    "stroke-width",
    "stroke-opacity",
    "stroke-dasharray",
    "stroke-linecap",
    "stroke-linejoin",
    "opacity",
    "paint-order",
    "font-family",
    "font-size",
    "font-weight",
    "font-variant-numeric",
    "text-anchor",
];

fn document() -> Option<Document> {
    web_sys::window()?.document()
}

/// Copies the computed look of `from` and all below it onto `to` as presentation attributes.
fn resolve(from: &Element, to: &Element) {
    let style = web_sys::window().and_then(|w| w.get_computed_style(from).ok().flatten());
    if let Some(style) = style {
        for property in PROPERTIES {
            if let Ok(value) = style.get_property_value(property)
                && !value.is_empty()
                && !value.starts_with("url(")
            {
                // An attribute that cannot be set leaves the drawing as it is without it.
                let _ = to.set_attribute(property, &value);
            }
        }
    }
    for name in ["class", "tabindex", "role", "aria-activedescendant"] {
        let _ = to.remove_attribute(name);
    }
    let (ours, theirs) = (from.children(), to.children());
    for i in 0..ours.length() {
        if let (Some(a), Some(b)) = (ours.item(i), theirs.item(i)) {
            resolve(&a, &b);
        }
    }
}

/// The first drawing inside an element as a file of its own, with its size in pixels.
pub fn svg_text(root: &Element) -> Option<(String, f64, f64)> {
    let svg = root.query_selector("svg:not(.icon)").ok()??;
    let rect = svg.get_bounding_client_rect();
    let copy = svg.clone_node_with_deep(true).ok()?.dyn_into::<Element>().ok()?;
    resolve(&svg, &copy);
    copy.set_attribute("xmlns", "http://www.w3.org/2000/svg").ok()?;
    copy.set_attribute("width", &rect.width().to_string()).ok()?;
    copy.set_attribute("height", &rect.height().to_string()).ok()?;
    // The paper belongs to the drawing: ink on nothing cannot be read on a dark page.
    let document = document()?;
    let paper = document.create_element_ns(Some("http://www.w3.org/2000/svg"), "rect").ok()?;
    paper.set_attribute("width", "100%").ok()?;
    paper.set_attribute("height", "100%").ok()?;
    let style = web_sys::window()?.get_computed_style(document.body()?.as_ref()).ok()??;
    paper.set_attribute("fill", &style.get_property_value("background-color").ok()?).ok()?;
    copy.insert_before(&paper, copy.first_child().as_ref()).ok()?;
    let text = web_sys::XmlSerializer::new().ok()?.serialize_to_string(&copy).ok()?;
    Some((text, rect.width(), rect.height()))
}

/// Hands a text to the visitor as a file.
pub fn save_text(name: &str, mime: &str, text: &str) -> Option<()> {
    let options = web_sys::BlobPropertyBag::new();
    options.set_type(mime);
    let parts = js_sys::Array::of1(&JsValue::from_str(text));
    let blob = web_sys::Blob::new_with_str_sequence_and_options(&parts, &options).ok()?;
    save_blob(name, &blob)
}

fn save_blob(name: &str, blob: &web_sys::Blob) -> Option<()> {
    let url = web_sys::Url::create_object_url_with_blob(blob).ok()?;
    let link = document()?.create_element("a").ok()?.dyn_into::<HtmlAnchorElement>().ok()?;
    link.set_href(&url);
    link.set_download(name);
    link.click();
    // The download holds the data from the click on; the name for it can go.
    web_sys::Url::revoke_object_url(&url).ok()
}

/// Draws an SVG file onto a canvas at twice its size and hands it to the visitor as PNG.
pub fn save_png(name: String, svg: &str, width: f64, height: f64) -> Option<()> {
    let image = HtmlImageElement::new().ok()?;
    let source = format!("data:image/svg+xml;charset=utf-8,{}", js_sys::encode_uri_component(svg));
    let drawn = image.clone();
    let draw = Closure::once_into_js(move || {
        let _ = draw_png(&drawn, name, width, height);
    });
    image.set_onload(Some(draw.unchecked_ref()));
    image.set_src(&source);
    Some(())
}

fn draw_png(image: &HtmlImageElement, name: String, width: f64, height: f64) -> Option<()> {
    let canvas = document()?.create_element("canvas").ok()?.dyn_into::<HtmlCanvasElement>().ok()?;
    canvas.set_width((width * 2.0) as u32);
    canvas.set_height((height * 2.0) as u32);
    let context = canvas.get_context("2d").ok()??;
    let context = context.dyn_into::<web_sys::CanvasRenderingContext2d>().ok()?;
    let (w, h) = (width * 2.0, height * 2.0);
    context.draw_image_with_html_image_element_and_dw_and_dh(image, 0.0, 0.0, w, h).ok()?;
    let save = Closure::once_into_js(move |blob: Option<web_sys::Blob>| {
        let _ = blob.and_then(|blob| save_blob(&name, &blob));
    });
    canvas.to_blob(save.unchecked_ref()).ok()
}

/// A file name made from a title: lower case, words joined by hyphens.
pub fn file_stem(title: &str) -> String {
    let lower = title.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    let stem = words.take(8).collect::<Vec<_>>().join("-");
    if stem.is_empty() { "espalier".into() } else { format!("espalier-{stem}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_become_file_names() {
        assert_eq!(file_stem("Accuracy / MACs, so far"), "espalier-accuracy-macs-so-far");
        assert_eq!(file_stem("…"), "espalier");
    }
}
