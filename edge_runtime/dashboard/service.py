"""The dashboard as a whole: opens what it needs, serves until it is told to stop, closes all of it."""

from __future__ import annotations

import hashlib
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import uvicorn

from edge_runtime import __version__
from edge_runtime.alerts.rules import AlertRules
from edge_runtime.alerts.service import AlertService
from edge_runtime.config import MqttSection
from edge_runtime.dashboard.access import LOOPBACK, Access
from edge_runtime.dashboard.feed import Feed
from edge_runtime.dashboard.past import Past
from edge_runtime.dashboard.picture import Picture
from edge_runtime.dashboard.receiver import RECONNECT_MAX_S, Receiver
from edge_runtime.dashboard.server import make_app
from edge_runtime.errors import ConfigurationError, DashboardError, Fault, HistoryError
from edge_runtime.history.collector import Collector
from edge_runtime.history.store import default_url, open_store
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.subscription import Subscription

_SEED_EVERY_S: Final = 2.0
_GRACE_S: Final = 3  # for answers under way; the live feeds end by themselves


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """What `serve` needs to know.

    Attributes:
        mqtt: the broker.
        credentials: user and password for it.
        host, port: where to listen; port 0: any free one.
        store_url: of the history; None: none is kept.
        collects: whether this process writes the history; False: another does, this one reads it.
        rules: of the alerts that this process tells; None: another does, or nobody.
        tls: certificate and private key of the page, PEM; None: plain HTTP.
        access: who may look; see `access.bind_address` for which hosts are safe with it.
    """

    mqtt: MqttSection
    credentials: Credentials
    host: str = LOOPBACK
    port: int = 8080
    store_url: str | None = None
    collects: bool = True
    rules: AlertRules | None = None
    tls: tuple[Path, Path] | None = None
    access: Access = field(default_factory=Access)


def chosen_store(given: str | None) -> str | None:
    """The history's url: what was asked for, a file in the state directory by default, None for `none`."""
    return None if given == "none" else given or default_url()


def tls_files(cert: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    """Certificate and key of the page, tried here: with files that do not fit, uvicorn would end with a traceback.

    Raises:
        ConfigurationError: one is given without the other, or they cannot be used.
    """
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise ConfigurationError("the command line", [Fault("--tls-cert", "and --tls-key go together")])
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except OSError as exc:
        reason = "not a certificate and its key, PEM" if isinstance(exc, ssl.SSLError) else exc.strerror
        fault = Fault("--tls-cert", f"{cert} with {key} cannot be used: {reason}")
        raise ConfigurationError("the command line", [fault], hint="roomtone dashboard --help") from exc
    return cert, key


def serve(settings: DashboardSettings, *, announce: Callable[[str], None] = lambda url: None) -> None:
    """Serves until SIGINT or SIGTERM; a broker that is away is waited for.

    Args:
        settings: where, from where, and for whom.
        announce: called with the page's url when it can be opened.

    Raises:
        ConfigurationError: no broker is named, or a certificate cannot be used.
        DashboardError: the port cannot be listened on.
        HistoryError: the store cannot be opened.
    """
    endpoint = Endpoint.from_section(settings.mqtt, settings.credentials)
    picture = Picture()
    subscription = Subscription(
        endpoint,
        settings.mqtt.protocol,
        picture.patterns,
        name="roomtone-dashboard",
        reconnect_max_s=RECONNECT_MAX_S,
        qos=0,
    )
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(settings.host, settings.port))
        history = stack.enter_context(_History(settings))
        if settings.rules is not None:
            stack.enter_context(AlertService(settings.mqtt, settings.credentials, settings.rules))
        receiver = stack.enter_context(Receiver(picture, endpoint, subscription))
        stack.enter_context(_seeded(history.past, picture))

        def state() -> dict[str, Any]:
            return {"version": __version__, "broker": receiver.state(), "history": history.state()}

        feed = Feed(picture, state, is_stopping=lambda: server.should_exit)
        server = uvicorn.Server(
            uvicorn.Config(
                make_app(feed, history.past, settings.access),
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE_S,
                ssl_certfile=settings.tls and settings.tls[0],
                ssl_keyfile=settings.tls and settings.tls[1],
            )
        )
        stack.enter_context(_signals_return())
        announce(_url(listener, "https" if settings.tls else "http"))
        server.run(sockets=[listener])


class _History:
    """The store, and the collector that fills it; a context manager that opens and closes both.

    The collector takes all events, under a name for each store and machine: the store itself knows what it has
    already, so another collector or dashboard on the same store costs work and nothing else.
    """

    def __init__(self, settings: DashboardSettings) -> None:
        self._settings = settings
        self._collector: Collector | None = None
        self._resources = ExitStack()
        self.past = Past(None)

    def __enter__(self) -> Self:
        settings = self._settings
        if settings.store_url is not None:
            with ExitStack() as opening:
                store = opening.enter_context(open_store(settings.store_url))
                self.past = Past(store)
                if settings.collects:
                    digest = hashlib.sha256(store.url.encode()).hexdigest()[:8]
                    name = f"dashboard-{digest}-{socket.gethostname()}"
                    collector = Collector(settings.mqtt, settings.credentials, store, name=name)
                    self._collector = opening.enter_context(collector)
                self._resources = opening.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._resources.close()

    def state(self) -> dict[str, Any]:
        """What the page is told: whether there is a history, and what keeps it from being written."""
        problems = [] if self._collector is None else self._collector.problems
        problem = next((str(problem) for problem in problems if isinstance(problem, HistoryError)), "")
        return {"kept": self.past.is_kept, "problem": problem}


@contextmanager
def _seeded(past: Past, picture: Picture) -> Iterator[None]:
    """Gives each room that turns up the hour before."""
    is_over = threading.Event()

    def seed() -> None:
        while not is_over.wait(_SEED_EVERY_S):
            past.seed(picture)

    thread = threading.Thread(target=seed, name="dashboard-seed", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=128)
    except OSError as exc:
        raise DashboardError(f"{host}:{port}", exc.strerror or str(exc)) from exc
    with listener:
        yield listener


def _url(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    shown = "localhost" if host in ("0.0.0.0", "::", LOOPBACK) else host  # noqa: S104 - compared, not bound
    return f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{port}/"


@contextmanager
def _signals_return() -> Iterator[None]:
    """Uvicorn raises the signal that ended it once more when it is done; here it has done its work by then."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
