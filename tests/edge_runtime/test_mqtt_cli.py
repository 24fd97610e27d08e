"""`roomtone mqtt` as an admin types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_runtime.commands.mqtt import app
from edge_runtime.publishing.payloads import PAYLOADS


def mqtt(*arguments: str, **options: str) -> Result:
    return CliRunner().invoke(app, [*arguments], **options)


def test_one_schema_is_printed_as_json_and_nothing_else() -> None:
    assert json.loads(mqtt("schema", "stats").stdout)["$id"] == "urn:roomtone:roomtone-stats/1"


def test_without_a_name_all_schemas_are_printed_by_their_ids() -> None:
    assert json.loads(mqtt("schema").stdout).keys() == {payload.SCHEMA_ID for payload in PAYLOADS}


def test_the_contract_is_written_into_a_folder(tmp_path: Path) -> None:
    done = mqtt("schema", "--out", str(tmp_path / "contract"))
    assert done.exit_code == 0
    assert str(tmp_path / "contract" / "asyncapi.device.json") in done.stdout.splitlines()
    assert json.loads((tmp_path / "contract" / "roomtone-info-1.schema.json").read_text("utf-8"))


@pytest.mark.parametrize("view", ["device", "admin"])
def test_an_asyncapi_document_is_printed(view: str) -> None:
    printed = json.loads(mqtt("asyncapi", "--view", view).stdout)
    assert (printed["asyncapi"], printed["id"]) == ("3.0.0", f"urn:roomtone:{view}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["schema", "mood"], "there are emotion", id="a payload that is none"),
        pytest.param(["schema", "emotion", "--out", "x"], "leave NAME away", id="a name and a folder"),
        pytest.param(["schema", "--out", "/dev/null/x"], "cannot be written", id="a folder that cannot be"),
        pytest.param(["asyncapi", "--view", "cat"], "'cat' is not one of", id="a view that is none"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(arguments: list[str], words: str) -> None:
    done = mqtt(*arguments)
    assert done.exit_code == 2
    assert words in " ".join(done.output.replace("│", " ").split())
