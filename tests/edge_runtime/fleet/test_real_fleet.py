"""A rollout over real agents: they fetch, verify, try on drawn faces, and commit or send back by themselves."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnx
import pytest
from brokers import Certificates, Mosquitto, until
from update_parts import FileServer, Versions, pack

from edge_runtime.agent import Agent
from edge_runtime.bundle_signing import make_key, sign_bundle
from edge_runtime.config import Config
from edge_runtime.fleet.link import FleetLink
from edge_runtime.fleet.rollout import Limits, Rollout, new_ledger
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.updates.installing import install
from edge_runtime.updates.starting import open_slots

DEVICES = 3


@pytest.fixture
def versions(tiny_original: Path, tmp_path: Path) -> Versions:
    (tmp_path / "versions").mkdir()
    return Versions(tiny_original, tmp_path / "versions")


@pytest.mark.broker
def test_a_good_bundle_reaches_every_device_and_a_bad_one_none(
    mosquitto: Mosquitto,
    certificates: Certificates,
    versions: Versions,
    seal_bundle,
    tiny_network,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_runtime.updates.trial._TICK_S", 0.1)
    private, public = tmp_path / "k.pem", tmp_path / "p.pem"
    make_key(private, public)
    first, good, bad = (versions(version) for version in ("0.2.0", "0.3.0", "0.4.0"))
    onnx.save(
        type(tiny_network)(tiny_network.kernels, -tiny_network.weight, -tiny_network.bias).onnx(),
        bad / "model.fp32.onnx",
    )
    with np.load(bad / "golden.npz") as archive:
        arrays = dict(archive)
    np.savez(bad / "golden.npz", **(arrays | {"logits": -arrays["logits"]}))
    seal_bundle(bad, version="0.4.0")
    for folder in (first, good, bad):
        sign_bundle(folder, private)

    server = FileServer(
        certificates / "server.pem", certificates / "server.key", pack(good, tmp_path / "g.tar").read_bytes()
    )

    def config(number: int) -> Config:
        source = f"simulated://students=4,seed={number + 3},width=640,height=360,fps=8"
        return Config.model_validate(
            {
                "device": {"site": "school", "room": f"r{number}", "device": "camera-1"},
                "camera": {"source": source, "realtime": True},
                "inference": {"classify_rate_hz": 8.0, "readable_width_px": 16},
                "faces": {"scan_rate_hz": 1.0, "scan_width_px": 640},
                "room": {"min_group": 1, "min_track_s": 0.0},
                "stats": {"interval_s": 1.0},
                "mqtt": {"url": mosquitto.mqtt.url},
                "outbox": {"path": tmp_path / f"{number}.sqlite3"},
                "updates": {
                    "directory": tmp_path / f"bundles-{number}",
                    "require_signature": True,
                    "public_key": public,
                    "allow_remote": True,
                    "ca_file": certificates / "ca.pem",
                    "shadow_s": 0.0,
                    "shadow_faces": 12,
                    "health_window_s": 0.5,
                    "min_fps_ratio": 0.0,
                    "max_face_ms": 10_000,
                },
            }
        )

    with ExitStack() as running:
        running.callback(server.stop)
        for number in range(DEVICES):
            slots = open_slots(config(number).updates, tmp_path)
            candidate = install(slots, str(first), config(number).updates)
            slots.mark(candidate.digest, "checked")
            slots.commit()
            agent = running.enter_context(Agent(config(number)))
            thread = threading.Thread(target=agent.run)
            thread.start()
            running.callback(thread.join)
            running.callback(agent.stop)
        link = running.enter_context(FleetLink(mosquitto.mqtt, Credentials()))
        assert until(lambda: link.discover(0.1) or sum(d.is_online for d in link.devices.values()) == DEVICES)
        limits = Limits(answer_s=20.0, poll_s=2.0, device_s=60.0)
        ledger = new_ledger(server.url, "canary=1,rest", sorted(link.devices))
        ledger = Rollout(link, ledger, tmp_path / "good.json", limits).run()
        assert (ledger.verdict, ledger.identity) == ("done", "tiny@0.3.0"), ledger
        server.data, server.etag = pack(bad, tmp_path / "b.tar").read_bytes(), '"two"'
        ledger = new_ledger(server.url, "canary=1,rest", sorted(link.devices))
        ledger = Rollout(link, ledger, tmp_path / "bad.json", limits).run()
        assert ledger.verdict == "aborted"
        (failed,) = (device for device in ledger.devices.values() if device.state == "failed")
        assert "agrees with the current bundle on" in failed.reason
        link.discover(0.5)
        assert {device.bundle for device in link.devices.values()} == {"tiny@0.3.0"}
