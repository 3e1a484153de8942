//! ONNX models of a few nodes, written byte by byte.
//!
//! ONNX is protobuf. A runtime is tried with a model of one node; tests make models that are wrong on
//! purpose. Field numbers are those of `onnx.proto`, version IR 8.

/// Element types of `TensorProto`.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    Float = 1,
    #[cfg(any(test, feature = "test-util"))]
    Int64 = 7,
}

/// A message under construction.
#[derive(Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    pub(crate) fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub(crate) fn message(self, field: u64, value: Message) -> Self {
        self.bytes(field, &value.0)
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// An operator applied to named values.
pub(crate) fn node(op: &str, inputs: &[&str], output: &str) -> Message {
    let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
    node.text(2, output).text(4, op)
}

/// A named value that goes in or out; `shape` has names for sizes that are open.
pub(crate) fn value(name: &str, kind: Type, shape: &[&str]) -> Message {
    let shape = shape.iter().fold(Message::default(), |shape, size| {
        let size = match size.parse() {
            Ok(size) => Message::default().number(1, size),
            Err(_) => Message::default().text(2, size),
        };
        shape.message(1, size)
    });
    let tensor = Message::default().number(1, kind as u64).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

/// A model with one graph.
pub(crate) fn model(
    opset: u64,
    nodes: Vec<Message>,
    constants: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
) -> Vec<u8> {
    let mut graph = Message::default();
    for node in nodes {
        graph = graph.message(1, node);
    }
    graph = graph.text(2, "tiny");
    for (field, values) in [(5, constants), (11, inputs), (12, outputs)] {
        for value in values {
            graph = graph.message(field, value);
        }
    }
    let opset = Message::default().text(1, "").number(2, opset);
    Message::default().number(1, 8).message(7, graph).message(8, opset).0
}

/// The smallest model that computes something: y = |x|.
pub(crate) fn absolute() -> Vec<u8> {
    let (x, y) = (value("x", Type::Float, &["2"]), value("y", Type::Float, &["2"]));
    model(13, vec![node("Abs", &["x"], "y")], vec![], vec![x], vec![y])
}
