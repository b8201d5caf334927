//! `view!`: Leptos' syntax, compiled to one type for every view.
//!
//! Leptos' own macro gives every element a type of its own and with it code of its own; this one
//! makes `dom::El` values, plain data that one function draws. On this page that is the difference
//! of several hundred kilobytes. It knows what the page uses: elements, components, text, blocks,
//! `on:`, `class:`, `prop:`, `node_ref`, `<Show when>` and `<For each key let:item>`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use rstml::node::{KeyedAttribute, Node, NodeAttribute, NodeElement};
use syn::{Block, Expr, Ident, Lit, Stmt};

/// Elements that only SVG has; those that both languages have are told by what they stand in.
const SVG: &[&str] = &[
    "circle", "clipPath", "defs", "ellipse", "g", "line", "marker", "path", "pattern", "polygon", "polyline",
    "rect", "svg", "text", "tspan", "use",
];

/// Markup as a `dom::View`.
#[proc_macro]
pub fn view(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let nodes = match rstml::parse2(tokens.into()) {
        Ok(nodes) => nodes,
        Err(error) => return error.into_compile_error().into(),
    };
    match children(&nodes, false) {
        Ok(code) => code.into(),
        Err(error) => error.into_compile_error().into(),
    }
}

type Result = syn::Result<TokenStream>;

/// One view of several nodes.
fn children(nodes: &[Node], in_svg: bool) -> Result {
    let parts = nodes.iter().map(|n| node(n, in_svg)).collect::<syn::Result<Vec<_>>>()?;
    Ok(match parts.as_slice() {
        [] => quote!(crate::dom::View::Empty),
        [one] => quote!(#one),
        many => quote!(crate::dom::View::Many(::std::vec![#(#many),*])),
    })
}

fn node(node: &Node, in_svg: bool) -> Result {
    match node {
        Node::Element(element) if is_component(element) => component(element, in_svg),
        Node::Element(element) => plain(element, in_svg),
        Node::Fragment(fragment) => children(&fragment.children, in_svg),
        Node::Text(text) => {
            let text = &text.value;
            Ok(quote!(crate::dom::View::text(#text)))
        }
        Node::Block(block) => {
            let value = block.try_block().map_or_else(|| block.to_token_stream(), bare);
            Ok(quote!(crate::dom::ToView::to_view(#value)))
        }
        other => Err(syn::Error::new_spanned(other, "only elements, quoted text and blocks stand here")),
    }
}

fn is_component(element: &NodeElement<rstml::Infallible>) -> bool {
    let name = element.name().to_string();
    let last = name.rsplit("::").next().unwrap_or_default();
    last.trim().starts_with(char::is_uppercase)
}

fn keyed(attribute: &NodeAttribute) -> syn::Result<&KeyedAttribute> {
    match attribute {
        NodeAttribute::Attribute(keyed) => Ok(keyed),
        NodeAttribute::Block(block) => Err(syn::Error::new_spanned(block, "an attribute has a name")),
    }
}

/// A block without its braces where it is only an expression.
fn bare(block: &Block) -> TokenStream {
    match block.stmts.as_slice() {
        [Stmt::Expr(one, None)] => one.to_token_stream(),
        _ => block.to_token_stream(),
    }
}

/// The value of an attribute; its own name where it has none (`<Chart title />`).
fn value(attribute: &KeyedAttribute) -> TokenStream {
    match attribute.value() {
        Some(Expr::Block(block)) => bare(&block.block),
        Some(value) => value.to_token_stream(),
        None => attribute.key.to_token_stream(),
    }
}

fn component(element: &NodeElement<rstml::Infallible>, in_svg: bool) -> Result {
    let name = element.name();
    match name.to_string().as_str() {
        "Show" => return show(element, in_svg),
        "For" => return each(element, in_svg),
        _ => {}
    }
    let mut props = TokenStream::new();
    for attribute in element.attributes() {
        let attribute = keyed(attribute)?;
        let (key, value) = (&attribute.key, value(attribute));
        props.extend(quote!(.#key(#value)));
    }
    if !element.children.is_empty() {
        let children = children(&element.children, in_svg)?;
        props.extend(quote!(.children(#children)));
    }
    Ok(quote!({
        let props = ::leptos::component::component_props_builder(&#name) #props .build();
        ::leptos::component::component_view(#name, props)
    }))
}

/// The attribute of a control-flow element.
fn needed(element: &NodeElement<rstml::Infallible>, key: &str) -> Result {
    for attribute in element.attributes() {
        let attribute = keyed(attribute)?;
        if attribute.key.to_string() == key {
            return Ok(value(attribute));
        }
    }
    Err(syn::Error::new_spanned(element.name(), format!("`{key}` is missing")))
}

fn show(element: &NodeElement<rstml::Infallible>, in_svg: bool) -> Result {
    let (when, children) = (needed(element, "when")?, children(&element.children, in_svg)?);
    Ok(quote!(crate::dom::show(#when, move || #children)))
}

fn each(element: &NodeElement<rstml::Infallible>, in_svg: bool) -> Result {
    let (each, key) = (needed(element, "each")?, needed(element, "key")?);
    let mut item = None;
    for attribute in element.attributes() {
        let name = keyed(attribute)?.key.to_string();
        item = item.or_else(|| name.strip_prefix("let:").map(|n| Ident::new(n, Span::call_site())));
    }
    let item = item.ok_or_else(|| syn::Error::new_spanned(element.name(), "`let:` is missing"))?;
    let children = children(&element.children, in_svg)?;
    Ok(quote!(crate::dom::each(#each, #key, move |#item| #children)))
}

fn plain(element: &NodeElement<rstml::Infallible>, in_svg: bool) -> Result {
    let tag = element.name().to_string();
    let in_svg = in_svg || SVG.contains(&tag.as_str());
    let mut code =
        if in_svg { quote!(crate::dom::El::svg(#tag)) } else { quote!(crate::dom::El::html(#tag)) };
    // Texts known at compile time are data, not code.
    let mut fixed: Vec<TokenStream> = Vec::new();
    let mut rest = TokenStream::new();
    for attribute in element.attributes() {
        let attribute = keyed(attribute)?;
        let key = attribute.key.to_string();
        match (key.split_once(':'), attribute.value()) {
            (Some(("on", event)), Some(f)) => {
                let event = Ident::new(event, Span::call_site());
                rest.extend(quote!(.on(::leptos::ev::#event, #f)));
            }
            (Some(("class", class)), Some(value)) => rest.extend(quote!(.class(#class, #value))),
            (Some(("prop", name)), Some(value)) => rest.extend(quote!(.prop(#name, #value))),
            (None, Some(value)) if key == "node_ref" => rest.extend(quote!(.node_ref(#value))),
            (None, Some(Expr::Lit(lit))) if matches!(lit.lit, Lit::Str(_)) => {
                fixed.push(quote!((#key, #lit)))
            }
            (None, None) => fixed.push(quote!((#key, ""))),
            (None, Some(_)) => {
                let value = value(attribute);
                rest.extend(quote!(.attr(#key, #value)));
            }
            _ => return Err(syn::Error::new_spanned(&attribute.key, "unknown kind of attribute")),
        }
    }
    if !fixed.is_empty() {
        code.extend(quote!(.fixed(&[#(#fixed),*])));
    }
    code.extend(rest);
    // Inside this SVG element is HTML again.
    let in_svg = in_svg && tag != "foreignObject";
    for child in &element.children {
        let child = node(child, in_svg)?;
        code.extend(quote!(.child(#child)));
    }
    Ok(quote!(#code.view()))
}
