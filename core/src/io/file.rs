//! The model file: what a visitor downloads and brings back.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `ESPALIER` |
//! | 8..10 | version, little-endian, 1 |
//! | 10..18 | length of the payload when inflated, little-endian |
//! | 18..22 | CRC-32 (ISO 3309) of the stored payload, little-endian |
//! | 22.. | payload: a [`Model`] in postcard, deflated (RFC 1951) |
//!
//! The model carries everything: graph, weights as they are stored (reals or packed integers),
//! masks, grids of activations. So the length of the file is what a network costs to send.

use crate::model::{Dim, Model, Storage};
use crate::{Error, Result, quant};

const MAGIC: &[u8; 8] = b"ESPALIER";
const VERSION: u16 = 1;
const HEADER: usize = 22;
/// Nothing that trains in a browser is larger; a length above it is a lie.
const MAX_PAYLOAD: u64 = 1 << 29;
/// Values in one tensor.
const MAX_VALUES: usize = 1 << 28;
/// Deflate's effort, 0 to 10; above 8 costs time and gains nothing on weights.
const EFFORT: u8 = 8;

/// CRC-32 of ISO 3309, as in PNG and gzip.
pub fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut c, mut bit) = (i as u32, 0);
            while bit < 8 {
                c = if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 };
                bit += 1;
            }
            table[i] = c;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |c, b| TABLE[((c ^ u32::from(*b)) & 0xff) as usize] ^ (c >> 8))
}

/// The file of a model.
///
/// # Errors
/// The model is not sound, or too large for a file.
pub fn encode(model: &Model) -> Result<Vec<u8>> {
    validate(&model.graph.name, model)?;
    let payload = postcard::to_allocvec(model)
        .map_err(|e| Error::Numeric(format!("the model cannot be written: {e}")))?;
    if payload.len() as u64 > MAX_PAYLOAD {
        return Err(Error::Unsupported(format!(
            "the model has {} bytes; a file holds 512 MiB",
            payload.len()
        )));
    }
    let stored = miniz_oxide::deflate::compress_to_vec(&payload, EFFORT);
    let mut bytes = Vec::with_capacity(HEADER + stored.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&crc32(&stored).to_le_bytes());
    bytes.extend_from_slice(&stored);
    Ok(bytes)
}

/// The length of a model's file, in bytes.
///
/// # Errors
/// See [`encode`].
pub fn file_bytes(model: &Model) -> Result<u64> {
    Ok(encode(model)?.len() as u64)
}

/// The model in a file. `name` is the file's, for messages.
///
/// # Errors
/// Says where the file breaks, or what in the model does not fit.
pub fn decode(name: &str, bytes: &[u8]) -> Result<Model> {
    let wrong = |message: String| Error::format(name, message);
    let Some((header, stored)) = bytes.split_at_checked(HEADER) else {
        return Err(wrong(if bytes.starts_with(MAGIC) || MAGIC.starts_with(bytes) && !bytes.is_empty() {
            format!("it ends after {} bytes, within its header; download it again", bytes.len())
        } else {
            "it is not an Espalier model: it does not start with ESPALIER".into()
        }));
    };
    let (magic, rest) = header.split_at(8);
    if magic != MAGIC {
        return Err(wrong("it is not an Espalier model: it does not start with ESPALIER".into()));
    }
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let (version, length, checksum) = (number(&rest[..2]), number(&rest[2..10]), number(&rest[10..14]));
    if version != u64::from(VERSION) {
        return Err(wrong(format!(
            "it is of version {version} and this page reads version {VERSION}; a newer page may read it"
        )));
    }
    if length > MAX_PAYLOAD {
        return Err(wrong(format!("it claims to hold {length} bytes; a model file holds at most 512 MiB")));
    }
    let found = crc32(stored);
    if u64::from(found) != checksum {
        return Err(wrong(format!(
            "its checksum is {found:08x} where {checksum:08x} is written: it is truncated or damaged; download it again"
        )));
    }
    let payload = miniz_oxide::inflate::decompress_to_vec_with_limit(stored, length as usize)
        .map_err(|e| wrong(format!("its contents cannot be inflated ({})", e.status as i8)))?;
    if payload.len() as u64 != length {
        return Err(wrong(format!("it holds {} bytes where {length} were announced", payload.len())));
    }
    let (model, rest): (Model, &[u8]) =
        postcard::take_from_bytes(&payload).map_err(|e| wrong(format!("its contents are no model: {e}")))?;
    if !rest.is_empty() {
        return Err(wrong(format!("{} bytes follow the model", rest.len())));
    }
    validate(name, &model)?;
    Ok(model)
}

