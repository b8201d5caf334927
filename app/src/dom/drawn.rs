//! Views in the document: drawing them, and changing what is drawn to another view.

use super::value::Value;
use super::{Attr, El, Entry, Handler, Slot, View};
use leptos::prelude::*;
use leptos::reactive::effect::RenderEffect;
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{Element, Event, Node};

const SVG: &str = "http://www.w3.org/2000/svg";

/// A view that has been drawn, with all that keeps it following its signals. Dropping it ends that.
pub enum State {
    /// Nothing; a comment keeps the place.
    Empty(Node),
    /// Characters.
    Text(Node, Cow<'static, str>),
    /// An element.
    El(Box<Drawn>),
    /// Several, and a comment that ends them.
    Many(Vec<State>, Node),
    /// What an effect has drawn.
    Live { drawn: Rc<RefCell<Option<State>>>, _running: Running },
    /// A keyed list, and a comment that ends it.
    Each { kept: Rc<RefCell<Vec<Kept>>>, end: Node, _running: Running },
}

/// An effect; it runs until this is dropped.
pub struct Running {
    _effect: RenderEffect<()>,
}

/// An entry of a keyed list: its key, the owner of its signals, what is drawn.
pub struct Kept {
    key: u64,
    state: State,
    _owner: Owner,
}

/// A drawn element.
pub struct Drawn {
    element: Element,
    svg: bool,
    tag: &'static str,
    fixed: &'static [(&'static str, &'static str)],
    slots: Vec<(Slot, &'static str, Set)>,
    handlers: Vec<Listener>,
    children: Vec<State>,
}

/// A value that has been set, and the effect that changes it.
struct Set {
    now: Rc<RefCell<Value>>,
    _running: Option<Running>,
}

struct Listener {
    name: Cow<'static, str>,
    handler: Rc<RefCell<Handler>>,
    _closure: Closure<dyn FnMut(Event)>,
}

/// Runs a function now, and again whenever a signal that it read has changed.
fn effect(mut f: Box<dyn FnMut()>) -> Running {
    Running { _effect: RenderEffect::new(move |_: Option<()>| f()) }
}

fn comment() -> Node {
    document().create_comment("").unchecked_into()
}

/// Puts a node into a place. The browser refuses only what cannot be in a tree, which no view is.
fn insert(parent: &Node, node: &Node, before: Option<&Node>) {
    let _ = parent.insert_before(node, before);
}

fn remove(node: &Node) {
    if let Some(parent) = node.parent_node() {
        let _ = parent.remove_child(node);
    }
}

fn apply(element: &Element, slot: Slot, name: &str, value: &Value) {
    // Refused are only names and values that no markup of this page has.
    let _ = match (slot, value) {
        (Slot::Attribute, Value::No) => element.remove_attribute(name),
        (Slot::Attribute, Value::Yes) => element.set_attribute(name, ""),
        (Slot::Attribute, Value::Text(text)) => element.set_attribute(name, text),
        (Slot::Class, Value::No) => element.class_list().remove_1(name),
        (Slot::Class, _) => element.class_list().add_1(name),
        (Slot::Property, value) => {
            let value = match value {
                Value::No => JsValue::FALSE,
                Value::Yes => JsValue::TRUE,
                Value::Text(text) => JsValue::from_str(text),
            };
            js_sys::Reflect::set(element, &JsValue::from_str(name), &value).map(drop)
        }
    };
}

impl Set {
    /// Sets a value now, and whenever it changes. `now` is what is set already.
    fn start(element: &Element, slot: Slot, name: &'static str, now: Rc<RefCell<Value>>, attr: Attr) -> Self {
        let (element, kept) = (element.clone(), now.clone());
        let set = move |value: Value| {
            // A property is the visitor's too: what was set last may no longer be what it is.
            if slot == Slot::Property || *kept.borrow() != value {
                apply(&element, slot, name, &value);
                *kept.borrow_mut() = value;
            }
        };
        let running = match attr {
            Attr::Fixed(value) => {
                set(value);
                None
            }
            Attr::Live(f) => Some(effect(Box::new(move || set(f())))),
        };
        Self { now, _running: running }
    }
}

impl Drawn {
    fn draw(el: El) -> Self {
        let el = *el.0;
        let made = if el.svg {
            document().create_element_ns(Some(SVG), el.tag)
        } else {
            document().create_element(el.tag)
        };
        // The tags are those of the source; none of them is refused.
        let element = made.unwrap_throw();
        for (name, value) in el.fixed {
            let _ = element.set_attribute(name, value);
        }
        let children: Vec<State> = el.children.into_iter().map(State::draw).collect();
        children.iter().for_each(|child| child.mount(&element, None));
        // After the children: the value of a <select> is one of its options.
        let start = |(slot, name, attr)| {
            let now = Rc::new(RefCell::new(Value::No));
            (slot, name, Set::start(&element, slot, name, now, attr))
        };
        let slots = el.slots.into_iter().map(start).collect();
        let listen = |(name, handler): (Cow<'static, str>, Handler)| {
            let handler = Rc::new(RefCell::new(handler));
            let current = handler.clone();
            let closure = Closure::<dyn FnMut(Event)>::new(move |event| (current.borrow_mut())(event));
            let _ = element.add_event_listener_with_callback(&name, closure.as_ref().unchecked_ref());
            Listener { name, handler, _closure: closure }
        };
        let handlers = el.handlers.into_iter().map(listen).collect();
        if let Some(node) = el.node {
            node.load(&element);
        }
        Self { element, svg: el.svg, tag: el.tag, fixed: el.fixed, slots, handlers, children }
    }

