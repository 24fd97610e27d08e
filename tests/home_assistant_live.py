"""Runs inside Home Assistant's environment: a Home Assistant that obeys its standard input; see `home_assistant.py`.

Only what MQTT needs is set up; its web server is declared to be there already.
"""

import asyncio
import json
import logging
import sys

from homeassistant import config_entries, loader
from homeassistant.core import CoreState, HomeAssistant
from homeassistant.helpers import (
    area_registry,
    category_registry,
    device_registry,
    entity,
    entity_registry,
    floor_registry,
    frame,
    issue_registry,
    label_registry,
    restore_state,
    translation,
)

REGISTRIES = (
    *(area_registry, category_registry, device_registry, entity_registry, floor_registry),
    *(issue_registry, label_registry, restore_state),
)


async def started(port: int, folder: str) -> HomeAssistant:
    hass = HomeAssistant(folder)
    hass.config.skip_pip = True
    loader.async_setup(hass)
    frame.async_setup(hass)
    entity.async_setup(hass)
    translation.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await hass.config_entries.async_initialize()
    for registry in REGISTRIES:
        if (loading := registry.async_load(hass)) is not None:
            await loading
    hass.config.components |= {"http", "file_upload"}
    hass.set_state(CoreState.running)
    entry = config_entries.ConfigEntry(
        domain="mqtt",
        title="mqtt",
        data={"broker": "127.0.0.1", "port": port},
        options={},
        version=1,
        minor_version=2,
        source="user",
        unique_id=None,
        discovery_keys={},
        subentries_data=None,
    )
    await hass.config_entries.async_add(entry)
    return hass


async def main(port: int, folder: str) -> None:
    hass = await started(port, folder)
    while line := await hass.async_add_executor_job(sys.stdin.readline):
        question = json.loads(line)
        if "service" in question:
            domain, _, service = question["service"].partition(".")
            await hass.services.async_call(domain, service, question["data"], blocking=True)
        states = {state.entity_id: state.state for state in hass.states.async_all()}
        print(json.dumps(states), flush=True)
    await hass.async_stop(force=True)


logging.basicConfig(level=logging.WARNING)
asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
