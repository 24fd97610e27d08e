"""The export: from a network to a verified bundle, in steps that state what they require and ensure.

    checkpoint → deployed network → ONNX file → parity → golden outputs → model card, manifest → opened as a device
    opens it

A step that breaks is named in the error. The bundle is written whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_runtime.bundle import (
    Alignment,
    Architecture,
    Bundle,
    Manifest,
    TensorSpec,
    Variant,
    open_bundle,
)
from edge_runtime.bundle_card import CARD, render_card
from edge_runtime.bundle_writing import (
    bundle_to_be,
    check_target,
    digests,
    new_bundle,
    write_golden,
    write_manifest,
)
from edge_runtime.config import InferenceSection
from edge_runtime.errors import ConfigurationError, Fault, RoomtoneError
from edge_runtime.faces.alignment import AlignmentTemplate
from edge_runtime.faces.labelled import load_labelled
from edge_runtime.faces.precut import PrecutLocator, align_precut
from edge_runtime.features import FEATURE_LENGTHS, GIVEN
from edge_runtime.frames.frame import Image
from edge_runtime.golden import GOLDEN, Golden
from edge_runtime.inference.engine import EngineReport
from edge_runtime.inference.landmark_engine import landmarks_in_words
from edge_runtime.inference.opening import open_engine
from edge_runtime.landmark_bundle import embed_landmarks, open_landmarks
from export.cost import measure_cost
from export.deploy import OUTPUT_COLUMNS, DeployedNetwork, check_deployed
from export.deploy_sequence import WholeSequence, dissolves
from export.deployable import Deployable, Request
from export.golden import make_golden, make_sequence_golden
from export.onnx_graph import GraphFacts, write_onnx
from export.parity import ParityResult, check_parity
from export.probes import face_crops, noise_crops

MODEL_FILE: Final = "model.fp32.onnx"
# Best first: what every device has, then the faster ones of `roomtone[openvino]`. All read the same file.
VARIANTS: Final = (
    Variant(backend="onnxruntime", precision="fp32", file=MODEL_FILE),
    Variant(backend="openvino", precision="fp32", file=MODEL_FILE),
    Variant(backend="openvino", precision="bf16", file=MODEL_FILE),
)
ENCODER_FILE: Final = "encoder.fp32.onnx"
HEAD_FILE: Final = "head.fp32.onnx"
SEQUENCE_VARIANTS: Final = tuple(
    Variant(
        backend=variant.backend,
        precision=variant.precision,
        file=ENCODER_FILE,
        head=HEAD_FILE,
        head_precision="fp32",  # a few products over M frames: nothing to be gained
    )
    for variant in VARIANTS
)
_PROBES, _PROBE_SEED = 16, 5
_SEQUENCES = 8  # as many as the largest batch
_DEPLOY_FACES = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the export: its name, what must hold before it, and what holds after it."""

    name: str
    requires: str
    ensures: str


STEPS: Final = {
    step.name: step
    for step in (
        Step(
            "checkpoint",
            "weights of exactly this network, in a file that runs no code",
            "the network with its weights, in evaluation mode",
        ),
        Step(
            "deploy",
            "a network that takes any batch of faces",
            "uint8 crops in, one finite float32 logit for each label out; the same twice, alone and in a batch",
        ),
        Step(
            "graph",
            "a network whose operators ONNX has",
            "one ONNX file, uint8 crops in, logits out, any batch",
        ),
        Step(
            "parity", "the network and its ONNX file", "both engines give torch's logits, at batch 1, 3 and 8"
        ),
        Step("golden", "a network that runs", "golden inputs, logits and tolerances in the bundle"),
        Step("manifest", "all files of the bundle", "a model card, and a manifest that holds every digest"),
        Step(
            "verify",
            "a complete bundle, and a landmark network where it wants landmarks",
            "every variant gives the golden outputs on this CPU; it opens",
        ),
    )
}


class ExportStepError(RoomtoneError):
    """One step of the export broke; `cause` is what went wrong, and lends its exit code and hint."""

    def __init__(self, step: Step, cause: Exception) -> None:
        self.step, self.cause = step, cause
        what = str(cause) or type(cause).__name__
        hint = cause.hint if isinstance(cause, RoomtoneError) else f"the step requires: {step.requires}"
        super().__init__(f"export, step {step.name}: {what}", hint=hint)
        self.exit_code = cause.exit_code if isinstance(cause, RoomtoneError) else 1


