"""Alerts on a real broker, a real web server and a real mail server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from brokers import Certificates, Listener, Mosquitto, free_port, until
from history_parts import PLACE, event, topics
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from edge_runtime.alerts import deliveries as deliveries_module
from edge_runtime.alerts import service as service_module
from edge_runtime.alerts.alert import AlertEvent
from edge_runtime.alerts.deliveries import DeliveryError, deliver
from edge_runtime.alerts.rules import AlertRules
from edge_runtime.alerts.service import AlertService
from edge_runtime.cli import app
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.payloads import encode

NOBODY = Credentials()
TOPICS = topics(PLACE)
ALERT = "roomtone/alert/north-school/r12/camera-1/happy"
HAPPY = {
    "name": "happy",
    "kind": "share",
    "key": "share_happy",
    "above": 0.4,
    "windows": 2,
    "leave_windows": 1,
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries_module, "RETRY_MIN_S", 0.1)
    monkeypatch.setattr(service_module, "SETTLE_S", 0.2)
    monkeypatch.setattr(service_module, "TICK_S", 0.05)
    monkeypatch.setattr("edge_runtime.publishing.subscription.RECONNECT_MIN_S", 0.1)


class Web:
    """A web server that keeps what is posted to it, and answers as it is told."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.answers: list[int] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = web.answers.pop(0) if web.answers else 204
                if answer < 300:
                    web.posts.append((dict(self.headers), body))
                self.send_response(answer)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def phases(self) -> list[str]:
        return [body["phase"] for _, body in self.posts]


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.close()


def rules(*rule: dict[str, Any], **sections: Any) -> AlertRules:
    return AlertRules.model_validate({"rule": rule, **sections})


def hooked(web: Web, **changes: Any) -> AlertRules:
    return rules(HAPPY | {"actions": ["webhook:chat"]} | changes, webhook={"chat": {"url": web.url}})


def send(listener: Listener, *shares: float, first: int = 1) -> None:
    """Windows that ended just now, in the order of their numbers."""
    now = time.time()
    for number, share in enumerate(shares, start=first):
        window = event(number, ts=round(now + number * 0.01, 3), happy=share, window_s=1)
        listener.client.publish(TOPICS.emotion, encode(window), qos=1).wait_for_publish(5)


def ready(service: AlertService, broker: Mosquitto) -> bool:
    """Waits until what is published reaches it."""
    with Listener(broker) as stranger:
        return until(
            lambda: (
                (stranger.client.publish(TOPICS.emotion, b"?") and time.sleep(0.05)) or service.foreign > 0
            )
        )


def told(listener: Listener) -> AlertEvent | None:
    text = listener.last(ALERT)
    return AlertEvent.decode(text.encode()) if text else None


@pytest.mark.broker
def test_an_alert_is_on_mqtt_retained_and_at_its_webhook_and_so_is_its_end(
    mosquitto: Mosquitto, web: Web
) -> None:
    with Listener(mosquitto) as listener, AlertService(mosquitto.mqtt, NOBODY, hooked(web)) as service:
        assert ready(service, mosquitto)
        send(listener, 0.5, 0.5)
        assert until(lambda: web.phases == ["new"])
        with Listener(mosquitto, pattern="roomtone/alert/#") as late:
            assert until(lambda: late.messages)
            assert late.messages[0].retain
            state = told(late)
        assert state is not None
        assert (state.firing, state.phase, state.value, state.threshold, state.quiet) == (
            1,
            "new",
            0.5,
            0.4,
            0,
        )
        assert [alert.key for alert in service.firing] == [(*PLACE, "happy")]
        send(listener, 0.1, first=3)
        assert until(lambda: web.phases == ["new", "end"])
        assert until(lambda: (state := told(listener)) is not None and state.firing == 0)
        assert service.firing == []
    _, body = web.posts[0]
    assert body["text"] == "alert: north-school/r12 camera-1: share_happy is 0.5 after 2 windows from 0.4"
    assert (body["site"], body["room"], body["device"], body["rule"]) == (*PLACE, "happy")


@pytest.mark.broker
def test_suppressed_windows_and_strangers_set_off_nothing(mosquitto: Mosquitto, web: Web) -> None:
    with Listener(mosquitto) as listener, AlertService(mosquitto.mqtt, NOBODY, hooked(web)) as service:
        assert ready(service, mosquitto)
        now, strangers = time.time(), service.foreign
        for n in range(5):
            window = event(n, ts=now + n * 0.01, suppressed=True, window_s=1)
            listener.client.publish(TOPICS.emotion, encode(window), qos=1).wait_for_publish(5)
            listener.client.publish(TOPICS.emotion, b"{}", qos=1).wait_for_publish(5)
        assert until(lambda: service.foreign >= strangers + 5)
        assert web.posts == []
        assert listener.payloads(ALERT) == []


