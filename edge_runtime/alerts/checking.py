"""`roomtone alerts check`: what a file means in sentences, and whether its actions get through."""

from __future__ import annotations

import time
from collections.abc import Mapping

from edge_runtime.alerts.alert import Alert
from edge_runtime.alerts.deliveries import DeliveryError, deliver
from edge_runtime.alerts.rules import AlertRules, QuietSection, Rule


def sentences(rules: AlertRules) -> list[str]:
    """One for each rule, and one for the quiet hours."""
    return [*(_rule_sentence(rule) for rule in rules.rule), _quiet_sentence(rules.quiet_hours)]


def _rule_sentence(rule: Rule) -> str:
    if rule.kind == "offline":
        when = f"a device is offline for {rule.minutes:g} min; over when it is back"
    elif rule.kind == "latency":
        when = f"p95 of {rule.stage} is above {rule.budget_ms:g} ms for {rule.minutes:g} min"
    elif rule.kind == "health":
        words = f"one of {', '.join(rule.words)}" if rule.words else "not ok"
        when = f"health is {words} for {rule.minutes:g} min"
    else:
        side = f"at {rule.above:g} or above" if rule.above is not None else f"at {rule.below:g} or below"
        when = f"{rule.key} is {side} for {rule.windows} windows; over after {rule.leave_windows} past " + (
            f"{rule.leave:g}" if rule.leave is not None else "that by 0.05"
        )
    where = "in any room" if rule.rooms == ("*",) else f"in {', '.join(rule.rooms)}"
    what = ", ".join(("MQTT", *rule.actions))
    return f"{rule.name}: when {when}, {where} → {what}"


def _quiet_sentence(quiet: QuietSection) -> str:
    parts = [f"{quiet.from_} to {quiet.to}"] if quiet.from_ else []
    if quiet.days:
        parts.append(f"all of {', '.join(quiet.days)}")
    zone = f" ({quiet.timezone})" if quiet.timezone else ""
    return f"quiet hours: {' and '.join(parts) or 'none'}{zone if parts else ''}"


def try_actions(rules: AlertRules, secrets: Mapping[str, str]) -> dict[str, str]:
    """Sends a test alert by every action, once.

    Returns:
        Action → what went wrong; empty when it got through.
    """
    now = time.time()
    rule = Rule(name="test", kind="offline")
    test = Alert(rule, "test", "test", "test", "new", now, now, "this is a test of roomtone's alerts")
    actions = [f"webhook:{name}" for name in rules.webhook] + [f"email:{name}" for name in rules.email]
    results = {}
    for action in actions:
        try:
            deliver(rules, secrets, action, test)
            results[action] = ""
        except DeliveryError as problem:
            results[action] = str(problem)
    return results
