"""A bundle opens only as it was written: every byte, every name and every number of it."""

from __future__ import annotations

import hashlib
import io
import json
import pickle

import numpy as np
import pytest

from edge_runtime.bundle import Manifest, open_bundle
from edge_runtime.errors import BundleError, BundleInaccurateError, BundleTamperedError


def edit(folder, change):
    document = json.loads((folder / "bundle.json").read_text("utf-8"))
    change(document)
    (folder / "bundle.json").write_text(json.dumps(document), "utf-8")


def golden_with(folder, **changes):
    with np.load(folder / "golden.npz") as archive:
        arrays = {**archive, **changes}
    np.savez(folder / "golden.npz", **{name: value for name, value in arrays.items() if value is not None})


def test_a_whole_bundle_opens_with_its_contract(tiny_bundle):
    bundle = open_bundle(tiny_bundle)
    assert bundle.manifest.label_names == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert bundle.digest == hashlib.sha256((tiny_bundle / "bundle.json").read_bytes()).hexdigest()
    assert bundle.golden.crops.shape == (5, 96, 96)
    assert bundle.golden.tolerances["fp32"] == 1e-4
    assert bundle.manifest.alignment.template().pupil_x_px == 24
    assert bundle.path("golden.npz").is_file()


def test_the_manifest_reads_its_own_text(tiny_bundle):
    manifest = open_bundle(tiny_bundle).manifest
    assert Manifest.model_validate_json(manifest.to_json()) == manifest
    assert json.loads(manifest.to_json())["schema"] == "roomtone-bundle/1"