/// Checks everything about a model that may have come from anywhere: sizes before anything is
/// multiplied or allocated, then grids, then graph against weights.
fn validate(name: &str, model: &Model) -> Result<()> {
    let wrong = |message: String| Error::format(name, message);
    let volume = |what: &str, shape: &[usize]| {
        shape
            .iter()
            .try_fold(1usize, |n, len| n.checked_mul(*len))
            .filter(|n| *n <= MAX_VALUES)
            .ok_or_else(|| wrong(format!("“{what}” would be {shape:?}, more than {MAX_VALUES} values")))
    };
    for port in &model.graph.inputs {
        let fixed: Vec<usize> =
            port.shape.iter().map(|d| if let Dim::Fixed(n) = d { *n } else { 1 }).collect();
        volume(&port.name, &fixed)?;
    }
    for (tensor, param) in &model.graph.params {
        volume(tensor, &param.shape)?;
    }
    for (tensor, weight) in &model.weights {
        let len = volume(tensor, &weight.shape)?;
        match &weight.storage {
            Storage::Int(packed) => quant::affine::check(&packed.grid, &weight.shape)
                .map_err(|e| wrong(format!("the weight “{tensor}”: {e}")))?,
            Storage::F32(values) => {
                if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
                    return Err(wrong(format!("the weight “{tensor}” holds {bad}, which is no number")));
                }
            }
        }
        if let Some(mask) = &weight.mask
            && mask.len() != len.div_ceil(8)
        {
            return Err(wrong(format!(
                "the mask of “{tensor}” has {} bytes where {} belong",
                mask.len(),
                len.div_ceil(8)
            )));
        }
    }
    model.check()?;
    let shapes = model.graph.analyze(1)?.shapes;
    for (tensor, grid) in &model.activations {
        let Some(shape) = shapes.get(tensor) else {
            return Err(wrong(format!(
                "there is a grid for “{tensor}”, a tensor that the graph does not have"
            )));
        };
        quant::affine::check(grid, shape).map_err(|e| wrong(format!("the activation “{tensor}”: {e}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConvOptions, Graph, GraphBuilder, Weight};
    use crate::rng::Rng;

    fn graph() -> Graph {
        let mut b = GraphBuilder::new("g", &[1, 8, 8]);
        let x = b.input();
        let c = b.conv(&x, 4, 3, ConvOptions { bias: true, ..ConvOptions::default() }).unwrap();
        let r = b.unary("Relu", &c).unwrap();
        let f = b.unary("Flatten", &r).unwrap();
        let y = b.linear(&f, 10).unwrap();
        b.finish(&y).unwrap()
    }

    fn reseal(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = crc32(&bytes[HEADER..]);
        bytes[18..22].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// A file around any payload.
    fn file(model: &Model) -> Vec<u8> {
        let payload = postcard::to_allocvec(model).unwrap();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((payload.len() as u64).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(miniz_oxide::deflate::compress_to_vec(&payload, 6));
        reseal(bytes)
    }

    #[test]
    fn crc_of_the_standard_check_string() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn what_was_saved_comes_back() {
        let mut model = Model::init(graph(), 5);
        model.weights.get_mut("conv0.weight").unwrap().mask = Some(vec![0xff; 5]);
        let bytes = encode(&model).unwrap();
        assert_eq!(decode("m", &bytes).unwrap(), model);
        assert_eq!(file_bytes(&model).unwrap(), bytes.len() as u64);
    }

    #[test]
    fn damage_of_any_kind_is_told_and_never_panics() {
        let bytes = encode(&Model::init(graph(), 5)).unwrap();
        let error = |bytes: &[u8]| decode("m.espalier", bytes).unwrap_err().to_string();
        assert!(error(b"").contains("not an Espalier model"));
        assert!(error(b"PK\x03\x04 some other file altogether").contains("not an Espalier model"));
        assert!(error(&bytes[..12]).contains("ends after 12 bytes"));
        assert!(error(&bytes[..bytes.len() - 1]).contains("truncated or damaged"));
        let mut newer = bytes.clone();
        newer[8] = 9;
        assert!(error(&newer).contains("version 9"));
        let mut long = bytes.clone();
        long[17] = 0x7f;
        assert!(error(&long).contains("at most 512 MiB"));
        let mut short = bytes.clone();
        short[10] = short[10].wrapping_sub(1);
        assert!(error(&short).contains("inflate"), "{}", error(&short));
        // Damage under a right checksum: every outcome but a panic will do.
        let mut rng = Rng::new(1);
        for _ in 0..300 {
            let mut bent = bytes.clone();
            let at = HEADER + rng.below(bent.len() - HEADER);
            bent[at] ^= 1 << rng.below(8);
            let _ = decode("m", &reseal(bent));
        }
        let payload = postcard::to_allocvec(&Model::init(graph(), 5)).unwrap();
        for _ in 0..2000 {
            let mut bent = payload.clone();
            let at = rng.below(600);
            bent[at] = rng.next_u64() as u8;
            let mut bytes = MAGIC.to_vec();
            bytes.extend(VERSION.to_le_bytes());
            bytes.extend((bent.len() as u64).to_le_bytes());
            bytes.extend([0; 4]);
            bytes.extend(miniz_oxide::deflate::compress_to_vec(&bent, 1));
            let _ = decode("m", &reseal(bytes));
        }
    }

    #[test]
    fn a_graph_that_does_not_fit_its_weights_is_refused_by_name() {
        let model = Model::init(graph(), 5);
        let refused = |change: &dyn Fn(&mut Model)| {
            let mut model = model.clone();
            change(&mut model);
            decode("m", &file(&model)).unwrap_err().to_string()
        };
        let message = refused(&|m| drop(m.weights.remove("gemm0.bias")));
        assert!(message.contains("“gemm0.bias” is missing"), "{message}");
        let message = refused(&|m| {
            m.graph.params.get_mut("conv0.weight").unwrap().shape = vec![usize::MAX / 2, 8, 8, 8];
        });
        assert!(message.contains("“conv0.weight” would be"), "{message}");
        let message = refused(&|m| {
            m.weights.insert("conv0.bias".into(), Weight::dense(vec![4], vec![f32::NAN; 4]));
        });
        assert!(message.contains("“conv0.bias” holds NaN"), "{message}");
        let message = refused(&|m| {
            let grid = crate::model::Grid {
                bits: 8,
                signed: true,
                axis: None,
                scale: vec![0.0],
                zero_point: vec![0],
            };
            m.activations.insert("relu0".into(), grid);
        });
        assert!(message.contains("“relu0”") && message.contains("scale 0"), "{message}");
    }
}
