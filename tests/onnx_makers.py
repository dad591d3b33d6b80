"""Networks for ONNX Runtime written by hand, node by node: uint8 pixels, flattened, times a matrix, plus offsets."""

import numpy as np

CLASSES = ("a", "b", "ü")


def parts(n_bits, size, seed=0):
    """Return the matrix float32 `(3 * size * size, n_bits)` and the offsets of a network."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(3 * size * size, n_bits)).astype(np.float32)
    return matrix, (-127 * matrix.sum(axis=0)).astype(np.float32)


def expected_outputs(pixels, n_bits, seed=0):
    """Return what the network gives for pixels uint8 `(n, 3, size, size)`."""
    matrix, offsets = parts(n_bits, pixels.shape[2], seed)
    return pixels.reshape(len(pixels), len(matrix)).astype(np.float64) @ matrix + offsets


def network(n_bits=12, size=8, *, seed=0, **other):
    """Return the content of an `.onnx` file; `other` changes what it takes and gives."""
    from onnx import TensorProto, checker, helper, numpy_helper

    matrix, offsets = parts(n_bits, size, seed)
    name, rows = other.get("input", "pixels"), other.get("rows", "n")
    kind = other.get("kind", TensorProto.UINT8)
    nodes = [
        helper.make_node("Cast", [name], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "offsets"], [other.get("output", "outputs")]),
    ]
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info(name, kind, [rows, 3, size, size])],
        [helper.make_tensor_value_info(other.get("output", "outputs"), TensorProto.FLOAT, [rows, n_bits])],
        [numpy_helper.from_array(matrix, "matrix"), numpy_helper.from_array(offsets, "offsets")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(proto)
    return proto.SerializeToString()


def hand_made(n_bits=12, size=8, *, precision="float32", source="5" * 64, seed=0, threads=1):
    """Return an exported network of three classes."""
    from nearbit.encoding.preprocessing import NetworkInput, Preprocessing
    from nearbit.model.onnx import OnnxModel, Session

    content = network(n_bits, size, seed=seed)
    taken = NetworkInput("pixels", "uint8", (3, size, size))
    return OnnxModel(
        session=Session(content, takes=taken, n_outputs=n_bits, threads=threads),
        content=content,
        precision=precision,
        source_model_id=source,
        n_bits=n_bits,
        classes=CLASSES,
        preprocessing=Preprocessing(size=size, resize=size),
        centers=np.where(np.random.default_rng(seed).random((3, n_bits)) < 0.5, -1, 1).astype(np.int8),
        about={"method": "csq", "backbone": "small"},
    )
