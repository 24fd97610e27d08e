"""The contract as files: one JSON Schema per payload, and the two AsyncAPI documents.

They ship in `edge_runtime/schemas`, for whoever reads the contract without running it. After a change of a
payload class, `roomtone mqtt schema --out edge_runtime/schemas` writes them anew; a test shows when that was
forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_runtime.publishing.asyncapi import document
from edge_runtime.publishing.contract import VIEWS, json_schemas


def schema_folder() -> Path:
    """Where the files that ship lie."""
    return Path(__file__).resolve().parents[1] / "schemas"


def as_text(value: Mapping[str, Any]) -> str:
    """JSON to be read by people: indented, keys in the order of the payload."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def contract_files() -> dict[str, str]:
    """File name → text, of all that is published."""
    schemas = {
        f"{schema_id.replace('/', '-')}.schema.json": schema for schema_id, schema in json_schemas().items()
    }
    documents = {f"asyncapi.{view}.json": document(view) for view in VIEWS}
    return {name: as_text(value) for name, value in (schemas | documents).items()}


def write_contract(folder: Path) -> list[Path]:
    """Writes the files, replacing those that are there.

    Args:
        folder: made when it is missing.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in contract_files().items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
