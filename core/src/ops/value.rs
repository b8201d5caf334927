//! A Burn tensor whose rank is known only at run time.

use crate::{Error, Result};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use std::collections::BTreeMap;

/// A float tensor of rank 1 to 5. A scalar is `[1]`.
#[derive(Debug, Clone)]
pub enum Value {
    /// Rank 1.
    R1(Tensor<1>),
    /// Rank 2.
    R2(Tensor<2>),
    /// Rank 3.
    R3(Tensor<3>),
    /// Rank 4.
    R4(Tensor<4>),
    /// Rank 5.
    R5(Tensor<5>),
}

/// Applies a rank-generic expression to the tensor inside a [`Value`] and wraps the result.
#[macro_export]
macro_rules! map_value {
    ($value:expr, $t:ident => $body:expr) => {
        match $value {
            $crate::ops::Value::R1($t) => $crate::ops::Value::R1($body),
            $crate::ops::Value::R2($t) => $crate::ops::Value::R2($body),
            $crate::ops::Value::R3($t) => $crate::ops::Value::R3($body),
            $crate::ops::Value::R4($t) => $crate::ops::Value::R4($body),
            $crate::ops::Value::R5($t) => $crate::ops::Value::R5($body),
        }
    };
}

/// Evaluates a rank-generic expression on the tensor inside a [`Value`].
#[macro_export]
macro_rules! with_value {
    ($value:expr, $t:ident => $body:expr) => {
        match $value {
            $crate::ops::Value::R1($t) => $body,
            $crate::ops::Value::R2($t) => $body,
            $crate::ops::Value::R3($t) => $body,
            $crate::ops::Value::R4($t) => $body,
            $crate::ops::Value::R5($t) => $body,
        }
    };
}

impl Value {
    /// Uploads host values.
    ///
    /// # Errors
    /// The rank is above 5, or values and shape do not agree.
    pub fn from_host(values: Vec<f32>, shape: &[usize], device: &Device) -> Result<Self> {
        if shape.iter().product::<usize>() != values.len() {
            return Err(Error::Numeric(format!("{} values for a tensor of shape {shape:?}", values.len())));
        }
        let data = |shape: &[usize]| TensorData::new(values, shape.to_vec());
        Ok(match shape.len() {
            0 => Self::R1(Tensor::from_data(data(&[1]), device)),
            1 => Self::R1(Tensor::from_data(data(shape), device)),
            2 => Self::R2(Tensor::from_data(data(shape), device)),
            3 => Self::R3(Tensor::from_data(data(shape), device)),
            4 => Self::R4(Tensor::from_data(data(shape), device)),
            5 => Self::R5(Tensor::from_data(data(shape), device)),
            n => {
                return Err(Error::Unsupported(format!(
                    "training handles tensors of rank 1 to 5; this one has {n}"
                )));
            }
        })
    }

    /// The shape.
    pub fn dims(&self) -> Vec<usize> {
        with_value!(self, t => t.dims().to_vec())
    }

    /// The same values in another shape.
    ///
    /// # Errors
    /// The rank is above 5, or the number of values differs.
    pub fn reshape(self, shape: &[usize]) -> Result<Self> {
        let (have, want): (usize, usize) = (self.dims().iter().product(), shape.iter().product());
        if have != want {
            return Err(Error::Numeric(format!("{have} values cannot take the shape {shape:?}")));
        }
        macro_rules! to {
            ($variant:ident, $n:literal) => {{
                let mut dims = [1; $n];
                dims.copy_from_slice(shape);
                Self::$variant(with_value!(self, t => t.reshape(dims)))
            }};
        }
        Ok(match shape.len() {
            0 => Self::R1(with_value!(self, t => t.reshape([1]))),
            1 => to!(R1, 1),
            2 => to!(R2, 2),
            3 => to!(R3, 3),
            4 => to!(R4, 4),
            5 => to!(R5, 5),
            n => {
                return Err(Error::Unsupported(format!(
                    "training handles tensors of rank 1 to 5; this one has {n}"
                )));
            }
        })
    }

