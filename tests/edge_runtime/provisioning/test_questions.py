"""The wizard's questions, asked at a list of answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_runtime.errors import BrokerRefusedError, SourceUnavailableError
from edge_runtime.frames.diagnosis import explain_device
from edge_runtime.provisioning.answers import Answers
from edge_runtime.provisioning.cameras import Camera
from edge_runtime.provisioning.questions import SIMULATED, ask, country_of_timezone, defaults

BRIO = Camera("/dev/v4l/by-id/brio", "Logitech BRIO")


@dataclass
class Scripted:
    """A terminal that answers from a list; an empty answer takes what is proposed."""

    answers: list[str]
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def ask(self, question: str, default: str) -> str:
        self.asked.append(question)
        return self.answers.pop(0) or default

    def say(self, text: str) -> None:
        self.said.append(text)

    @property
    def text(self) -> str:
        return "\n".join(self.said)


def wizard(
    terminal: Scripted,
    given: Answers = Answers(),  # noqa: B008 - frozen
    cameras: tuple[Camera, ...] = (BRIO,),
    try_camera: Callable[[str], str] = lambda source: "it opens",
    try_broker: Callable[[str], str] = lambda url: "it lets this device in",
) -> Answers:
    proposals = defaults(list(cameras))
    return ask(
        given, proposals, terminal, cameras=list(cameras), try_camera=try_camera, try_broker=try_broker
    )


def test_six_questions_and_return_takes_what_is_proposed() -> None:
    terminal = Scripted([""] * 6)
    answers = wizard(terminal)
    assert len(terminal.asked) == 6
    assert answers == defaults([BRIO])
    assert answers.camera == BRIO.source
    assert answers.purpose == "simulation"


def test_a_board_without_a_camera_is_offered_the_simulated_classroom() -> None:
    terminal = Scripted([""] * 6)
    assert wizard(terminal, cameras=()).camera == SIMULATED.source
    assert "the simulated classroom" in terminal.text


def test_what_is_answered_already_is_not_asked() -> None:
    given = Answers(site="n", room="r", camera="0", jurisdiction="GB", broker="mqtt://h")
    terminal = Scripted(["research"])
    assert wizard(terminal, given).purpose == "research"
    assert len(terminal.asked) == 1


@pytest.mark.parametrize(
    ("typed", "source"),
    [("1", BRIO.source), ("2", SIMULATED.source), ("/dev/video7", "/dev/video7"), ("7", "7")],
    ids=["by number", "simulated", "by address", "an index that is not in the list"],
)
def test_a_camera_is_chosen_by_number_or_address(typed: str, source: str) -> None:
    assert wizard(Scripted([typed, *[""] * 5])).camera == source


def test_a_camera_that_another_program_holds_is_told_and_asked_again(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    program = "import sys, time; file = open(sys.argv[1]); print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", program, str(device)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        def try_camera(source: str) -> str:
            problem = explain_device(device) if source == BRIO.source else None
            if problem is not None:
                raise SourceUnavailableError(source, problem.what, hint=problem.hint)
            return "it opens"

        terminal = Scripted(["1", "2", *[""] * 5])
        answers = wizard(terminal, try_camera=try_camera)
        holder.kill()
    assert answers.camera == SIMULATED.source
    assert "is busy: opened by" in terminal.text
    assert f"(pid {holder.pid})" in terminal.text
    assert "end that program" in terminal.text


def test_names_are_shown_as_the_ids_that_they_become() -> None:
    terminal = Scripted(["", "Grundschule Köln-Süd", "学校", "R 12", *[""] * 3])
    answers = wizard(terminal)
    assert (answers.site, answers.room) == ("Grundschule Köln-Süd", "R 12")
    assert "Grundschule Köln-Süd → grundschule-koeln-sued in topics" in terminal.text
    assert "write it in Latin letters" in terminal.text


def test_a_prohibited_purpose_is_refused_with_the_article_and_asked_again() -> None:
    terminal = Scripted(["", "", "", "de", "education", "safety", ""])
    answers = wizard(terminal)
    assert (answers.jurisdiction, answers.purpose) == ("DE", "safety")
    assert "in education only medical, safety, simulation are open here" in terminal.text
    assert terminal.text.count("Art. 5(1)(f)") == 2
    assert terminal.asked[4] == "Purpose: medical, safety, simulation"


def test_elsewhere_all_purposes_are_offered() -> None:
    terminal = Scripted(["", "", "", "GB", "education", ""])
    assert wizard(terminal).purpose == "education"
    assert "wellbeing" in terminal.asked[4]
    assert "Art. 5" not in terminal.text


def test_a_country_in_words_is_asked_again() -> None:
    terminal = Scripted(["", "", "", "Germany", "DE", "", ""])
    assert wizard(terminal).jurisdiction == "DE"
    assert "ISO 3166-1" in terminal.text


def test_a_broker_that_refuses_is_told_and_asked_again() -> None:
    def try_broker(url: str) -> str:
        if "@" not in url:
            raise BrokerRefusedError(url, "does not accept the user name or password", hint="check them")
        return "it lets this device in"

    terminal = Scripted(["", "", "", "", "", "broker.school", "mqtt://me:pw@broker.school"])
    assert wizard(terminal, try_broker=try_broker).broker == "mqtt://me:pw@broker.school"
    assert "broker mqtt://broker.school: does not accept" in terminal.text
    assert "→ check them" in terminal.text


def test_the_country_is_proposed_by_the_time_zone(tmp_path: Path) -> None:
    zone = tmp_path / "usr/share/zoneinfo/Europe/Berlin"
    zone.parent.mkdir(parents=True)
    zone.touch()
    (tmp_path / "localtime").symlink_to(zone)
    (tmp_path / "zone.tab").write_text(
        "# comment\nFR\t+4852+00220\tEurope/Paris\nDE\t+5230+01322\tEurope/Berlin\tmost\n"
    )
    assert country_of_timezone(tmp_path / "localtime", tmp_path / "zone.tab") == "DE"
    assert country_of_timezone(tmp_path / "absent", tmp_path / "zone.tab") == "unspecified"
    assert country_of_timezone(tmp_path / "localtime", tmp_path / "absent") == "unspecified"
