//! Shared by imports: reading an ONNX node's constant inputs.

use super::Constant;
use crate::model::Node;
use crate::{Error, Result};

/// Input `i` as whole numbers; `None` where it is omitted.
///
/// # Errors
/// The input is computed by the graph, or is not made of whole numbers.
pub fn ints(node: &Node, constants: &[Option<Constant>], i: usize) -> Result<Option<Vec<i64>>> {
    match constant(node, constants, i)? {
        None => Ok(None),
        Some(Constant::Ints(v)) => Ok(Some(v.clone())),
        Some(Constant::Floats(_)) => {
            Err(Error::shape(node, format!("input {i} holds real numbers where whole ones belong")))
        }
    }
}

/// Input `i` as one real number; `None` where it is omitted or empty.
///
/// # Errors
/// The input is computed by the graph, or holds several numbers.
pub fn float(node: &Node, constants: &[Option<Constant>], i: usize) -> Result<Option<f32>> {
    let values = floats(node, constants, i)?.unwrap_or_default();
    match values[..] {
        [] => Ok(None),
        [v] => Ok(Some(v)),
        _ => Err(Error::shape(node, format!("input {i} holds {} numbers where one belongs", values.len()))),
    }
}

/// Input `i` as real numbers; `None` where it is omitted.
///
/// # Errors
/// The input is computed by the graph.
pub fn floats(node: &Node, constants: &[Option<Constant>], i: usize) -> Result<Option<Vec<f32>>> {
    Ok(constant(node, constants, i)?.map(|c| match c {
        Constant::Floats(v) => v.clone(),
        Constant::Ints(v) => v.iter().map(|x| *x as f32).collect(),
    }))
}

fn constant<'a>(node: &Node, constants: &'a [Option<Constant>], i: usize) -> Result<Option<&'a Constant>> {
    match constants.get(i) {
        Some(Some(constant)) => Ok(Some(constant)),
        _ if node.inputs.get(i).is_none_or(String::is_empty) => Ok(None),
        _ => Err(Error::shape(
            node,
            format!(
                "input {i} (“{}”) is computed while the network runs; here it must be a constant, because shapes depend on it",
                node.inputs[i]
            ),
        )),
    }
}