    /// With leading axes of length 1 up to `rank`.
    ///
    /// # Errors
    /// The rank is above 5.
    pub fn pad_rank(self, rank: usize) -> Result<Self> {
        let dims = self.dims();
        if dims.len() >= rank {
            return Ok(self);
        }
        let mut shape = vec![1; rank - dims.len()];
        shape.extend(dims);
        self.reshape(&shape)
    }

    /// Reads the values back; works in the browser too.
    ///
    /// # Errors
    /// The device failed.
    pub async fn to_host(&self) -> Result<Vec<f32>> {
        let data = with_value!(self.clone(), t => t.into_data_async().await);
        let data = data.map_err(|e| Error::Numeric(format!("the device could not be read: {e:?}")))?;
        data.try_to_vec::<f32>()
            .map_err(|e| Error::Numeric(format!("the device gave back other numbers than f32: {e:?}")))
    }

    /// What a backward pass left for this leaf; `None` where it found no path to it.
    pub fn gradient(&self, gradients: &Gradients) -> Option<Self> {
        Some(match self {
            Self::R1(t) => Self::R1(t.grad(gradients)?),
            Self::R2(t) => Self::R2(t.grad(gradients)?),
            Self::R3(t) => Self::R3(t.grad(gradients)?),
            Self::R4(t) => Self::R4(t.grad(gradients)?),
            Self::R5(t) => Self::R5(t.grad(gradients)?),
        })
    }

    /// The tensor, where it has rank 1.
    pub fn r1(&self) -> Option<Tensor<1>> {
        if let Self::R1(t) = self { Some(t.clone()) } else { None }
    }

    /// The tensor, where it has rank 2.
    pub fn r2(&self) -> Option<Tensor<2>> {
        if let Self::R2(t) = self { Some(t.clone()) } else { None }
    }

    /// The tensor, where it has rank 4.
    pub fn r4(&self) -> Option<Tensor<4>> {
        if let Self::R4(t) = self { Some(t.clone()) } else { None }
    }
}

/// Applies a rank-generic binary expression after aligning ranks; Burn broadcasts lengths of 1.
#[macro_export]
macro_rules! zip_values {
    ($a:expr, $b:expr, $x:ident, $y:ident => $body:expr) => {{
        let (a, b) = ($a, $b);
        let rank = a.dims().len().max(b.dims().len());
        match (a.pad_rank(rank)?, b.pad_rank(rank)?) {
            ($crate::ops::Value::R1($x), $crate::ops::Value::R1($y)) => $crate::ops::Value::R1($body),
            ($crate::ops::Value::R2($x), $crate::ops::Value::R2($y)) => $crate::ops::Value::R2($body),
            ($crate::ops::Value::R3($x), $crate::ops::Value::R3($y)) => $crate::ops::Value::R3($body),
            ($crate::ops::Value::R4($x), $crate::ops::Value::R4($y)) => $crate::ops::Value::R4($body),
            ($crate::ops::Value::R5($x), $crate::ops::Value::R5($y)) => $crate::ops::Value::R5($body),
            _ => unreachable!("pad_rank made the ranks equal"),
        }
    }};
}

/// What a forward pass carries besides values.
#[derive(Debug, Default)]
pub struct Forward {
    /// Whether batch statistics are used and dropout is on.
    pub training: bool,
    /// New running statistics, by parameter name: what the training loop writes back.
    pub statistics: BTreeMap<String, Value>,
}

/// An input that the operator cannot do without.
///
/// # Errors
/// The input was omitted.
pub fn required(node: &crate::model::Node, inputs: &[Option<Value>], i: usize) -> Result<Value> {
    inputs.get(i).cloned().flatten().ok_or_else(|| Error::shape(node, format!("input {i} is missing")))
}
