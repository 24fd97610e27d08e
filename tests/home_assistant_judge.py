"""Runs inside Home Assistant's environment; see `home_assistant.py`."""

import asyncio
import importlib
import json
import sys
from typing import Any

import voluptuous as vol
from homeassistant.components.mqtt.abbreviations import ABBREVIATIONS
from homeassistant.components.mqtt.models import MqttValueTemplate, PayloadSentinel
from homeassistant.core import HomeAssistant
from homeassistant.helpers.template import Template


def strict(schema: Any) -> Any:
    """The platform's schema; unlike the one for discovery, it does not pass over keys that it does not know."""
    return schema.PLATFORM_SCHEMA_MODERN


def spelled_out(config: dict[str, Any]) -> dict[str, Any]:
    return {ABBREVIATIONS.get(key, key): value for key, value in config.items()}


async def main() -> None:
    question = json.load(sys.stdin)
    hass = HomeAssistant("")
    answers = {}
    for key, entity in question["entities"].items():
        config = spelled_out(entity)
        platform = importlib.import_module(f"homeassistant.components.mqtt.{config.pop('p')}")
        config["device"] = question["device"]["device"]
        config.setdefault("availability", question["device"]["availability"])
        faults, state = [], None
        try:
            strict(platform)(config)
        except vol.Invalid as exc:
            faults = [str(error) for error in getattr(exc, "errors", [exc])]
        payload = question["messages"].get(config["state_topic"])
        if payload is not None:
            text = config.get("value_template")
            template = MqttValueTemplate(Template(text, hass) if text else None, hass=hass)
            state = template.async_render_with_possible_json_value(payload, PayloadSentinel.NONE)
        answers[key] = {"faults": faults, "state": state if state is None else str(state)}
    await hass.async_stop(force=True)
    print(json.dumps(answers))


asyncio.run(main())
