"""`roomtone train` and `roomtone export`: their groups, and which module has which of their commands."""

from __future__ import annotations

import typer

from edge_runtime.commands.default_command import DefaultCommandGroup
from export.export_cli import adopt_network, export_network
from export.landmark_cli import export_landmarks_command, train_landmarks
from export.sequence_cli import TrainGroup, train_sequence
from export.stargan_cli import train_stargan
from export.train_cli import train_network

train_app = typer.Typer(
    cls=TrainGroup,
    no_args_is_help=True,
    help="Train a network on crops that the device's own alignment cuts.",
)
export_app = typer.Typer(
    cls=DefaultCommandGroup,
    no_args_is_help=True,
    help="Turn a trained network, or somebody else's, into a verified bundle.",
)

# The first of each group is the one that needs no name.
train_app.command("network")(train_network)
train_app.command("landmarks")(train_landmarks)
train_app.command("sequence")(train_sequence)
train_app.command("stargan")(train_stargan)
export_app.command("network")(export_network)
export_app.command("adopt")(adopt_network)
export_app.command("landmarks")(export_landmarks_command)