    /// Whether a view differs from this element in nothing but values.
    fn fits(&self, el: &El) -> bool {
        let el = &*el.0;
        (self.tag, self.svg, self.fixed) == (el.tag, el.svg, el.fixed)
            && self.slots.iter().map(|s| (s.0, s.1)).eq(el.slots.iter().map(|s| (s.0, s.1)))
            && self.handlers.iter().map(|h| &h.name).eq(el.handlers.iter().map(|h| &h.0))
            && self.children.len() == el.children.len()
    }

    fn patch(&mut self, el: El) {
        let el = *el.0;
        for (child, view) in self.children.iter_mut().zip(el.children) {
            child.patch(view);
        }
        let mut classes_lost = false;
        for ((slot, name, set), (_, _, attr)) in self.slots.iter_mut().zip(el.slots) {
            let before = set.now.borrow().clone();
            let now = Rc::new(RefCell::new(before.clone()));
            if classes_lost && *slot == Slot::Class {
                *now.borrow_mut() = Value::No;
            }
            *set = Set::start(&self.element, *slot, name, now, attr);
            // The attribute holds all classes: setting it takes away those that stand apart.
            classes_lost |= *name == "class" && *set.now.borrow() != before;
        }
        for (listener, (_, handler)) in self.handlers.iter().zip(el.handlers) {
            *listener.handler.borrow_mut() = handler;
        }
        if let Some(node) = el.node {
            node.load(&self.element);
        }
    }
}

impl State {
    /// Makes the nodes of a view; [`State::mount`] puts them somewhere.
    pub fn draw(view: View) -> Self {
        match view {
            View::Empty => Self::Empty(comment()),
            View::Text(text) => Self::Text(document().create_text_node(&text).unchecked_into(), text),
            View::El(el) => Self::El(Box::new(Drawn::draw(el))),
            View::Many(views) => Self::Many(views.into_iter().map(Self::draw).collect(), comment()),
            View::Live(f) => Self::live(f, None),
            View::Each(f) => Self::each(f),
        }
    }

    /// Follows a function of signals, beginning with what is already drawn in its place.
    fn live(f: Rc<dyn Fn() -> View>, drawn: Option<Self>) -> Self {
        let inner = Rc::new(RefCell::new(drawn));
        let slot = inner.clone();
        let running = effect(Box::new(move || {
            let view = f();
            let mut slot = slot.borrow_mut();
            match slot.as_mut() {
                Some(state) => state.patch(view),
                None => *slot = Some(Self::draw(view)),
            }
        }));
        Self::Live { drawn: inner, _running: running }
    }

