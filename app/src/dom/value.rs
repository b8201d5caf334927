//! What can stand in markup: as an attribute's value, or as a view.

use super::{Attr, El, View};
use leptos::prelude::*;
use std::borrow::Cow;
use std::rc::Rc;

/// The value of an attribute, a class or a property.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Absent; `false`.
    No,
    /// Present; `true`.
    Yes,
    /// Present with a text.
    Text(Cow<'static, str>),
}

/// Can be the value of an attribute.
pub trait ToValue {
    /// As a value.
    fn to_value(self) -> Value;
}

/// Can be an attribute: a value, or a function of signals that gives one.
pub trait ToAttr {
    /// As an attribute.
    fn to_attr(self) -> Attr;
}

/// Can be a view.
pub trait ToView {
    /// As a view.
    fn to_view(self) -> View;
}

impl ToValue for bool {
    fn to_value(self) -> Value {
        if self { Value::Yes } else { Value::No }
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(self) -> Value {
        self.map_or(Value::No, ToValue::to_value)
    }
}

macro_rules! text {
    ($($kind:ty),*) => {$(
        impl ToValue for $kind {
            fn to_value(self) -> Value {
                Value::Text(self.into())
            }
        }
        impl ToView for $kind {
            fn to_view(self) -> View {
                View::Text(self.into())
            }
        }
    )*};
}

macro_rules! number {
    ($($kind:ty),*) => {$(
        impl ToValue for $kind {
            fn to_value(self) -> Value {
                Value::Text(self.to_string().into())
            }
        }
        impl ToView for $kind {
            fn to_view(self) -> View {
                View::Text(self.to_string().into())
            }
        }
    )*};
}

macro_rules! attr {
    ($($kind:ty),*) => {$(
        impl ToAttr for $kind {
            fn to_attr(self) -> Attr {
                Attr::Fixed(self.to_value())
            }
        }
    )*};
}

text!(&'static str, String, Cow<'static, str>);
number!(f64, f32, i32, u32, usize);
attr!(bool, &'static str, String, Cow<'static, str>, f64, f32, i32, u32, usize);

impl<T: ToValue> ToAttr for Option<T> {
    fn to_attr(self) -> Attr {
        Attr::Fixed(self.to_value())
    }
}

impl<F: Fn() -> T + 'static, T: ToValue> ToAttr for F {
    fn to_attr(self) -> Attr {
        Attr::Live(Rc::new(move || self().to_value()))
    }
}

impl ToView for View {
    fn to_view(self) -> View {
        self
    }
}

impl ToView for El {
    fn to_view(self) -> View {
        View::El(self)
    }
}

impl ToView for () {
    fn to_view(self) -> View {
        View::Empty
    }
}

impl<T: ToView> ToView for Option<T> {
    fn to_view(self) -> View {
        self.map_or(View::Empty, ToView::to_view)
    }
}

impl<T: ToView> ToView for Vec<T> {
    fn to_view(self) -> View {
        View::Many(self.into_iter().map(ToView::to_view).collect())
    }
}

impl<F: Fn() -> T + 'static, T: ToView> ToView for F {
    fn to_view(self) -> View {
        View::Live(Rc::new(move || self().to_view()))
    }
}

impl ToView for Signal<String> {
    fn to_view(self) -> View {
        View::Live(Rc::new(move || View::Text(self.get().into())))
    }
}
