"""The rules file: what is understood, and what is refused in words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_runtime.alerts.rules import AlertRules, find_secrets, load_rules
from edge_runtime.cli import app
from edge_runtime.errors import ConfigurationError

WHOLE = """
[quiet_hours]
from = "18:00"
to = "07:00"
days = ["sat", "sun"]
timezone = "Europe/Berlin"

[[rule]]
name = "away"
kind = "offline"
minutes = 5
actions = ["webhook:chat", "email:caretaker"]

[[rule]]
name = "frustrated"
kind = "share"
key = "reading_frustration"
above = 0.4
leave = 0.3
windows = 3
rooms = ["north-school/*", "lake-school/r1?"]
actions = ["webhook:chat"]

[[rule]]
name = "slow"
kind = "latency"
budget_ms = 80

[[rule]]
name = "ill"
kind = "health"
words = ["camera_lost", "outbox_full"]
minutes = 10
during_quiet_hours = true

[webhook.chat]
url_env = "CHAT_URL"

[email.caretaker]
host = "mail.school"
user = "roomtone"
password_env = "MAIL_PASSWORD"
sender = "roomtone@school.example"
to = ["caretaker@school.example"]
"""


def load(tmp_path: Path, text: str) -> AlertRules:
    file = tmp_path / "alerts.toml"
    file.write_text(text)
    return load_rules(file)


def test_a_whole_file_is_understood(tmp_path: Path) -> None:
    rules = load(tmp_path, WHOLE)
    assert [rule.name for rule in rules.rule] == ["away", "frustrated", "slow", "ill"]
    assert rules.secrets() == {"CHAT_URL", "MAIL_PASSWORD"}
    frustrated = rules.rule[1]
    places = [("north-school", "r9"), ("lake-school", "r12"), ("lake-school", "r2")]
    assert [frustrated.watches(*place) for place in places] == [True, True, False]
    assert rules.rule[0].watches("any", "room")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param('[[rule]]\nname = "a"\nkind = "mood"', "kind", id="a kind that is none"),
        pytest.param('[[rule]]\nname = "a"\nkind = "offline"\nminuts = 5', "not a key", id="an unknown key"),
        pytest.param('[[rule]]\nname = "a"\nkind = "share"\nabove = 0.4', "key '' is none of", id="no key"),
        pytest.param('[[rule]]\nname = "a"\nkind = "share"\nkey = "share_sad"', "above or below", id="no threshold"),
        pytest.param('[[rule]]\nname = "a"\nkind = "share"\nkey = "faces"\nabove = 0.4', "none of share_<name>",
                     id="a key that no window has"),
        pytest.param('[[rule]]\nname = "a"\nkind = "share"\nkey = "share_sad"\nabove = 0.4\nleave = 0.5',
                     "over before it begins", id="hysteresis the wrong way round"),
        pytest.param('[[rule]]\nname = "a"\nkind = "latency"', "needs budget_ms", id="no budget"),
        pytest.param('[[rule]]\nname = "a"\nkind = "health"\nwords = ["sick"]', "'sick' is none of ok", id="word"),
        pytest.param('[[rule]]\nname = "stats"\nkind = "offline"', "name of a topic", id="a topic's name"),
        pytest.param('[[rule]]\nname = "A b"\nkind = "offline"', "rule.0.name", id="a name for no topic"),
        pytest.param('[[rule]]\nname = "a"\nkind = "offline"\nactions = ["webhook:chat"]', "there is none",
                     id="an action that is not there"),
        pytest.param('[[rule]]\nname = "a"\nkind = "offline"\n[[rule]]\nname = "a"\nkind = "offline"',
                     "two rules are called a", id="one name twice"),
        pytest.param('[webhook.chat]\nurl = "https://u:hunter2@host/"', "user or password", id="password in a url"),
        pytest.param('[webhook.chat]\nurl = "ftp://host/"', "http", id="no web address"),
        pytest.param('[webhook.chat]', "url or url_env", id="no address"),
        pytest.param('[email.x]\nhost = "h"\nsender = "a@b"\nto = ["c@d"]\nuser = "u"', "password_env",
                     id="no password"),
        pytest.param('[email.x]\nhost = "h"\nsender = "a@b"\nto = ["c@d"]\nuser = "u"\npassword_env = "P"\n'
                     'security = "none"', "without TLS", id="a password in the clear"),
        pytest.param('[quiet_hours]\nfrom = "25:00"\nto = "07:00"', "no time of the day", id="hour 25"),
        pytest.param('[quiet_hours]\nfrom = "18:00"', "go together", id="half of the quiet hours"),
        pytest.param('[quiet_hours]\ntimezone = "Mars/Olympus"', "not known", id="timezone"),
        pytest.param("rule = 5", "rule", id="no table"),
        pytest.param("[[rule]", "no TOML", id="no TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)) as caught:
        load(tmp_path, text)
    assert "hunter2" not in str(caught.value)


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, '[[rule]]\nname = "a"\nkind = "mood"\n\n[email.x]\nhost = ""\n')
    faults = {fault.key: fault.line for fault in caught.value.faults}
    assert faults["rule.0.kind"] == 3
    assert faults["email.x.host"] == 6
    assert "email.x.sender" in faults


def test_secrets_come_from_the_environment_or_a_credentials_file_and_missing_ones_are_named(
    tmp_path: Path,
) -> None:
    rules = load(tmp_path, WHOLE)
    (tmp_path / "mail_password").write_text("seven bridges \n")
    environ = {"CHAT_URL": "https://chat/1", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert find_secrets(rules, environ) == {"CHAT_URL": "https://chat/1", "MAIL_PASSWORD": "seven bridges "}
    with pytest.raises(ConfigurationError, match="CHAT_URL") as caught:
        find_secrets(rules, {})
    assert [fault.key for fault in caught.value.faults] == ["CHAT_URL", "MAIL_PASSWORD"]


def test_the_command_says_in_sentences_what_a_file_means(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text(WHOLE)
    done = CliRunner().invoke(app, ["alerts", "check", str(file)])
    assert done.exit_code == 0, done.output
    for words in [
        "away: when a device is offline for 5 min",
        "reading_frustration is at 0.4 or above for 3 windows; over after 2 past 0.3, in north-school/*",
        "p95 of frame is above 80 ms",
        "one of camera_lost, outbox_full for 10 min",
        "18:00 to 07:00 and all of sat, sun (Europe/Berlin)",
        "secrets: CHAT_URL, MAIL_PASSWORD",
    ]:
        assert words in done.output


def test_the_command_gives_faults_as_json(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    file.write_text('[[rule]]\nname = "a"\nkind = "mood"\n')
    done = CliRunner().invoke(app, ["alerts", "check", str(file), "--json"])
    assert done.exit_code == 2
    document = json.loads(done.output)
    assert (document["valid"], document["faults"][0]["key"], document["faults"][0]["line"]) == (
        False,
        "rule.0.kind",
        3,
    )