@pytest.mark.broker
def test_a_restarted_service_does_not_tell_again_what_still_is_so(mosquitto: Mosquitto, web: Web) -> None:
    with Listener(mosquitto) as listener:
        with AlertService(mosquitto.mqtt, NOBODY, hooked(web)) as service:
            assert ready(service, mosquitto)
            send(listener, 0.5, 0.5)
            assert until(lambda: web.phases == ["new"])
            assert until(lambda: told(listener) is not None)
        with AlertService(mosquitto.mqtt, NOBODY, hooked(web)) as service:
            assert until(lambda: service.firing)
            send(listener, 0.5, 0.5, 0.5, first=3)
            send(listener, 0.1, first=6)
            assert until(lambda: web.phases == ["new", "end"])


@pytest.mark.broker
def test_an_alert_whose_rule_is_gone_is_cleared(mosquitto: Mosquitto, web: Web) -> None:
    with Listener(mosquitto) as listener:
        with AlertService(mosquitto.mqtt, NOBODY, hooked(web)) as service:
            assert ready(service, mosquitto)
            send(listener, 0.5, 0.5)
            assert until(lambda: told(listener) is not None)
        with AlertService(mosquitto.mqtt, NOBODY, rules()):
            assert until(lambda: listener.last(ALERT) == "")


@pytest.mark.broker
def test_in_quiet_hours_only_mqtt_tells_and_afterwards_what_still_is_so(
    mosquitto: Mosquitto, web: Web
) -> None:
    hour = {"value": 20}

    def wall() -> float:
        """The present, moved to another hour of today, in UTC."""
        now = time.time()
        return now - now % 86_400 + hour["value"] * 3600 + now % 3600

    def window(number: int, share: float) -> None:
        sent = event(number, ts=round(wall(), 3), happy=share, window_s=1)
        listener.client.publish(TOPICS.emotion, encode(sent), qos=1).wait_for_publish(5)
        time.sleep(0.02)

    other = HAPPY | {"name": "urgent", "actions": ["webhook:chat"], "during_quiet_hours": True}
    quiet = {"from": "18:00", "to": "07:00", "timezone": "UTC"}
    settings = rules(
        HAPPY | {"actions": ["webhook:chat"]}, other, webhook={"chat": {"url": web.url}}, quiet_hours=quiet
    )
    with (
        Listener(mosquitto) as listener,
        AlertService(mosquitto.mqtt, NOBODY, settings, wall=wall) as service,
    ):
        assert ready(service, mosquitto)
        for number, share in enumerate([0.5, 0.5, 0.1], start=1):  # comes and goes in the evening
            window(number, share)
        assert until(lambda: len(listener.payloads(ALERT)) == 2)
        assert until(lambda: [body["rule"] for _, body in web.posts] == ["urgent", "urgent"])
        for number in (4, 5):  # comes and stays
            window(number, 0.5)
        assert until(lambda: len(listener.payloads(ALERT)) == 3)
        state = told(listener)
        assert state is not None
        assert state.quiet == 1
        hour["value"] = 8  # of the same day: for the service the night is over
        assert until(lambda: [body["rule"] for _, body in web.posts][3:] == ["happy"])


def test_a_webhook_is_tried_again_until_it_answers_and_its_token_is_sent(web: Web) -> None:
    web.answers = [503, 429]
    settings = rules(
        HAPPY | {"actions": ["webhook:chat"]}, webhook={"chat": {"url_env": "URL", "token_env": "TOKEN"}}
    )
    with deliveries_module.Deliveries(settings, {"URL": web.url, "TOKEN": "seven"}) as deliveries:
        deliveries.put(alert(settings))
        assert until(lambda: deliveries.delivered == 1)
    assert web.posts[0][0]["Authorization"] == "Bearer seven"


