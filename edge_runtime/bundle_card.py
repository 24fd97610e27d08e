"""The model card of a bundle, as Markdown. Export writes it without measured quality, calibration with it.

The sections follow Mitchell et al. 2019, "Model Cards for Model Reporting". Paragraphs are one line each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_runtime.bundle import Manifest

CARD: Final = "MODEL_CARD.md"
_TOOLS: Final = ("roomtone", "python", "torch", "onnx", "onnxscript", "onnxruntime", "openvino", "numpy")


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """One class as measured: number of images, and precision and recall in [0, 1]."""

    name: str
    images: int
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class CardQuality:
    """What the manifest's `quality` leaves out.

    Attributes:
        classes: in the order of the labels.
        engine: backend, its version and precision that were measured.
        fitted_on: data that the temperature was fitted on.
        error_before: expected calibration error with the temperature that the bundle had before.
        left_out: reason → images that were not measured.
    """

    classes: Sequence[ClassQuality]
    engine: str
    fitted_on: str
    error_before: float
    left_out: dict[str, int]


def render_card(manifest: Manifest, measured: CardQuality | None = None) -> str:
    """The card's text.

    Args:
        manifest: of the bundle; its `quality` and `provenance` are shown where there are any.
        measured: of the calibration; needs `manifest.quality`.

    Raises:
        ValueError: `measured` without `manifest.quality`.
    """
    sections = [
        _what(manifest),
        _use(),
        _data(manifest),
        _training(manifest),
        _quality(manifest, measured),
        _limits(manifest),
        _reproduce(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def _what(manifest: Manifest) -> str:
    network, template = manifest.architecture, manifest.alignment
    left, right, row = template.pupil_x_px, template.size_px - template.pupil_x_px, template.pupil_y_px
    variants = ", ".join(f"{variant.backend} {variant.precision}" for variant in manifest.variants)
    labels = [
        (label.name, f"{label.polarity:+d}", f"{label.valence:+.2f}", f"{label.arousal:+.2f}", label.reading)
        for label in manifest.labels
    ]
    return _paragraphs(
        f"# {manifest.name} {manifest.version}",
        f"`{network.name}` classifies the facial expression of one aligned grey face into "
        f"{len(manifest.labels)} classes, for room-level aggregates only. "
        f"{network.parameters / 1e6:.2f} million parameters, "
        f"{network.multiply_adds / 1e6:.0f} million multiply–adds per face.",
        f"* **Input:** {template.size_px}×{template.size_px} grey values, pupils at ({left:g}, {row:g}) and "
        f"({right:g}, {row:g}), histogram equalised (alignment `{template.version}`, template "
        f"`{template.name}`). Faces narrower than {manifest.readable_width_px} px are not read.\n"
        f"* **Output:** logits; divided by the temperature {manifest.temperature:.4f}, then softmax.\n"
        f"* **Runs on:** {variants}.",
        _table(("class", "polarity", "valence", "arousal", "reading for learning"), labels),
        "Valence and arousal: Russell and Mehrabian 1977. The readings are a convention for dashboards, not "
        "a finding about a person.",
    )


def _use() -> str:
    return _paragraphs(
        "## Intended and prohibited use",
        "Intended: shares of expressions over a group in a room, with at least the configured number of "
        "people, in simulations, in research under its own ethics approval, and where the law allows it.",
        "Not intended: any statement about one person; grading, discipline, hiring, proctoring, lie "
        "detection, diagnosis.",
        "**Prohibited in the European Union and the EEA:** inferring emotions of people in education and at "
        "work, except for medical or safety reasons (Regulation (EU) 2024/1689, the AI Act, Article 5(1)(f), "
        "in force since 2 February 2025). Declared to be there, `roomtone run` refuses to start without such "
        "a purpose.",
    )


def _data(manifest: Manifest) -> str:
    return _paragraphs("## Data", manifest.provenance.get("trained_on", "Not recorded."))


def _training(manifest: Manifest) -> str:
    facts = manifest.provenance
    if "recipe" not in facts:
        return _paragraphs("## Training", "Not recorded.")
    return _paragraphs(
        "## Training",
        "Crops are cut by the device's own face search and alignment, with disturbed pupils as augmentation. "
        f"Started from: {facts.get('started_from', 'not recorded')}. "
        f"Epochs done: {facts.get('epochs', 'not recorded')}. "
        f"The recipe (sha256 `{facts.get('recipe_sha256', 'not recorded')}`):",
        f"```json\n{facts['recipe']}\n```",
    )


def _quality(manifest: Manifest, measured: CardQuality | None) -> str:
    quality = manifest.quality
    if quality is None:
        if measured is not None:
            raise ValueError("a measured card needs the manifest's quality")
        nothing = "Not measured yet: `roomtone calibrate` measures it and writes it here."
        return _paragraphs("## Measured quality", nothing)
    interval = f"{quality.accuracy_low:.1%} to {quality.accuracy_high:.1%}"
    figures = [
        ("accuracy", f"{quality.accuracy:.1%} (95 % Wilson interval {interval})"),
        ("macro-F1", f"{quality.macro_f1:.3f}"),
        ("expected calibration error, 15 bins", f"{quality.expected_calibration_error:.3f}"),
    ]
    overall = _paragraphs(
        "## Measured quality",
        f"On {quality.images} images of {quality.data}, through the device's own path:",
        _table(("figure", "value"), figures),
    )
    if measured is None:
        return overall
    left_out = "; ".join(f"{count} {reason}" for reason, count in measured.left_out.items() if count)
    classes = [
        (row.name, f"{row.images}", f"{row.recall:.1%}", f"{row.precision:.1%}") for row in measured.classes
    ]
    return _paragraphs(
        overall,
        f"Measured with {measured.engine}. Images left out: {left_out or 'none'}.",
        _table(("class", "images", "recall", "precision"), classes),
        f"**Confidence.** The temperature {manifest.temperature:.4f} was fitted on {measured.fitted_on}, by "
        "least negative log-likelihood (Guo et al. 2017). On the data above, the calibration error was "
        f"{measured.error_before:.3f} before and {quality.expected_calibration_error:.3f} after.",
    )


def _limits(manifest: Manifest) -> str:
    return _paragraphs(
        "## Limits",
        "* It reads what a face shows, not what a person feels; the link between the two is weak and depends "
        "on culture and situation (Barrett et al. 2019). No figure here supports a claim about an "
        "individual.\n"
        "* Differences between skin tones, ages and genders were **not measured**: the data has no such "
        "marks. Expect some.\n"
        "* Classroom faces are smaller, more turned away and less expressive than the faces it was trained "
        "and measured on. Figures from a classroom will be lower; faces narrower than "
        f"{manifest.readable_width_px} px are reported unreadable instead of guessed.\n"
        "* Errors of different faces in one room are not independent: light, camera angle and distance move "
        "them together.",
    )


def _reproduce(manifest: Manifest) -> str:
    facts = manifest.provenance
    tools = ", ".join(f"{tool} {facts[tool]}" for tool in _TOOLS if tool in facts)
    commit = f"; commit `{facts['commit']}`" if "commit" in facts else ""
    commands = [
        facts.get("train_command", "# how it was trained is not recorded"),
        facts.get(
            "export_command",
            f"roomtone export {manifest.architecture.name} --out bundles/raw "
            f"--checkpoint runs/{manifest.name}/checkpoint.safetensors "
            f"--name {manifest.name} --version {manifest.version}",
        ),
        f"roomtone calibrate bundles/raw --data DATA.npz --out bundles/{manifest.name}",
        f"roomtone evaluate bundles/{manifest.name} --data DATA.npz --split private",
    ]
    return _paragraphs(
        "## Making it again",
        "```sh\n" + "\n".join(commands) + "\n```",
        f"Tools: {tools or 'not recorded'}{commit}.",
    )


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(parts)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
