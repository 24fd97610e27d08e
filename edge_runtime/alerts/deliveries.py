"""Webhooks and mail, in a thread of their own: a slow server must not hold up the rules.

A delivery that fails is tried again with growing pauses, and given up after `GIVE_UP_S` or when the server says
that it never will (a refused login, an address that is not there). What is given up is logged and counted.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, Final, Self

import httpx

from edge_runtime.alerts.alert import Alert
from edge_runtime.alerts.rules import AlertRules, Email, Webhook
from edge_runtime.publishing.pacing import Backoff

log = logging.getLogger(__name__)

RETRY_MIN_S, RETRY_MAX_S = 2.0, 120.0
GIVE_UP_S: Final = 15 * 60.0
MOST_WAITING: Final = 1000
_TRY_AGAIN: Final = frozenset({408, 425, 429})  # of the 4xx


class DeliveryError(Exception):
    """One attempt failed; `is_final`: another would, too."""

    def __init__(self, problem: str, *, is_final: bool) -> None:
        super().__init__(problem)
        self.is_final = is_final


@dataclass(slots=True)
class _Delivery:
    action: str
    alert: Alert
    backoff: Backoff
    began_s: float
    due_s: float


class Deliveries:
    """See the module; a context manager that starts the thread and ends it.

    Args:
        rules: with the webhooks and mails by name.
        secrets: by name, from `find_secrets`.

    Attributes:
        delivered, given_up: totals.
        problem: of the latest attempt, in a sentence; empty when it succeeded.
    """

    def __init__(self, rules: AlertRules, secrets: Mapping[str, str]) -> None:
        self._rules, self._secrets = rules, secrets
        self.delivered = self.given_up = 0
        self.problem = ""
        self._waiting: deque[_Delivery] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="roomtone-deliveries", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        self._wake.set()
        self._thread.join()

    @property
    def waiting(self) -> int:
        """Deliveries that are not made yet."""
        return len(self._waiting)

    def put(self, alert: Alert) -> None:
        """Takes an alert for all actions of its rule."""
        for action in alert.rule.actions:
            if len(self._waiting) >= MOST_WAITING:
                self._give_up(self._waiting.popleft(), "too many wait")
            now_s = time.monotonic()
            self._waiting.append(_Delivery(action, alert, Backoff(RETRY_MIN_S, RETRY_MAX_S), now_s, now_s))
        self._wake.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            now_s = time.monotonic()
            for delivery in [waiting for waiting in tuple(self._waiting) if waiting.due_s <= now_s]:
                if self._closing.is_set():
                    break
                self._waiting.remove(delivery)
                self._attempt(delivery)
            due = [delivery.due_s for delivery in tuple(self._waiting)]
            self._wake.wait(max(0.05, min(due) - time.monotonic()) if due else None)
        if self._waiting:
            log.warning("%d alerts were not delivered before the end", len(self._waiting))

    def _attempt(self, delivery: _Delivery) -> None:
        try:
            deliver(self._rules, self._secrets, delivery.action, delivery.alert)
        except DeliveryError as problem:
            text = f"{delivery.action}: {problem}"
            if text != self.problem:
                log.warning("alert %s not delivered by %s", delivery.alert.rule.name, text)
            self.problem = text
            if problem.is_final or time.monotonic() - delivery.began_s > GIVE_UP_S:
                self._give_up(delivery, str(problem))
            else:
                delivery.due_s = time.monotonic() + delivery.backoff.pause_s()
                self._waiting.append(delivery)
        else:
            self.delivered, self.problem = self.delivered + 1, ""

    def _give_up(self, delivery: _Delivery, why: str) -> None:
        self.given_up += 1
        log.error("alert given up: %s by %s (%s)", delivery.alert.text, delivery.action, why)


def deliver(rules: AlertRules, secrets: Mapping[str, str], action: str, alert: Alert) -> None:
    """One attempt.

    Raises:
        DeliveryError: it failed.
    """
    kind, _, name = action.partition(":")
    if kind == "webhook":
        _post(rules.webhook[name], secrets, alert)
    else:
        _mail(rules.email[name], secrets, alert)


def _post(hook: Webhook, secrets: Mapping[str, str], alert: Alert) -> None:
    headers = {}
    if hook.token_env is not None:
        headers["Authorization"] = f"Bearer {secrets[hook.token_env]}"
    url = hook.url or secrets[hook.url_env or ""]
    try:
        answer = httpx.post(url, json=document(alert), headers=headers, timeout=hook.timeout_s)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        # The url may be a secret, and httpx has it in some messages.
        raise DeliveryError(
            f"no answer ({type(exc).__name__})", is_final=isinstance(exc, httpx.InvalidURL)
        ) from exc
    if not answer.is_success:
        is_final = answer.is_client_error and answer.status_code not in _TRY_AGAIN
        raise DeliveryError(f"answers {answer.status_code} {answer.reason_phrase}", is_final=is_final)


def document(alert: Alert) -> dict[str, Any]:
    """The body of a webhook: the alert flat, with its sentence as `text`, which chat services show."""
    fields = {
        "text": f"{'over' if alert.phase == 'end' else 'alert'}: {alert.text}",
        "rule": alert.rule.name,
        "kind": alert.rule.kind,
        "phase": alert.phase,
        "site": alert.site,
        "room": alert.room,
        "device": alert.device,
        "ts": round(alert.ts, 3),
        "since_ts": round(alert.since_ts, 3),
        "value": alert.value,
        "threshold": alert.threshold,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _mail(settings: Email, secrets: Mapping[str, str], alert: Alert) -> None:
    message = EmailMessage()
    message["From"], message["To"] = settings.sender, ", ".join(settings.to)
    message["Subject"] = (
        f"[roomtone] {'over' if alert.phase == 'end' else 'alert'}: {alert.rule.name}, {alert.room}"
    )
    since = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(alert.since_ts))
    message.set_content(f"{alert.text}\n\nRule {alert.rule.name} ({alert.rule.kind}), since {since}.\n")
    try:
        if settings.security == "tls":
            context = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=settings.timeout_s, context=context
            )
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
        with server:
            if settings.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.user is not None and settings.password_env is not None:
                server.login(settings.user, secrets[settings.password_env])
            server.send_message(message)
    except smtplib.SMTPAuthenticationError as exc:
        raise DeliveryError("the mail server refuses user and password", is_final=True) from exc
    except smtplib.SMTPRecipientsRefused as exc:
        raise DeliveryError(f"the mail server takes none of {', '.join(settings.to)}", is_final=True) from exc
    except smtplib.SMTPResponseException as exc:
        words = (
            exc.smtp_error.decode("utf-8", "replace") if isinstance(exc.smtp_error, bytes) else exc.smtp_error
        )
        is_final = 500 <= exc.smtp_code < 600
        raise DeliveryError(f"the mail server answers {exc.smtp_code} {words}", is_final=is_final) from exc
    except (smtplib.SMTPException, OSError) as exc:
        raise DeliveryError(
            f"no mail server at {settings.host}:{settings.port} ({exc})", is_final=False
        ) from exc