    fn each(f: Rc<dyn Fn() -> Vec<Entry>>) -> Self {
        let (kept, end) = (Rc::new(RefCell::new(Vec::<Kept>::new())), comment());
        let (list, mark) = (kept.clone(), end.clone());
        // The entries' owners outlive the runs of the effect.
        let owner = Owner::current().unwrap_or_default();
        let running = effect(Box::new(move || {
            let entries = f();
            let mut list = list.borrow_mut();
            let mut old: Vec<Option<Kept>> = list.drain(..).map(Some).collect();
            let (mut last, mut in_order) = (0, true);
            for Entry { key, make } in entries {
                let found = old.iter().position(|k| k.as_ref().is_some_and(|k| k.key == key));
                list.push(match found.and_then(|i| Some((i, old[i].take()?))) {
                    Some((i, kept)) => {
                        in_order &= i >= last;
                        last = i;
                        kept
                    }
                    None => {
                        let owner = owner.with(Owner::new);
                        let state = owner.with(|| untrack(|| Self::draw(make())));
                        Kept { key, state, _owner: owner }
                    }
                });
            }
            old.iter().flatten().for_each(|gone| gone.state.unmount());
            let Some(parent) = mark.parent_node() else { return };
            let mut next = mark.clone();
            for kept in list.iter().rev() {
                // What is where it belongs is not touched, so that it keeps its focus.
                if !in_order || kept.state.first().parent_node().is_none() {
                    kept.state.mount(&parent, Some(&next));
                }
                next = kept.state.first();
            }
        }));
        Self::Each { kept, end, _running: running }
    }

    /// Changes what is drawn to another view.
    pub fn patch(&mut self, view: View) {
        match (&mut *self, view) {
            (Self::Empty(_), View::Empty) => {}
            (Self::Text(node, old), View::Text(text)) => {
                if *old != text {
                    node.set_text_content(Some(&text));
                    *old = text;
                }
            }
            (Self::El(drawn), View::El(el)) if drawn.fits(&el) => drawn.patch(el),
            (Self::Many(states, end), View::Many(views)) => {
                states.drain(views.len().min(states.len())..).for_each(|gone| gone.unmount());
                for (i, view) in views.into_iter().enumerate() {
                    match states.get_mut(i) {
                        Some(state) => state.patch(view),
                        None => {
                            let state = Self::draw(view);
                            if let Some(parent) = end.parent_node() {
                                state.mount(&parent, Some(end));
                            }
                            states.push(state);
                        }
                    }
                }
            }
            (Self::Live { drawn: inner, .. }, View::Live(f)) => {
                let drawn = inner.borrow_mut().take();
                *self = Self::live(f, drawn);
            }
            (_, view) => {
                let new = Self::draw(view);
                let place = self.first();
                if let Some(parent) = place.parent_node() {
                    new.mount(&parent, Some(&place));
                }
                self.unmount();
                *self = new;
            }
        }
    }

    /// Puts the nodes before another one, or at the end.
    pub fn mount(&self, parent: &Node, before: Option<&Node>) {
        match self {
            Self::Empty(node) | Self::Text(node, _) => insert(parent, node, before),
            Self::El(drawn) => insert(parent, &drawn.element, before),
            Self::Many(states, end) => {
                states.iter().for_each(|state| state.mount(parent, before));
                insert(parent, end, before);
            }
            Self::Live { drawn: inner, .. } => {
                if let Some(state) = &*inner.borrow() {
                    state.mount(parent, before);
                }
            }
            Self::Each { kept, end, .. } => {
                kept.borrow().iter().for_each(|kept| kept.state.mount(parent, before));
                insert(parent, end, before);
            }
        }
    }

    fn unmount(&self) {
        match self {
            Self::Empty(node) | Self::Text(node, _) => remove(node),
            Self::El(drawn) => remove(&drawn.element),
            Self::Many(states, end) => {
                states.iter().for_each(Self::unmount);
                remove(end);
            }
            Self::Live { drawn: inner, .. } => {
                if let Some(state) = &*inner.borrow() {
                    state.unmount();
                }
            }
            Self::Each { kept, end, .. } => {
                kept.borrow().iter().for_each(|kept| kept.state.unmount());
                remove(end);
            }
        }
    }

    /// The first of the nodes.
    fn first(&self) -> Node {
        match self {
            Self::Empty(node) | Self::Text(node, _) => node.clone(),
            Self::El(drawn) => drawn.element.clone().unchecked_into(),
            Self::Many(states, end) => states.first().map_or_else(|| end.clone(), Self::first),
            // Between two drawings only, when nobody asks.
            Self::Live { drawn: inner, .. } => inner.borrow().as_ref().map_or_else(comment, Self::first),
            Self::Each { kept, end, .. } => {
                kept.borrow().first().map_or_else(|| end.clone(), |kept| kept.state.first())
            }
        }
    }
}
