//! Reads protocol buffers as far as ONNX needs them (`onnx.proto3`, IR version 13): the wire
//! format, and the messages ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto and
//! ValueInfoProto. Unknown fields are skipped, as the format wants.
//!
//! Own code rather than a library: two hundred lines, no dependency in the bundle, tensors borrow
//! from the file instead of being copied, and an error names the message and the byte.
//!
//! Every length is checked against what is left of the file, and nothing is allocated that is not
//! a small multiple of bytes already seen.

use crate::{Error, Result};

/// A cursor over one message.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Place of `bytes` in the file, for messages.
    offset: usize,
    file: &'a str,
    what: &'static str,
}

/// The value of a field, by wire type.
#[derive(Debug, Clone, Copy)]
pub enum Field<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64([u8; 8]),
    /// Wire type 2: a string, bytes, a message, or packed numbers.
    Bytes(Reader<'a>),
    /// Wire type 5.
    Fixed32([u8; 4]),
}

impl<'a> Reader<'a> {
    /// Reads `bytes` as a message; `file` is its name for errors, `what` the message's.
    pub fn new(bytes: &'a [u8], file: &'a str, what: &'static str) -> Self {
        Self { bytes, offset: 0, file, what }
    }

    /// An error at the cursor.
    pub fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::format(self.file, format!("byte {}, in a {}: {message}", self.offset, self.what))
    }

    fn named(mut self, what: &'static str) -> Self {
        self.what = what;
        self
    }

    fn take(&mut self, n: u64) -> Result<&'a [u8]> {
        let left = self.bytes.len();
        match usize::try_from(n).ok().and_then(|n| self.bytes.split_at_checked(n)) {
            Some((head, tail)) => {
                self.bytes = tail;
                self.offset += head.len();
                Ok(head)
            }
            None => Err(self.error(format!(
                "{n} bytes are announced and {left} are left; the file is cut off or not ONNX"
            ))),
        }
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error("a number of more than ten bytes; the file is not ONNX"))
    }

    /// The next field's number and value; `None` at the end.
    ///
    /// # Errors
    /// The bytes are no protocol buffer.
    pub fn field(&mut self) -> Result<Option<(u64, Field<'a>)>> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.take(8)?.try_into().unwrap_or_default()),
            2 => {
                let n = self.varint()?;
                let offset = self.offset;
                Field::Bytes(Reader { bytes: self.take(n)?, offset, ..*self })
            }
            5 => Field::Fixed32(self.take(4)?.try_into().unwrap_or_default()),
            other => {
                return Err(self.error(format!("wire type {other} does not exist; the file is not ONNX")));
            }
        };
        if key >> 3 == 0 {
            return Err(self.error("field number 0 does not exist; the file is not ONNX"));
        }
        Ok(Some((key >> 3, value)))
    }

    fn wrong(&self, field: &'static str) -> Error {
        self.error(format!("the field {field} is of another type"))
    }

    fn int(&self, value: Field, field: &'static str) -> Result<i64> {
        if let Field::Varint(v) = value { Ok(v as i64) } else { Err(self.wrong(field)) }
    }

    fn message(&self, value: Field<'a>, field: &'static str) -> Result<Reader<'a>> {
        if let Field::Bytes(r) = value { Ok(r.named(field)) } else { Err(self.wrong(field)) }
    }

    fn bytes(&self, value: Field<'a>, field: &'static str) -> Result<&'a [u8]> {
        self.message(value, field).map(|r| r.bytes)
    }

    fn text(&self, value: Field<'a>, field: &'static str) -> Result<String> {
        self.bytes(value, field).map(|b| String::from_utf8_lossy(b).into_owned())
    }

    /// A repeated number, packed or not.
    fn ints(&self, value: Field<'a>, field: &'static str, into: &mut Vec<i64>) -> Result<()> {
        match value {
            Field::Varint(v) => into.push(v as i64),
            Field::Bytes(mut r) => {
                while !r.bytes.is_empty() {
                    into.push(r.varint()? as i64);
                }
            }
            _ => return Err(self.wrong(field)),
        }
        Ok(())
    }

    fn floats(&self, value: Field<'a>, field: &'static str, into: &mut Vec<f32>) -> Result<()> {
        match value {
            Field::Fixed32(b) => into.push(f32::from_le_bytes(b)),
            Field::Bytes(r) if r.bytes.len().is_multiple_of(4) => {
                into.extend(r.bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
            }
            _ => return Err(self.wrong(field)),
        }
        Ok(())
    }
}