@pytest.mark.parametrize("name", ["model.fp32.onnx", "golden.npz", "MODEL_CARD.md"])
def test_one_changed_byte_in_any_file_is_tampering(tiny_bundle, name):
    data = bytearray((tiny_bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tiny_bundle / name).write_bytes(data)
    with pytest.raises(BundleTamperedError, match=name) as caught:
        open_bundle(tiny_bundle)
    assert caught.value.exit_code == 6


def test_a_file_that_was_cut_short_is_tampering_and_says_by_how_much(tiny_bundle):
    model = tiny_bundle / "model.fp32.onnx"
    size = model.stat().st_size
    model.write_bytes(model.read_bytes()[:-10])
    with pytest.raises(BundleTamperedError, match=f"{size - 10} bytes instead of {size}"):
        open_bundle(tiny_bundle)


@pytest.mark.parametrize("name", ["model.fp32.onnx", "golden.npz", "MODEL_CARD.md", "bundle.json"])
def test_a_missing_file_is_named(tiny_bundle, name):
    (tiny_bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name} cannot be read") as caught:
        open_bundle(tiny_bundle)
    assert not isinstance(caught.value, BundleTamperedError)
    assert caught.value.hint


def test_a_missing_directory_is_said_to_be_missing(tmp_path):
    with pytest.raises(BundleError, match="no such directory") as told:
        open_bundle(tmp_path / "nowhere")
    assert "the name of one that ships: default or small" in told.value.hint


@pytest.mark.parametrize("name", ["model.fp32.onnx", "MODEL_CARD.md"])
def test_a_directory_in_the_place_of_a_file_is_an_error_of_the_bundle(tiny_bundle, name):
    (tiny_bundle / name).unlink()
    (tiny_bundle / name).mkdir()
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(tiny_bundle)


@pytest.mark.parametrize("kept", [0, 1, 100, -3])
def test_a_truncated_manifest_is_not_json(tiny_bundle, kept):
    manifest = tiny_bundle / "bundle.json"
    manifest.write_bytes(manifest.read_bytes()[:kept])
    with pytest.raises(BundleError, match="not JSON"):
        open_bundle(tiny_bundle)


@pytest.mark.parametrize("text", [b"[]", b"3", b"null", b'{"schema": "roomtone-bundle/2"}', b"{}"])
def test_an_unknown_schema_says_which_one_is_known(tiny_bundle, text):
    (tiny_bundle / "bundle.json").write_bytes(text)
    with pytest.raises(BundleError, match="roomtone-bundle/1"):
        open_bundle(tiny_bundle)


def _label_twice(document):
    document["labels"][1]["name"] = document["labels"][0]["name"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            lambda d: d["labels"].pop(), "6 labels, but the logits have the shape", id="a label less"
        ),
        pytest.param(_label_twice, "two labels have the same name", id="a label twice"),
        pytest.param(lambda d: d["outputs"].clear(), "outputs", id="no output"),
        pytest.param(
            lambda d: d["outputs"][0].update(kind="embedding"), "one of kind logits", id="no logits"
        ),
        pytest.param(lambda d: d["variants"].clear(), "variants", id="no variant"),
        pytest.param(
            lambda d: d["variants"][0].update(file="other.onnx"), "other.onnx", id="unlisted variant"
        ),
        pytest.param(lambda d: d.update(files=d["files"][:1]), "digest", id="files without digests"),
        pytest.param(lambda d: d["variants"][0].update(precision="fp8"), "precision", id="unknown precision"),
        pytest.param(lambda d: d.update(temperature=0), "temperature", id="temperature 0"),
        pytest.param(lambda d: d.update(colour="red"), "colour", id="unknown key"),
        pytest.param(lambda d: d["alignment"].update(pupil_x_px=60), "alignment", id="pupils swapped"),
        pytest.param(
            lambda d: d["alignment"].update(version="pupils/2"), "alignment", id="unknown alignment"
        ),
        pytest.param(lambda d: d["labels"][0].update(valence=1.5), "valence", id="valence out of range"),
        pytest.param(
            lambda d: d["labels"][0].update(name="Very angry"), "labels.0.name", id="label with a space"
        ),
        pytest.param(
            lambda d: d["inputs"][0].update(kind="thermal"), "cannot make: thermal", id="unknown input"
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(tiny_bundle, change, says):
    edit(tiny_bundle, change)
    with pytest.raises(BundleError, match=says) as caught:
        open_bundle(tiny_bundle)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname", "a/../../b", ".", "", "a\0b"])
def test_no_file_outside_of_the_bundle_is_read(tiny_bundle, path):
    edit(tiny_bundle, lambda document: document["files"][0].update(path=path))
    with pytest.raises(BundleError, match="is not a file inside the bundle"):
        open_bundle(tiny_bundle)


def test_weights_that_openvino_would_read_unasked_need_a_digest(tiny_bundle, seal_bundle):
    (tiny_bundle / "openvino").mkdir()
    (tiny_bundle / "openvino" / "model.xml").write_text("<net/>", "utf-8")
    xml = [{"backend": "openvino", "precision": "fp32", "file": "openvino/model.xml"}]
    with pytest.raises(ValueError, match=r"openvino/model\.bin"):
        seal_bundle(tiny_bundle, variants=xml)
    (tiny_bundle / "openvino" / "model.bin").write_bytes(b"weights")
    open_bundle(seal_bundle(tiny_bundle, variants=xml))


CROPS, LOGITS = np.zeros((2, 96, 96), np.uint8), np.zeros((2, 7), np.float32)


@pytest.mark.parametrize(
    "arrays",
    [
        pytest.param({"crops": CROPS}, id="fewer crops than logits"),
        pytest.param({"crops": CROPS[:, :48], "logits": LOGITS}, id="crops of another size"),
        pytest.param({"crops": CROPS.astype(np.float32), "logits": LOGITS}, id="crops of another type"),
        pytest.param({"crops": CROPS[:0], "logits": LOGITS[:0]}, id="no crops"),
        pytest.param({"crops": np.uint8(3), "logits": LOGITS}, id="a scalar"),
        pytest.param({"crops": CROPS, "logits": LOGITS[:, :6]}, id="a logit less"),
        pytest.param({"crops": CROPS, "logits": LOGITS.astype(str)}, id="logits in words"),
        pytest.param({"logits": None}, id="no logits"),
        pytest.param({"tolerance_fp32": None}, id="no tolerance"),
        pytest.param({"tolerance_fp32": np.zeros((2, 2))}, id="a tolerance of four numbers"),
    ],
)
def test_golden_outputs_of_the_wrong_form_are_refused(tiny_bundle, seal_bundle, arrays):
    golden_with(tiny_bundle, **arrays)
    seal_bundle(tiny_bundle)
    with pytest.raises(BundleError, match=r"golden\.npz"):
        open_bundle(tiny_bundle)


class _Explodes:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def _npz_with_pickle() -> bytes:
    # A zip member that is a pickle, which `numpy.load` would run if it were allowed to.
    stream, member = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    member.write(pickle.dumps(_Explodes()))
    import zipfile

    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("crops.npy", member.getvalue())
    return stream.getvalue()


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, CROPS)
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_npz_with_pickle(), id="a pickle inside"),
        pytest.param(pickle.dumps({"crops": 1}), id="a pickle itself"),
        pytest.param(_npy(), id="one array instead of an archive"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"PK\x03\x04 and then nothing", id="a broken zip"),
        pytest.param(b"hello", id="text"),
    ],
)
def test_golden_outputs_that_are_no_plain_archive_are_refused_and_never_unpickled(
    tiny_bundle, seal_bundle, data
):
    (tiny_bundle / "golden.npz").write_bytes(data)
    seal_bundle(tiny_bundle)
    with pytest.raises(BundleError, match=r"golden\.npz cannot be used"):
        open_bundle(tiny_bundle)


def test_broken_tampered_and_inaccurate_bundles_end_the_process_differently():
    codes = [kind.exit_code for kind in (BundleError, BundleTamperedError, BundleInaccurateError)]
    assert codes == [5, 6, 7]
