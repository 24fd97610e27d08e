"""JSON files of ours that name their schema: read, or refused in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def read_document(path: Path, schema_id: str, refuse: Callable[[Path, str], Exception]) -> dict[str, Any]:
    """Reads a file of one schema.

    Args:
        path: of the file.
        schema_id: what its `schema` must be.
        refuse: makes the exception, of the path and what is wrong with it.

    Raises:
        Exception: that of `refuse`: the file cannot be read, is no JSON, or is of another schema.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as exc:
        raise refuse(path, f"cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise refuse(path, "is no JSON") from exc
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != schema_id:
        raise refuse(path, f"has the schema {schema!r}, this roomtone writes {schema_id}")
    return dict(document)