/// TensorProto: a named array. Its values are in one of several fields, by type.
#[derive(Debug, Clone, Default)]
pub struct Tensor<'a> {
    /// Name.
    pub name: String,
    /// Lengths.
    pub dims: Vec<i64>,
    /// Element type (`TensorProto.DataType`).
    pub data_type: i64,
    /// Values as little-endian bytes, where they are stored so.
    pub raw: Option<&'a [u8]>,
    /// Values of type float, where not raw.
    pub floats: Vec<f32>,
    /// Values of whole-number types (and of float16 as bits), where not raw.
    pub ints: Vec<i64>,
    /// Values of type double, where not raw.
    pub doubles: Vec<f64>,
    /// Whether the values are in another file.
    pub external: bool,
}

/// AttributeProto.
#[derive(Debug, Clone, Default)]
pub struct Attribute<'a> {
    /// Name.
    pub name: String,
    /// Type (`AttributeProto.AttributeType`); 0 in very old files.
    pub kind: i64,
    /// FLOAT.
    pub f: Option<f32>,
    /// INT.
    pub i: Option<i64>,
    /// STRING.
    pub s: Option<String>,
    /// TENSOR.
    pub t: Option<Tensor<'a>>,
    /// FLOATS.
    pub floats: Vec<f32>,
    /// INTS.
    pub ints: Vec<i64>,
}

/// NodeProto.
#[derive(Debug, Clone, Default)]
pub struct Node<'a> {
    /// Names of the inputs; "" is an omitted one.
    pub inputs: Vec<String>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// Name; may be empty.
    pub name: String,
    /// Operator type.
    pub op: String,
    /// Operator set; "" or "ai.onnx" is the standard's.
    pub domain: String,
    /// Attributes.
    pub attributes: Vec<Attribute<'a>>,
}

/// ValueInfoProto of a tensor.
#[derive(Debug, Clone, Default)]
pub struct ValueInfo {
    /// Name.
    pub name: String,
    /// Element type; 0 where it is not a tensor.
    pub data_type: i64,
    /// Lengths; `None` where symbolic or unknown.
    pub dims: Vec<Option<i64>>,
}

/// GraphProto.
#[derive(Debug, Clone, Default)]
pub struct Graph<'a> {
    /// Name.
    pub name: String,
    /// Nodes.
    pub nodes: Vec<Node<'a>>,
    /// Constants and weights.
    pub initializers: Vec<Tensor<'a>>,
    /// Inputs; before IR version 4 these include the initializers.
    pub inputs: Vec<ValueInfo>,
    /// Outputs.
    pub outputs: Vec<ValueInfo>,
}

/// ModelProto.
#[derive(Debug, Clone, Default)]
pub struct Model<'a> {
    /// The graph.
    pub graph: Graph<'a>,
    /// Version of the standard operator set.
    pub opset: i64,
}

impl<'a> Model<'a> {
    /// Reads a model file.
    ///
    /// # Errors
    /// Where the file breaks, and what was expected there.
    pub fn read(bytes: &'a [u8], file: &'a str) -> Result<Self> {
        let mut r = Reader::new(bytes, file, "ModelProto");
        let (mut graph, mut opset) = (None, None);
        while let Some((number, value)) = r.field()? {
            match number {
                7 => graph = Some(read_graph(r.message(value, "GraphProto")?)?),
                8 => {
                    let mut set = r.message(value, "OperatorSetIdProto")?;
                    let (mut domain, mut version) = (String::new(), 0);
                    while let Some((number, value)) = set.field()? {
                        match number {
                            1 => domain = set.text(value, "domain")?,
                            2 => version = set.int(value, "version")?,
                            _ => {}
                        }
                    }
                    if domain.is_empty() || domain == "ai.onnx" {
                        opset = Some(version);
                    }
                }
                _ => {}
            }
        }
        let graph = graph.ok_or_else(|| r.error("there is no graph; the file is not an ONNX model"))?;
        Ok(Self { graph, opset: opset.unwrap_or(1) })
    }
}

impl<'a> Tensor<'a> {
    /// Reads a tensor file (a TensorProto by itself).
    ///
    /// # Errors
    /// Where the file breaks, and what was expected there.
    pub fn read(bytes: &'a [u8], file: &'a str) -> Result<Self> {
        read_tensor(Reader::new(bytes, file, "TensorProto"))
    }
}

