import pytest

from edge_runtime.bundle import (
    Alignment,
    Architecture,
    FileDigest,
    Label,
    Manifest,
    Quality,
    TensorSpec,
    Variant,
)
from edge_runtime.bundle_card import CardQuality, ClassQuality, render_card

FILES = tuple(FileDigest(path=path, size=1, sha256="0" * 64) for path in ("golden.npz", "m.onnx"))
MANIFEST = Manifest(
    schema_id="roomtone-bundle/1",
    name="half",
    version="0.2.0",
    architecture=Architecture(name="hafnet_half", parameters=3_140_000, multiply_adds=149_000_000),
    labels=(
        Label(name="sad", polarity=-1, valence=-0.63, arousal=-0.27, reading="frustration"),
        Label(name="neutral", polarity=0, valence=0, arousal=0, reading="calm"),
    ),
    inputs=(TensorSpec(kind="crop", tensor="crop", dtype="uint8", shape=(96, 96)),),
    outputs=(TensorSpec(kind="logits", tensor="logits", dtype="float32", shape=(2,)),),
    alignment=Alignment(name="loose", size_px=96, pupil_x_px=30, pupil_y_px=31),
    readable_width_px=32,
    temperature=1.25,
    variants=(Variant(backend="onnxruntime", precision="fp32", file="m.onnx"),),
    files=FILES,
)
QUALITY = Quality(
    data="set, private split",
    images=100,
    accuracy=0.7,
    accuracy_low=0.604,
    accuracy_high=0.781,
    macro_f1=0.65,
    expected_calibration_error=0.02,
)
MEASURED = CardQuality(
    classes=[ClassQuality("sad", 40, 0.5, 0.25), ClassQuality("neutral", 60, 0.75, 1.0)],
    engine="onnxruntime 1.31.1, fp32",
    fitted_on="90 images of set, public split",
    error_before=0.09,
    left_out={"not a face": 16, "pixel-identical to a training image": 0},
)


def test_it_states_the_contract_and_the_prohibited_use() -> None:
    card = render_card(MANIFEST)
    assert card.startswith("# half 0.2.0\n")
    assert "3.14 million parameters, 149 million multiply–adds" in card
    assert "pupils at (30, 31) and (66, 31)" in card
    assert "| sad | -1 | -0.63 | -0.27 | frustration |" in card
    assert "Article 5(1)(f)" in card


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    card = render_card(MANIFEST)
    assert card.count("Not recorded.") == 2
    assert "Not measured yet" in card
    assert "were **not measured**" in card


def test_provenance_is_shown_with_the_commands_that_make_it_again() -> None:
    facts = {
        "trained_on": "drawn faces",
        "recipe": "{}",
        "started_from": "default 0.0.9 abc",
        "train_command": "roomtone train x",
        "torch": "2.13.0",
    }
    card = render_card(MANIFEST.model_copy(update={"provenance": {**facts, "commit": "abc-dirty"}}))
    assert "## Data\n\ndrawn faces\n" in card
    assert "Started from: default 0.0.9 abc." in card
    assert "roomtone train x\nroomtone export hafnet_half" in card
    assert "Tools: torch 2.13.0; commit `abc-dirty`." in card


def test_measured_quality_comes_with_interval_classes_and_calibration() -> None:
    card = render_card(MANIFEST.model_copy(update={"quality": QUALITY}), MEASURED)
    assert "70.0% (95 % Wilson interval 60.4% to 78.1%)" in card
    assert "| sad | 40 | 25.0% | 50.0% |" in card
    assert "Images left out: 16 not a face." in card
    assert "was 0.090 before and 0.020 after" in card


def test_the_manifests_quality_alone_is_enough() -> None:
    assert "macro-F1 | 0.650" in render_card(MANIFEST.model_copy(update={"quality": QUALITY}))


def test_measurements_without_the_manifests_quality_are_refused() -> None:
    with pytest.raises(ValueError, match="needs the manifest's quality"):
        render_card(MANIFEST, MEASURED)


def test_every_table_has_as_many_cells_in_each_row() -> None:
    card = render_card(MANIFEST.model_copy(update={"quality": QUALITY}), MEASURED)
    for paragraph in card.split("\n\n"):
        rows = [line.count("|") for line in paragraph.splitlines() if line.startswith("|")]
        assert len(set(rows)) <= 1