@dataclass(frozen=True, slots=True)
class VariantCheck:
    """One variant as it ran here: the engine's own report, and the largest difference of a golden logit."""

    report: EngineReport
    golden_difference: float


@dataclass(frozen=True, slots=True)
class ExportResult:
    """A bundle that opens, and what was found on the way.

    Attributes:
        bundle: opened.
        graphs: the one that sees crops first.
        parity: of each hop, kind of data and graph.
        variants: as they ran here.
        landmarks: the landmark network that it needs, in words; None: it needs none.
    """

    bundle: Bundle
    graphs: tuple[GraphFacts, ...]
    parity: list[ParityResult]
    variants: list[VariantCheck]
    landmarks: str | None = None


def export_bundle(
    request: Request,
    on_step: Callable[[Step], None] = lambda step: None,
    *,
    data: Path | None = None,
    landmarks: Path | None = None,
) -> ExportResult:
    """Makes a bundle.

    Args:
        request: what to export.
        on_step: called before each step.
        data: labelled faces on which the formats are compared too.
        landmarks: folder of a landmark network that becomes part of the bundle; None: where one is needed, a device
            takes the one that ships with roomtone.

    Raises:
        BundleError: there is something at `request.out` already, or no landmark network at `landmarks`.
        ConfigurationError: `data` cannot be read.
        ExportStepError: a step broke; nothing is left at `request.out` but what was there before.
    """

    @contextmanager
    def step(name: str) -> Iterator[None]:
        on_step(STEPS[name])
        try:
            yield
        except Exception as exc:
            raise ExportStepError(STEPS[name], exc) from exc

    check_target(request.out, force=request.force)
    if landmarks is not None:
        open_landmarks(landmarks)
    with step("checkpoint"):
        source = request.read()
        if landmarks is not None:
            _check_wants_landmarks(source)
    with step("deploy"):
        few = face_crops(_DEPLOY_FACES, source.template, np.random.default_rng(_PROBE_SEED))
        if source.sequence is not None:
            few = dissolves(few, source.sequence.part.frames, _DEPLOY_FACES)
        check_deployed(source.network, source.architecture, few, len(source.labels))
    probes = probe_crops(source.template) | real_crops(data, source.template)
    with new_bundle(request.out, force=request.force) as folder:
        with step("graph"):
            graphs = [
                write_onnx(
                    network, folder / file, size_px=source.template.size_px, metadata=_metadata(source)
                )
                for file, network in _graphs(source).items()
            ]
        with step("parity"):
            parity = _parity(source, folder, probes)
        with step("golden"):
            golden = _golden(source)
            write_golden(golden, folder / GOLDEN)
        with step("manifest"):
            inside = None if landmarks is None else embed_landmarks(landmarks, folder)
            manifest = _manifest(source, folder, inside)
            (folder / CARD).write_text(render_card(manifest), encoding="utf-8")
            manifest = manifest.model_copy(update={"files": digests(folder)})
        with step("verify"):
            made = bundle_to_be(folder, manifest, golden)
            variants = verify_variants(made)
            marks = landmarks_in_words(made)
            write_manifest(folder, manifest)  # last: without it the folder does not open
    return ExportResult(open_bundle(request.out), tuple(graphs), parity, variants, marks)


def _check_wants_landmarks(source: Deployable) -> None:
    inputs = next(iter(_graphs(source).values())).inputs
    if GIVEN.isdisjoint(inputs):
        problem = (
            f"is for a network that is fed with landmarks; {source.architecture} takes {', '.join(inputs)}"
        )
        raise ConfigurationError("the command line", [Fault("--landmarks", problem)])


def _graphs(source: Deployable) -> dict[str, DeployedNetwork]:
    """File → network that is written there, the one that sees crops first."""
    if source.sequence is None:
        return {MODEL_FILE: source.network}
    return {ENCODER_FILE: source.sequence.encoder, HEAD_FILE: source.sequence.head}


