"""A login of the device's own, in a password file that a real mosquitto reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from brokers import Mosquitto, binary, free_port

from edge_runtime.errors import BrokerRefusedError
from edge_runtime.provisioning.broker_login import Login, new_login, password_file_line
from edge_runtime.provisioning.trial import try_broker
from edge_runtime.publishing.credentials import Credentials

PLACE = "north/r12/camera-1"


def test_every_password_is_another_and_none_is_shown() -> None:
    one, other = new_login(PLACE), new_login(PLACE)
    assert one.username == PLACE
    assert one.password != other.password
    assert len(one.password) >= 32
    assert one.password not in repr(one)
    assert one.password not in password_file_line(one)


@pytest.mark.broker
def test_mosquitto_knows_the_login_by_its_line(tmp_path: Path) -> None:
    binary()
    login = new_login(PLACE)
    users = tmp_path / "users"
    users.write_text(password_file_line(login) + "\n")
    users.chmod(0o600)
    broker = Mosquitto(tmp_path, free_port(), f"allow_anonymous false\npassword_file {users}\nuser root\n")
    broker.start()
    try:
        assert try_broker(broker.mqtt, Credentials(login.username, login.password)) == "5"
        wrong = Login(PLACE, "guessed")
        with pytest.raises(BrokerRefusedError):
            try_broker(broker.mqtt, Credentials(wrong.username, wrong.password))
    finally:
        broker.stop()
