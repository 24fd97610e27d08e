import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from edge_runtime.errors import ConfigurationError
from export.cli import train_app
from export.training.augmentation import Augmentation
from export.training.recipe import PUPILS, Recipe, device_pupils

CHANGED = Recipe(
    "hafnet_half",
    {"heads": 2, "affinity_weight": 0.5},
    template="p1",
    pupils="both",
    labels="ferplus",
    epochs=3,
    batch_size=8,
    learning_rate=0.02,
    label_smoothing=0.2,
    early_size_px=48,
    votes_blend=0.3,
    teacher="default 0.3.0 0123456789abcdef",
    teacher_weight=0.4,
    seed=4,
    augmentation=Augmentation(rotation_deg=30, erase=0),
)


@pytest.mark.parametrize("recipe", [Recipe(), CHANGED], ids=["usual", "changed"])
def test_a_recipe_survives_its_checkpoint(recipe: Recipe) -> None:
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_a_recipe_of_an_earlier_version_is_read_as_what_it_was() -> None:
    stored = Recipe().to_json()
    for name in ("changes", "labels", "early_size_px", "early_share", "votes_weight", "votes_blend"):
        del stored[name]
    read = Recipe.from_json(stored)
    assert (read.labels, read.size_px(0.0), read.votes_weight) == ("fer", 96, 0)


def test_its_flags_are_options_of_the_command_and_give_it_again() -> None:
    command = get_command(train_app).commands["network"]  # type: ignore[attr-defined]
    context = command.make_context(
        "network", ["hafnet_half", "--data", "d", "--out", "o", *shlex.split(CHANGED.flags())]
    )
    given = context.params
    assert Recipe().flags() == ""
    assert (given["template"], given["labels"], given["epochs"], given["batch_size"]) == (
        "p1",
        "ferplus",
        3,
        8,
    )
    assert (given["learning_rate"], given["label_smoothing"], given["votes_blend"]) == (0.02, 0.2, 0.3)
    assert (given["teacher"], given["teacher_weight"]) == (Path("TEACHER"), 0.4)
    assert given["pupils"] == "both"
    assert given["changes"] == ["heads=2", "affinity_weight=0.5"]
    assert (given["early_size"], given["rotation"], given["erase"], given["seed"]) == (48, 30.0, 0.0, 4)


def test_a_device_finds_pupils_by_what_a_network_learned_from_and_by_landmarks_of_both() -> None:
    assert [device_pupils(way) for way in PUPILS] == ["haar", "landmarks", "landmarks"]


def test_crops_are_small_in_the_first_part_of_the_run() -> None:
    recipe = Recipe(early_size_px=64, early_share=0.6)
    assert [recipe.size_px(share) for share in (0.0, 0.59, 0.6, 1.0)] == [64, 64, 96, 96]


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as found:
        Recipe(template="round", labels="raf", pupils="all", cutmix=1.5, early_size_px=8)
    assert [fault.key for fault in found.value.faults] == [
        "template",
        "labels",
        "pupils",
        "cutmix",
        "early_size_px",
    ]
