"""`roomtone alerts`: rules that say when somebody should look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False, help="Rules that say when somebody should look at a room.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Rules that say when somebody should look at a room."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="TOML file; docs/alerts.md shows a whole one")],
    try_actions: Annotated[
        bool, typer.Option("--try", help="send a test alert by every webhook and mail; wants their secrets")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    r"""Checks a file whole, lists all its faults at once, and says in sentences what it means.

    \b
    roomtone alerts check alerts.toml
    ROOMTONE_CHAT_URL=https://… roomtone alerts check alerts.toml --try
    """
    from edge_runtime.alerts import checking
    from edge_runtime.alerts.rules import find_secrets, load_rules
    from edge_runtime.errors import ConfigurationError

    try:
        rules = load_rules(file)
        secrets = find_secrets(rules) if try_actions else {}
    except ConfigurationError as error:
        if not as_json:
            raise
        faults = [{"key": f.key, "problem": f.problem, "line": f.line} for f in error.faults]
        typer.echo(json.dumps({"valid": False, "faults": faults}))
        raise typer.Exit(error.exit_code) from error
    results = checking.try_actions(rules, secrets) if try_actions else {}
    if as_json:
        document = {"valid": True, "rules": checking.sentences(rules), "secrets": sorted(rules.secrets())}
        typer.echo(json.dumps(document | {"actions": results}))
    else:
        for sentence in checking.sentences(rules):
            typer.echo(sentence)
        if rules.secrets() and not try_actions:
            typer.echo(
                f"secrets: {', '.join(sorted(rules.secrets()))}, from the environment or $CREDENTIALS_DIRECTORY"
            )
        for action, problem in results.items():
            typer.echo(f"{action}: {problem or 'got through'}")
    if any(results.values()):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Prints the JSON Schema of the rules file, and of what alerts say on MQTT."""
    from edge_runtime.alerts.alert import AlertEvent
    from edge_runtime.alerts.rules import AlertRules

    typer.echo(
        json.dumps({"file": AlertRules.model_json_schema(), "payload": AlertEvent.json_schema()}, indent=2)
    )