def test_a_webhook_that_refuses_for_good_is_given_up_and_counted(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    web.answers = [404]
    settings = hooked(web)
    with deliveries_module.Deliveries(settings, {}) as deliveries:
        deliveries.put(alert(settings))
        assert until(lambda: deliveries.given_up == 1)
    assert "404" in caplog.text
    assert "share_happy" in caplog.text


def test_a_secret_url_is_in_no_message(caplog: pytest.LogCaptureFixture) -> None:
    url = f"http://127.0.0.1:{free_port()}/hunter2"
    settings = rules(HAPPY | {"actions": ["webhook:chat"]}, webhook={"chat": {"url_env": "URL"}})
    with pytest.raises(DeliveryError, match="no answer"):
        deliver(settings, {"URL": url}, "webhook:chat", alert(settings))
    assert "hunter2" not in caplog.text


def alert(settings: AlertRules) -> Any:
    from edge_runtime.alerts.alert import Alert

    return Alert(
        settings.rule[0], *PLACE, "new", 1_760_000_000.0, 1_760_000_100.0, "share_happy is 0.5", 0.5, 0.4
    )


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(envelope)
        return "250 OK"


@pytest.fixture
def mail_server(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Mailbox, int]]]:
    """Starts a mail server that takes one user's password, over STARTTLS."""
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    running: list[Controller] = []

    def start() -> tuple[Mailbox, int]:
        box = Mailbox()

        def login(
            _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: LoginPassword
        ) -> AuthResult:
            is_right = data.password == b"seven bridges"
            return AuthResult(success=is_right, handled=False)

        port = free_port()
        controller = Controller(
            box, hostname="127.0.0.1", port=port, tls_context=context, authenticator=login, auth_required=True
        )
        controller.start()
        running.append(controller)
        return box, port

    yield start
    for controller in running:
        controller.stop()


def mailing(port: int, **changes: Any) -> AlertRules:
    settings = {"host": "127.0.0.1", "port": port, "sender": "roomtone@school.example", "user": "roomtone"}
    settings |= {"to": ["caretaker@school.example"], "password_env": "MAIL_PASSWORD"} | changes
    return rules(HAPPY | {"actions": ["email:caretaker"]}, email={"caretaker": settings})


def test_a_mail_is_sent_over_tls_with_its_password(mail_server: Callable[..., tuple[Mailbox, int]]) -> None:
    box, port = mail_server()
    settings = mailing(port)
    deliver(settings, {"MAIL_PASSWORD": "seven bridges"}, "email:caretaker", alert(settings))
    (mail,) = box.mails
    assert (mail.mail_from, mail.rcpt_tos) == ("roomtone@school.example", ["caretaker@school.example"])
    text = mail.content.decode()
    assert "Subject: [roomtone] alert: happy, r12" in text
    assert "share_happy is 0.5" in text


def test_a_wrong_password_is_final_and_not_repeated_in_words(
    mail_server: Callable[..., tuple[Mailbox, int]],
) -> None:
    _, port = mail_server()
    settings = mailing(port)
    with pytest.raises(DeliveryError, match="refuses user and password") as caught:
        deliver(settings, {"MAIL_PASSWORD": "hunter2"}, "email:caretaker", alert(settings))
    assert caught.value.is_final
    assert "hunter2" not in str(caught.value)


def test_a_mail_server_that_is_away_is_tried_again() -> None:
    settings = mailing(free_port())
    with pytest.raises(DeliveryError, match="no mail server") as caught:
        deliver(settings, {"MAIL_PASSWORD": "x"}, "email:caretaker", alert(settings))
    assert not caught.value.is_final


@pytest.mark.broker
def test_a_broker_that_comes_back_gets_what_was_not_told(mosquitto: Mosquitto) -> None:
    away = {"name": "away", "kind": "offline", "minutes": 0.02}
    topic = "roomtone/alert/north-school/r12/camera-1/away"
    with AlertService(mosquitto.mqtt, NOBODY, rules(away)) as service:
        assert ready(service, mosquitto)
        publisher = paho.Client(paho.CallbackAPIVersion.VERSION2)
        publisher.connect("127.0.0.1", mosquitto.port)
        publisher.publish(TOPICS.availability, b"offline", qos=1)
        publisher.loop_start()
        assert until(lambda: service._devices)
        mosquitto.stop()
        publisher.disconnect()
        publisher.loop_stop()
        assert until(lambda: service.firing)
        assert service.problem is not None
        mosquitto.start()
        with Listener(mosquitto) as listener:
            assert until(lambda: listener.last(topic) is not None)


def test_the_command_tries_every_action_and_says_what_does_not_get_through(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(
        '[webhook.chat]\nurl_env = "CHAT_URL"\n\n[email.caretaker]\nhost = "127.0.0.1"\n'
        f'port = {free_port()}\nsecurity = "none"\nsender = "a@school.example"\nto = ["b@school.example"]\n'
    )
    monkeypatch.setenv("CHAT_URL", web.url)
    done = CliRunner().invoke(app, ["alerts", "check", str(file), "--try"])
    assert done.exit_code == 1
    assert "webhook:chat: got through" in done.output
    assert "email:caretaker: no mail server" in done.output
    assert "test of roomtone's alerts" in web.posts[0][1]["text"]


def test_what_alerts_say_on_mqtt_has_a_schema_and_keeps_it() -> None:
    done = CliRunner().invoke(app, ["alerts", "schema"])
    schema = json.loads(done.output)["payload"]
    event = AlertEvent.of(alert(rules(HAPPY)), is_quiet=False)
    Draft202012Validator(schema).validate(event.flat())
    assert schema["additionalProperties"] is False
