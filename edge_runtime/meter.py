"""The meter: reads the counters of all stages and makes the `stats` payload of them."""

from __future__ import annotations

import time
from dataclasses import replace

from edge_runtime.analysis import RoomAnalysis
from edge_runtime.config import Config
from edge_runtime.frames.frame import SourceCounters
from edge_runtime.governor import GovernedCamera
from edge_runtime.health import health_word, resident_mb, temperature_c
from edge_runtime.inference.sequences import SourcePace
from edge_runtime.outlet import Outlet
from edge_runtime.publishing.payloads import Stats
from edge_runtime.room.privacy import band


class Meter:
    """Reads at a fixed interval; rates are of the time since the reading before.

    Args:
        config: for the interval, the device's ids and the width of the bands.
        outlet: whose outbox and publisher are read.
    """

    def __init__(self, config: Config, outlet: Outlet) -> None:
        self._config, self._outlet = config, outlet
        self._began_s = self._last_s = time.monotonic()
        self._last_source, self._last_frames, self._last_faces, self._last_lost = SourceCounters(), 0, 0, 0
        self._last_read = self._last_warming = 0

    def is_due(self) -> bool:
        """Whether the interval is over."""
        return time.monotonic() - self._last_s >= self._config.stats.interval_s

    def read(
        self,
        analysis: RoomAnalysis,
        source: SourceCounters,
        *,
        ts: float,
        is_enabled: bool,
        camera_online: bool,
        pace: GovernedCamera,
    ) -> Stats:
        """One reading.

        Args:
            analysis: whose counters and stage times are told.
            source: totals of the camera.
            ts: unix time, s.
            is_enabled: the privacy shutter is open.
            camera_online: frames come.
            pace: how busy the camera keeps the board, and the rates in force.
        """
        now_s = time.monotonic()
        frames = analysis.counters.frames - self._last_frames
        faces = analysis.counters.faces - self._last_faces
        dropped = source.dropped - self._last_source.dropped
        source_pace = analysis.source_pace
        warming_up = None if source_pace is None else self._share_warming_up(analysis)
        publisher = self._outlet.publisher
        outbox = self._outlet.outbox.statistics() if self._outlet.outbox is not None else None
        lost = outbox.dropped if outbox is not None else 0
        disk_fails = self._outlet.outbox is not None and self._outlet.outbox.problem is not None
        temperature = temperature_c()
        health, reason = health_word(
            is_enabled=is_enabled,
            camera_online=camera_online,
            outbox_troubled=disk_fails or lost > self._last_lost,
            broker_connected=publisher.is_healthy if publisher is not None else None,
            dropped_share=dropped / (dropped + frames) if frames else 0.0,
            is_overloaded=pace.is_overloaded,
            temperature=temperature,
            hot_c=self._config.stats.hot_c,
        )
        faces_per_frame = band(round(faces / frames) if frames else 0, self._config.room.min_group)
        stats = Stats(
            ts=round(ts, 3),
            site=self._config.device.site,
            room=self._config.device.room,
            device=self._config.device.device,
            uptime_s=round(now_s - self._began_s, 1),
            health=health,
            degraded_reason=reason,
            fps=round(frames / max(now_s - self._last_s, 1e-3), 2),
            frames=analysis.counters.frames,
            faces_seen_min=faces_per_frame.low,
            faces_seen_max=faces_per_frame.high,
            scans=analysis.finder.counters.scans,
            classified=analysis.counters.classified,
            dropped_frames=source.dropped,
            corrupt_frames=source.corrupt,
            stalls=source.stalls,
            reconnects=source.reconnects,
            outbox_rows=outbox.rows if outbox is not None else 0,
            outbox_dropped=lost,
            outbox_recovered=outbox.recovered if outbox is not None else 0,
            outbox_oldest_s=outbox.oldest_s if outbox is not None else None,
            broker_connected=int(publisher is not None and publisher.is_healthy),
            reconnects_broker=max(0, publisher.counters.connections - 1) if publisher is not None else 0,
            rss_mb=resident_mb(),
            temperature_c=temperature,
            load=round(pace.latest.highest * 20) / 20,
            classify_rate_hz=round(analysis.classify_hz, 3),
            scan_rate_hz=round(pace.rates.scan_hz, 3),
            follow_rate_hz=round(pace.rates.follow_hz, 3),
            warming_up=warming_up,
            frame_interval_s=_rounded(source_pace),
            source_too_slow=None if source_pace is None else int(source_pace.is_too_slow),
            latencies_ms=_latencies(analysis),
        )
        self._last_s, self._last_source, self._last_lost = now_s, replace(source), lost
        self._last_frames, self._last_faces = analysis.counters.frames, analysis.counters.faces
        return stats

    def _share_warming_up(self, analysis: RoomAnalysis) -> float:
        """Of the faces that a network of sequences was asked about since the last reading, in twentieths."""
        counters = analysis.counters
        warming, read = counters.warming_up - self._last_warming, counters.classified - self._last_read
        self._last_warming, self._last_read = counters.warming_up, counters.classified
        return round(20 * warming / max(warming + read, 1)) / 20


def _rounded(pace: SourcePace | None) -> float | None:
    interval_s = None if pace is None else pace.interval_s
    return None if interval_s is None else round(interval_s, 3)


def _latencies(analysis: RoomAnalysis) -> dict[str, float]:
    return {
        f"{stage}_{name}_ms": round(value, 3)
        for stage, times in analysis.spans.percentiles().items()
        for name, value in (("p50", times.p50_ms), ("p95", times.p95_ms), ("p99", times.p99_ms))
    }
