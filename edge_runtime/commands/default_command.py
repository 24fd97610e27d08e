"""A command that is also a group: `roomtone calibrate BUNDLE …` beside `roomtone calibrate samples …`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class DefaultCommandGroup(TyperGroup):
    """Whatever does not begin with the name of a sub-command is meant for the first one that was added."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the default's name in front where it was left out."""
        default, *_ = self.commands
        helps = ctx.help_option_names
        if args and args[0] not in self.commands and args[0] not in helps:
            args = [default, *args]
        return super().parse_args(ctx, args)
