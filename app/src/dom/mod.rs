//! Views as plain data, drawn by one function.
//!
//! Leptos gives every element of a page a type and with it code of its own; on this page that was
//! more than half of the bundle. Here a [`View`] is a value: [`drawn::State::draw`] makes the nodes of the
//! document from it, [`drawn::State::patch`] changes them to those of another view, touching only what
//! differs, so that focus, scroll position and open details stay. Signals, effects, components and
//! the `view!` syntax remain Leptos' own.

mod drawn;
mod value;

pub use espalier_view::view;
pub use value::{ToAttr, ToView, Value};

use drawn::State;
use leptos::ev::EventDescriptor;
use leptos::prelude::*;
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use wasm_bindgen::JsCast;

/// Markup.
#[derive(Default)]
pub enum View {
    /// Nothing.
    #[default]
    Empty,
    /// Characters; never read as markup.
    Text(Cow<'static, str>),
    /// An element.
    El(El),
    /// Several views, one after another.
    Many(Vec<Self>),
    /// A view that follows the signals it reads.
    Live(Rc<dyn Fn() -> Self>),
    /// A list that follows the signals it reads and keeps the entries whose key stays.
    Each(Rc<dyn Fn() -> Vec<Entry>>),
}

impl View {
    /// Characters.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Text(text.into())
    }
}

/// An entry of a keyed list.
pub struct Entry {
    key: u64,
    make: Box<dyn FnOnce() -> View>,
}

/// An attribute, a property or a class of an element.
pub enum Attr {
    /// As it is.
    Fixed(Value),
    /// Follows the signals it reads.
    Live(Rc<dyn Fn() -> Value>),
}

/// What a name in an element's list is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Attribute,
    Class,
    Property,
}

type Handler = Box<dyn FnMut(web_sys::Event)>;

/// An element to be drawn.
pub struct El(Box<Parts>);

struct Parts {
    svg: bool,
    tag: &'static str,
    fixed: &'static [(&'static str, &'static str)],
    slots: Vec<(Slot, &'static str, Attr)>,
    handlers: Vec<(Cow<'static, str>, Handler)>,
    node: Option<NodeRef>,
    children: Vec<View>,
}

impl El {
    fn new(svg: bool, tag: &'static str) -> Self {
        let (slots, handlers, children) = (Vec::new(), Vec::new(), Vec::new());
        Self(Box::new(Parts { svg, tag, fixed: &[], slots, handlers, node: None, children }))
    }

    /// An element of HTML.
    pub fn html(tag: &'static str) -> Self {
        Self::new(false, tag)
    }

    /// An element of SVG.
    pub fn svg(tag: &'static str) -> Self {
        Self::new(true, tag)
    }

    /// Attributes known at compile time.
    pub fn fixed(mut self, attributes: &'static [(&'static str, &'static str)]) -> Self {
        self.0.fixed = attributes;
        self
    }

    fn slot(mut self, slot: Slot, name: &'static str, attr: Attr) -> Self {
        self.0.slots.push((slot, name, attr));
        self
    }

    /// An attribute; absent where its value is `false` or `None`.
    pub fn attr(self, name: &'static str, value: impl ToAttr) -> Self {
        self.slot(Slot::Attribute, name, value.to_attr())
    }

    /// A class that is there while its value is `true`.
    pub fn class(self, name: &'static str, value: impl ToAttr) -> Self {
        self.slot(Slot::Class, name, value.to_attr())
    }

    /// A property of the element's object.
    pub fn prop(self, name: &'static str, value: impl ToAttr) -> Self {
        self.slot(Slot::Property, name, value.to_attr())
    }

    fn handler(mut self, name: Cow<'static, str>, handler: Handler) -> Self {
        self.0.handlers.push((name, handler));
        self
    }

    /// Listens to an event.
    pub fn on<E, F>(self, event: E, mut f: F) -> Self
    where
        E: EventDescriptor,
        E::EventType: JsCast,
        F: FnMut(E::EventType) + 'static,
    {
        self.handler(event.name(), Box::new(move |e| f(e.unchecked_into())))
    }

    /// Makes the drawn element known.
    pub fn node_ref(mut self, node: NodeRef) -> Self {
        self.0.node = Some(node);
        self
    }

    /// Adds a child.
    pub fn child(mut self, child: View) -> Self {
        self.0.children.push(child);
        self
    }

    /// As a view.
    pub fn view(self) -> View {
        View::El(self)
    }
}

/// The drawn element of a view, once there is one.
#[derive(Clone, Copy)]
pub struct NodeRef(RwSignal<Option<web_sys::Element>, LocalStorage>);

impl NodeRef {
    /// One that knows of no element yet.
    pub fn new() -> Self {
        Self(RwSignal::new_local(None))
    }

    /// The element, followed.
    pub fn get(self) -> Option<web_sys::Element> {
        self.0.get()
    }

    /// The element, not followed.
    pub fn get_untracked(self) -> Option<web_sys::Element> {
        self.0.get_untracked()
    }

    /// The element as a certain kind, not followed.
    pub fn cast<T: JsCast>(self) -> Option<T> {
        self.get_untracked().and_then(|e| e.dyn_into().ok())
    }

    fn load(self, element: &web_sys::Element) {
        if self.0.with_untracked(|e| e.as_ref() != Some(element)) {
            self.0.set(Some(element.clone()));
        }
    }
}

/// `<Show when>`: a view while a condition holds. It is made anew only when the condition changes.
pub fn show(when: impl Fn() -> bool + Send + Sync + 'static, view: impl Fn() -> View + 'static) -> View {
    let when = Memo::new(move |_| when());
    View::Live(Rc::new(move || if when.get() { untrack(&view) } else { View::Empty }))
}

/// `<For each key let:item>`: a list that keeps the entries whose key stays.
pub fn each<T: 'static, K: Hash>(
    each: impl Fn() -> Vec<T> + 'static,
    key: impl Fn(&T) -> K + 'static,
    view: impl Fn(T) -> View + 'static,
) -> View {
    let view = Rc::new(view);
    View::Each(Rc::new(move || {
        let entry = |item: T| {
            let mut hasher = DefaultHasher::new();
            key(&item).hash(&mut hasher);
            let view = view.clone();
            Entry { key: hasher.finish(), make: Box::new(move || view(item)) }
        };
        each().into_iter().map(entry).collect()
    }))
}

/// Several views made of anything that can be one.
pub trait CollectView {
    /// All of them as one view.
    fn collect_view(self) -> View;
}

impl<I: IntoIterator<Item: ToView>> CollectView for I {
    fn collect_view(self) -> View {
        View::Many(self.into_iter().map(ToView::to_view).collect())
    }
}

/// Draws the page into the body, for good.
pub fn mount(page: impl FnOnce() -> View + 'static) {
    // Leptos' own mounting, of nothing: it starts the reactive system and owns the page's signals.
    leptos::mount::mount_to_body(move || {
        let state = State::draw(page());
        if let Some(body) = document().body() {
            state.mount(&body, None);
        }
        std::mem::forget(state);
    });
}

/// What a component needs: Leptos' reactive half, and views of this kind.
pub mod prelude {
    pub use super::{CollectView, NodeRef, ToView, View, view};
    pub use leptos::prelude::*;
}
