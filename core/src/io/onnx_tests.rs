//! The reader on files made by hand: one that is right, and the ways to be wrong. Whole networks
//! are read in the `tests` crate.

use super::*;

fn varint(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

/// A field of bytes.
fn bytes(number: u64, value: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

/// A field that is a whole number.
fn int(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

/// A float tensor as an input or output of a graph.
fn value_info(name: &str, lengths: &[u64]) -> Vec<u8> {
    let dims: Vec<u8> = lengths.iter().flat_map(|n| bytes(1, &int(1, *n))).collect();
    let tensor = [int(1, 1), bytes(2, &dims)].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

fn tensor(name: &str, dims: &[u64], fields: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|n| int(1, *n)).collect();
    [dims, int(2, 1), bytes(8, name.as_bytes()), fields.to_vec()].concat()
}

/// `y = op(x, w)` on x of 2 × 3 with the given weight.
fn file(op: &str, weight: &[u8]) -> Vec<u8> {
    let node =
        [bytes(1, b"x"), bytes(1, b"w"), bytes(2, b"y"), bytes(3, b"n"), bytes(4, op.as_bytes())].concat();
    let graph = [
        bytes(1, &node),
        bytes(2, b"by hand"),
        bytes(5, weight),
        bytes(11, &value_info("x", &[2, 3])),
        bytes(12, &value_info("y", &[2, 3])),
    ]
    .concat();
    [int(1, 8), bytes(8, &int(2, 17)), bytes(7, &graph)].concat()
}

fn raw(values: &[f32]) -> Vec<u8> {
    bytes(9, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

fn good() -> Vec<u8> {
    file("Add", &tensor("w", &[3], &raw(&[0.5, -1.0, 2.0])))
}

fn message(bytes: &[u8]) -> String {
    import(bytes, "m.onnx").unwrap_err().to_string()
}

#[test]
fn a_small_file_is_read() {
    let imported = import(&good(), "m.onnx").unwrap();
    let graph = &imported.graph;
    assert_eq!(graph.name, "by hand");
    assert_eq!(graph.nodes.len(), 1);
    assert_eq!(
        (graph.nodes[0].op.as_str(), &graph.nodes[0].inputs[..]),
        ("Add", &["x".into(), "w".into()][..])
    );
    assert_eq!(graph.inputs[0].shape, [Dim::Fixed(2), Dim::Fixed(3)]);
    assert_eq!(graph.outputs, ["y"]);
    assert_eq!(graph.params["w"].shape, [3]);
    assert_eq!(imported.model().unwrap().values("w"), [0.5, -1.0, 2.0]);
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    let whole = good();
    for n in 0..whole.len() {
        let message = message(&whole[..n]);
        assert!(message.contains("m.onnx") && message.contains("byte"), "cut off at {n}: {message}");
    }
}

#[test]
fn no_changed_byte_is_more_than_an_error() {
    let whole = good();
    let (mut read, mut refused) = (0, 0);
    for at in 0..whole.len() {
        for value in 0..=255 {
            let mut bytes = whole.clone();
            bytes[at] = value;
            match import(&bytes, "m.onnx") {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 100 && refused > 1000, "{read} read, {refused} refused");
}

#[test]
fn wrong_tags_are_named() {
    let opset = bytes(8, &int(2, 17));
    for (tail, want) in [
        // ModelProto.graph as a number, as four bytes.
        (int(7, 1), "GraphProto"),
        ([varint(7 << 3 | 5), vec![0; 4]].concat(), "GraphProto"),
        // Groups and the two wire types that are not.
        (vec![7 << 3 | 3], "wire type 3"),
        (vec![7 << 3 | 6], "wire type 6"),
        (vec![7 << 3 | 7], "wire type 7"),
        (int(0, 1), "field number 0"),
        // An opset whose version is text.
        (bytes(8, &bytes(2, b"17")), "version"),
        (bytes(7, &bytes(1, &bytes(1, b"x"))), "no operator"),
        (vec![], "no graph"),
    ] {
        let message = message(&[opset.clone(), tail].concat());
        assert!(message.contains(want) && message.contains("byte"), "{want}: {message}");
    }
}

#[test]
fn hostile_lengths_are_refused_before_anything_is_made() {
    // A field that announces more than there is, up to what a number can say.
    for n in [4, 1 << 20, 1 << 31, 1 << 32, u64::from(u32::MAX), 1 << 63, u64::MAX] {
        let message = message(&[varint(7 << 3 | 2), varint(n), vec![0; 3]].concat());
        assert!(message.contains(&format!("{n} bytes are announced and 3 are left")), "{message}");
    }
    let long = message(&[varint(7 << 3), vec![0xff; 11]].concat());
    assert!(long.contains("more than ten bytes"), "{long}");
    // Tensors whose shape promises more than they hold, or than anything can.
    for dims in [&[1 << 30][..], &[1 << 40], &[1 << 32, 1 << 32], &[u64::MAX], &[1 << 63], &[4], &[2], &[]] {
        let message = message(&file("Add", &tensor("w", dims, &raw(&[1.0, 2.0, 3.0]))));
        assert!(message.contains("“w”"), "{dims:?}: {message}");
    }
    let odd = message(&file("Add", &tensor("w", &[3], &bytes(9, &[0; 11]))));
    assert!(odd.contains("no whole number of values"), "{odd}");
    let elsewhere = message(&file("Add", &tensor("w", &[3], &int(14, 1))));
    assert!(elsewhere.contains("another file"), "{elsewhere}");
}

#[test]
fn what_is_not_known_is_named() {
    let weight = tensor("w", &[3], &raw(&[1.0; 3]));
    let message = message(&file("Einsum", &weight));
    assert!(message.contains("Einsum"), "{message}");
    let misfit = tensor("w", &[4], &raw(&[1.0; 4]));
    let message = import(&file("Add", &misfit), "m.onnx").unwrap_err().to_string();
    assert!(message.contains("“n”") && message.contains("[2, 3]") && message.contains("[4]"), "{message}");
}