def _parity(source: Deployable, folder: Path, probes: Mapping[str, Image]) -> list[ParityResult]:
    """Of a sequence each graph by itself: the head on features that torch's encoder gives."""
    if source.sequence is None:
        return check_parity(source.network, folder / MODEL_FILE, probes)
    encoder, head, part = source.sequence.encoder, source.sequence.head, source.sequence.part
    features: dict[str, Any] = {
        f"sequences of {data}": encoder.features(
            dissolves(crops, part.frames, _SEQUENCES).reshape(-1, *crops.shape[1:])
        ).reshape(_SEQUENCES, part.frames, -1)
        for data, crops in probes.items()
    }
    return check_parity(encoder, folder / ENCODER_FILE, probes) + check_parity(
        head, folder / HEAD_FILE, features
    )


def _golden(source: Deployable) -> Golden:
    if isinstance(source.network, WholeSequence):
        return make_sequence_golden(source.network, source.template)
    return make_golden(source.network, source.template)


def probe_crops(template: AlignmentTemplate) -> dict[str, Image]:
    """What engines are compared on: kind of data → (n, size, size) uint8 crops, always the same."""
    rng = np.random.default_rng(_PROBE_SEED)
    return {
        "rendered faces": face_crops(_PROBES, template, rng),
        "noise": noise_crops(_PROBES, template, rng),
    }


def real_crops(data: Path | None, template: AlignmentTemplate) -> dict[str, Image]:
    """Faces spread over a labelled set, as the device would cut them; nothing without a set.

    Raises:
        ConfigurationError: the set cannot be read.
    """
    if data is None:
        return {}
    images = load_labelled(data, "all").images
    chosen = images[np.linspace(0, len(images) - 1, min(_PROBES, len(images)), dtype=np.intp)]
    return {f"faces of {data.name}": align_precut(chosen, PrecutLocator()(chosen), template)}


def _metadata(source: Deployable) -> dict[str, str]:
    """What a network file says of itself, wherever it is found without its bundle; labels hold no spaces."""
    digests_ = {key: value for key, value in source.provenance.items() if key.endswith("_sha256")}
    return {
        "name": source.name,
        "version": source.version,
        "architecture": source.architecture,
        "labels": " ".join(label.name for label in source.labels),
        "alignment": f"{source.template.name}, {source.template.size_px} px",
    } | digests_


def _manifest(source: Deployable, folder: Path, landmarks: str | None) -> Manifest:
    template = source.template
    size = template.size_px
    graphs = list(_graphs(source).values())
    # What one new frame of a face costs.
    costs = [measure_cost(network, *network.made_of(network.example(1, size))) for network in graphs]
    return Manifest(
        schema_id="roomtone-bundle/1",
        name=source.name,
        version=source.version,
        architecture=Architecture(
            name=source.architecture,
            parameters=costs[0].parameters,
            multiply_adds=sum(cost.multiply_adds for cost in costs),
        ),
        labels=source.labels,
        inputs=tuple(_input(kind, size) for kind in graphs[0].inputs),
        outputs=tuple(_output(kind, len(source.labels)) for kind in graphs[-1].outputs),
        alignment=Alignment(
            name=template.name, size_px=size, pupil_x_px=template.pupil_x_px, pupil_y_px=template.pupil_y_px
        ),
        pupils=source.pupils,
        readable_width_px=source.readable_width_px,
        temperature=1.0,
        sequence=None if source.sequence is None else source.sequence.part,
        variants=VARIANTS if source.sequence is None else SEQUENCE_VARIANTS,
        files=digests(folder),
        landmarks=landmarks,
        provenance=dict(source.provenance),
    )


def _input(kind: str, size: int) -> TensorSpec:
    if kind == "crop":
        return TensorSpec(kind=kind, tensor=kind, dtype="uint8", shape=(size, size))
    return TensorSpec(kind=kind, tensor=kind, dtype="float32", shape=(FEATURE_LENGTHS[kind],))


def _output(kind: str, num_classes: int) -> TensorSpec:
    columns = OUTPUT_COLUMNS.get(kind, slice(0, num_classes))
    return TensorSpec(kind=kind, tensor=kind, dtype="float32", shape=(columns.stop - columns.start,))


def verify_variants(bundle: Bundle) -> list[VariantCheck]:
    """Opens every variant of a bundle as a device would.

    Raises:
        EngineError: an engine cannot load it.
        BundleInaccurateError: its golden outputs do not reproduce here.
    """
    checks = []
    for variant in bundle.manifest.variants:
        settings = InferenceSection(backend=variant.backend, precision=variant.precision)
        choice = open_engine(bundle, settings)
        checks.append(VariantCheck(choice.engine.report, choice.golden_difference))
    return checks