fn read_graph(mut r: Reader<'_>) -> Result<Graph<'_>> {
    let mut graph = Graph::default();
    while let Some((number, value)) = r.field()? {
        match number {
            1 => graph.nodes.push(read_node(r.message(value, "NodeProto")?)?),
            2 => graph.name = r.text(value, "name")?,
            5 => graph.initializers.push(read_tensor(r.message(value, "TensorProto")?)?),
            11 => graph.inputs.push(read_value_info(r.message(value, "ValueInfoProto")?)?),
            12 => graph.outputs.push(read_value_info(r.message(value, "ValueInfoProto")?)?),
            15 => return Err(r.error("sparse initializers are not read here")),
            _ => {}
        }
    }
    Ok(graph)
}

fn read_node(mut r: Reader<'_>) -> Result<Node<'_>> {
    let mut node = Node::default();
    while let Some((number, value)) = r.field()? {
        match number {
            1 => node.inputs.push(r.text(value, "input")?),
            2 => node.outputs.push(r.text(value, "output")?),
            3 => node.name = r.text(value, "name")?,
            4 => node.op = r.text(value, "op_type")?,
            5 => node.attributes.push(read_attribute(r.message(value, "AttributeProto")?)?),
            7 => node.domain = r.text(value, "domain")?,
            _ => {}
        }
    }
    // Also keeps a file of empty messages from growing into a hundred times its size.
    if node.op.is_empty() || node.outputs.is_empty() {
        return Err(r.error("the node has no operator or no output"));
    }
    Ok(node)
}

fn read_attribute(mut r: Reader<'_>) -> Result<Attribute<'_>> {
    let mut attribute = Attribute::default();
    while let Some((number, value)) = r.field()? {
        match (number, value) {
            (1, v) => attribute.name = r.text(v, "name")?,
            (2, Field::Fixed32(b)) => attribute.f = Some(f32::from_le_bytes(b)),
            (2, _) => return Err(r.wrong("f")),
            (3, v) => attribute.i = Some(r.int(v, "i")?),
            (4, v) => attribute.s = Some(r.text(v, "s")?),
            (5, v) => attribute.t = Some(read_tensor(r.message(v, "TensorProto")?)?),
            (7, v) => r.floats(v, "floats", &mut attribute.floats)?,
            (8, v) => r.ints(v, "ints", &mut attribute.ints)?,
            (20, v) => attribute.kind = r.int(v, "type")?,
            _ => {}
        }
    }
    if attribute.name.is_empty() {
        return Err(r.error("the attribute has no name"));
    }
    Ok(attribute)
}

fn read_tensor(mut r: Reader<'_>) -> Result<Tensor<'_>> {
    let mut tensor = Tensor::default();
    while let Some((number, value)) = r.field()? {
        match number {
            1 => r.ints(value, "dims", &mut tensor.dims)?,
            2 => tensor.data_type = r.int(value, "data_type")?,
            4 => r.floats(value, "float_data", &mut tensor.floats)?,
            5 | 7 | 11 => r.ints(value, "int_data", &mut tensor.ints)?,
            8 => tensor.name = r.text(value, "name")?,
            9 => tensor.raw = Some(r.bytes(value, "raw_data")?),
            10 => match value {
                Field::Fixed64(b) => tensor.doubles.push(f64::from_le_bytes(b)),
                Field::Bytes(b) if b.bytes.len().is_multiple_of(8) => {
                    tensor.doubles.extend(b.bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)));
                }
                _ => return Err(r.wrong("double_data")),
            },
            14 => tensor.external = r.int(value, "data_location")? == 1,
            _ => {}
        }
    }
    Ok(tensor)
}

fn read_value_info(mut r: Reader<'_>) -> Result<ValueInfo> {
    let mut info = ValueInfo::default();
    while let Some((number, value)) = r.field()? {
        match number {
            1 => info.name = r.text(value, "name")?,
            2 => {
                let mut kind = r.message(value, "TypeProto")?;
                while let Some((number, value)) = kind.field()? {
                    if number == 1 {
                        let tensor = kind.message(value, "TypeProto.Tensor")?;
                        read_tensor_type(tensor, &mut info)?;
                    }
                }
            }
            _ => {}
        }
    }
    if info.name.is_empty() {
        return Err(r.error("the input or output has no name"));
    }
    Ok(info)
}

fn read_tensor_type(mut r: Reader<'_>, info: &mut ValueInfo) -> Result<()> {
    while let Some((number, value)) = r.field()? {
        match number {
            1 => info.data_type = r.int(value, "elem_type")?,
            2 => {
                let mut shape = r.message(value, "TensorShapeProto")?;
                while let Some((number, value)) = shape.field()? {
                    if number != 1 {
                        continue;
                    }
                    let mut dim = shape.message(value, "Dimension")?;
                    let mut length = None;
                    while let Some((number, value)) = dim.field()? {
                        if number == 1 {
                            length = Some(dim.int(value, "dim_value")?);
                        }
                    }
                    info.dims.push(length);
                }
            }
            _ => {}
        }
    }
    Ok(())
}
