"""Folders of exported networks: what is saved comes back; what was altered, or is no network of ours, is refused."""

import json

import numpy as np
import pytest

from nearbit.errors import BundleError, InputError
from nearbit.files.writing import json_digest, sha256_of
from nearbit.model.onnx import load_onnx_model
from onnx_makers import CLASSES, hand_made, network
from tiny_data import tiny_labels, tiny_pixels

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

FILES = ["bundle.json", "centers.npy", "network.onnx"]
KEYS = [
    "about", "classes", "digest", "files", "format_version", "kind", "model_id", "n_bits", "precision",
    "preprocessing", "source_model_id",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    hand_made().save(tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


def rewrite(folder, change):
    """Change the description as an attacker would, who knows to set the digest right."""
    path = folder / "bundle.json"
    description = json.loads(path.read_text())
    del description["digest"]
    change(description)
    path.write_text(json.dumps(description | {"digest": json_digest(description)}))


def replace_network(folder, content):
    """Replace the network and its hash."""
    (folder / "network.onnx").write_bytes(content)
    files = {"network.onnx": sha256_of(folder / "network.onnx")}
    rewrite(folder, lambda description: description["files"].update(files))


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_what_is_saved_of_an_exported_network_comes_back(tmp_path, precision):
    model = hand_made(precision=precision)
    model.save(tmp_path / "a.onnx")
    back = load_onnx_model(tmp_path / "a.onnx", threads=1)
    assert (back.n_bits, back.classes, back.precision) == (12, CLASSES, precision)
    assert (back.model_id, back.source_model_id) == (model.model_id, "5" * 64)
    assert (back.preprocessing, back.about, back.split) == (model.preprocessing, model.about, None)
    assert np.array_equal(back.centers, model.centers)
    images = list(tiny_pixels(tiny_labels()))
    assert np.array_equal(back.outputs(images), model.outputs(images))


def test_a_folder_of_an_exported_network_has_these_parts(folder):
    assert sorted(file.name for file in folder.iterdir()) == FILES
    description = json.loads((folder / "bundle.json").read_text())
    assert sorted(description) == KEYS
    assert (description["kind"], description["format_version"]) == ("nearbit-onnx", 1)
    assert sorted(description["files"]) == FILES[1:]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_in_an_exported_network_is_found(folder, name):
    path = folder / name
    content = path.read_bytes()
    for at in {*range(0, len(content), max(1, len(content) // 25)), len(content) - 2}:
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(BundleError, match=r"altered or damaged|cannot be read|describe|format"):
            load_onnx_model(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_of_an_exported_network_is_found(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=r"is missing|there is no model"):
        load_onnx_model(folder)


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_another_format_of_an_exported_network_is_refused(folder, version):
    rewrite(folder, lambda description: description.update(format_version=version))
    with pytest.raises(BundleError, match=r"has the model format .*update nearbit"):
        load_onnx_model(folder)


HOSTILE = {
    "n_bits huge": lambda d: d.update(n_bits=10**12),
    "n_bits of another": lambda d: d.update(n_bits=16),
    "n_bits a text": lambda d: d.update(n_bits="12"),
    "size huge": lambda d: d["preprocessing"].update(size=10**9, resize=10**9),
    "size another": lambda d: d["preprocessing"].update(size=9, resize=9),
    "size a fraction": lambda d: d["preprocessing"].update(size=7.5),
    "mean": lambda d: d["preprocessing"].update(mean=[1]),
    "field": lambda d: d["preprocessing"].update(code="x"),
    "no preprocessing": lambda d: d.pop("preprocessing"),
    "precision": lambda d: d.update(precision="int4"),
    "classes fewer": lambda d: d.update(classes=["a"]),
    "classes a number": lambda d: d.update(classes=3),
    "about": lambda d: d.update(about=5),
    "model id": lambda d: d.update(model_id="0" * 64),
    "files a list": lambda d: d.update(files=["network.onnx"]),
    "files empty": lambda d: d.update(files={}),
    "file outside": lambda d: d["files"].update({"../../etc/passwd": "0"}),
    "file hash": lambda d: d["files"].update({"network.onnx": None}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_description_of_an_exported_network_is_refused(folder, case):
    rewrite(folder, HOSTILE[case])
    with pytest.raises(BundleError, match=r"a\.onnx|the network takes and gives"):
        load_onnx_model(folder)


def strange_networks():
    from onnx import TensorProto

    return {
        "no network": (b"<html>", "cannot be loaded by ONNX Runtime"),
        "empty": (b"", "cannot be loaded by ONNX Runtime"),
        "another input": (network(input="x"), "takes and gives .*expected"),
        "another output": (network(output="y"), "takes and gives .*expected"),
        "floats": (network(kind=TensorProto.FLOAT), "takes and gives .*expected"),
        "one image only": (network(rows=1), "for any number of images"),
        "more bits": (network(16), "takes and gives .*expected"),
        "larger images": (network(size=9), "takes and gives .*expected"),
        "another file": (external_weights("/etc/hostname"), "cannot be loaded by ONNX Runtime"),
        "a file beside": (external_weights("bundle.json"), "cannot be loaded by ONNX Runtime"),
        "an operation of someone's own": (foreign_operation(), "cannot be loaded by ONNX Runtime"),
    }


def external_weights(place):
    """Return the network with its matrix in another file."""
    import onnx

    proto = onnx.load_from_string(network())
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", place
    return proto.SerializeToString()


def foreign_operation():
    import onnx

    proto = onnx.load_from_string(network())
    proto.graph.node[2].op_type, proto.graph.node[2].domain = "Evil", "evil"
    proto.opset_import.append(onnx.helper.make_opsetid("evil", 1))
    return proto.SerializeToString()


@pytest.mark.parametrize("case", strange_networks())
def test_what_is_no_network_of_ours_is_refused(folder, monkeypatch, case):
    content, reason = strange_networks()[case]
    replace_network(folder, content)
    monkeypatch.chdir(folder)
    with pytest.raises(BundleError, match=reason):
        load_onnx_model(folder)


def after_all(nodes, constants):
    """Return the network with operations behind its last one, whose result is then named "all"."""
    import onnx

    proto = onnx.load_from_string(network())
    proto.graph.node[2].output[0] = "all"
    proto.graph.node.extend(onnx.helper.make_node(*node, **more) for node, more in nodes)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants)
    return proto.SerializeToString()


def test_a_network_that_fails_when_it_runs_or_loses_images_is_refused(folder):
    images = list(tiny_pixels(tiny_labels()))
    wider = [("Shape", ["all"], ["s"]), ("Add", ["s", "one"], ["t"]), ("Expand", ["all", "t"], ["outputs"])]
    replace_network(folder, after_all([(node, {}) for node in wider], [("one", [1, 0])]))
    with pytest.raises(BundleError, match="cannot be run by ONNX Runtime"):
        load_onnx_model(folder).outputs(images)
    first = (("Compress", ["all", "which"], ["outputs"]), {"axis": 0})
    replace_network(folder, after_all([first], [("which", [True])]))
    with pytest.raises(BundleError, match=r"gives \(1, 12\) for 16 images of 12 outputs"):
        load_onnx_model(folder).outputs(images)


@pytest.mark.parametrize("threads", [0, -1])
def test_a_number_of_threads_below_one_is_refused(folder, threads):
    with pytest.raises(InputError, match=f"threads must be a whole number of at least 1, not {threads}"):
        load_onnx_model(folder, threads=threads)


def test_threads_of_an_exported_network_follow_the_environment_unless_given(folder, monkeypatch):
    def threads(**given):
        return load_onnx_model(folder, **given).session._session.get_session_options().intra_op_num_threads

    monkeypatch.setenv("NEARBIT_THREADS", "3")
    assert threads() == 3
    assert threads(threads=2) == 2
    monkeypatch.setenv("NEARBIT_THREADS", "many")
    with pytest.raises(InputError, match="NEARBIT_THREADS must be a whole number"):
        threads()


def test_an_exported_network_replaces_its_like_and_nothing_else(folder, tmp_path):
    hand_made(seed=1).save(folder)
    assert load_onnx_model(folder).content == hand_made(seed=1).content
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    trained = tmp_path / "a.model"
    trained.mkdir()
    (trained / "bundle.json").write_text('{"kind": "nearbit-model"}')
    for place in (tmp_path / "photos", trained, tmp_path / "photos" / "a.jpg"):
        with pytest.raises(BundleError, match="stands and is not an exported network: choose another name"):
            hand_made().save(place)
    assert (tmp_path / "photos" / "a.jpg").read_bytes() == b"x"
