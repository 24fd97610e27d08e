"""Home Assistant's examples name entities that exist, and their conditions cannot fire on a private room."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_runtime.bundle import default_bundle_path, open_bundle
from edge_runtime.publishing.discovery import Discovery
from edge_runtime.publishing.topics import Topics

EXAMPLES = Path(__file__).resolve().parents[2] / "firmware_configs" / "homeassistant"
ENTITY_ID = re.compile(r"\b(?:sensor|binary_sensor|switch|select|event)\.r12_[a-z0-9_]+")


def entity_ids() -> set[str]:
    """As Home Assistant makes them: platform, then the device's name and the entity's, slugged."""
    described = Discovery.describing(
        Topics("north", "r12", "camera-1"),
        prefix="homeassistant",
        labels=open_bundle(default_bundle_path()).manifest.labels,
        window_s=60,
        stats_s=60,
    )
    document: dict[str, Any] = json.loads(described.payload)
    names = {
        f"{entity['p']}.{document['dev']['name']} {entity['name']}" for entity in document["cmps"].values()
    }
    return {re.sub(r"[^a-z0-9.]+", "_", name.lower()).strip("_") for name in names}


@pytest.mark.parametrize("name", ["automations.yaml", "dashboard.yaml"])
def test_every_entity_of_an_example_is_one_that_discovery_makes(name: str) -> None:
    text = (EXAMPLES / name).read_text("utf-8")
    assert yaml.safe_load(text)
    named = set(ENTITY_ID.findall(text))
    assert named
    assert named <= entity_ids()
