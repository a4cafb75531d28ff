"""The small parts of the link: window, back-off, names, secrets, counts, figures."""

from __future__ import annotations

import random
import socket
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from edge.errors import InputError
from edge.link import broker_errors, reason_codes, secret_files, topics
from edge.link.backoff import Backoff
from edge.link.cursor import Cursor
from edge.link.day_counts import DayCounts
from edge.link.host_figures import HostFigures, parse_status
from edge.link.window import Window
from edge.update.layout import Layout


class TestWindow:
    def test_the_cursor_is_behind_what_has_arrived_without_a_gap(self) -> None:
        window = Window(Cursor(10))
        for number in (1, 2, 3):
            window.add(number, Cursor(10 + number))
        window.acknowledge(2)
        assert window.cursor.seq == 10
        window.acknowledge(1)
        assert (window.cursor.seq, len(window)) == (12, 1)
        window.acknowledge(2)  # for the second time
        window.acknowledge(99)
        assert (window.cursor.seq, len(window)) == (12, 1)
        assert [number in window for number in (1, 3, 99)] == [False, True, False]
        window.acknowledge(3)
        assert (window.cursor.seq, len(window)) == (13, 0)

    def test_a_message_without_a_cursor_holds_it_back(self) -> None:
        window = Window(Cursor(10))
        window.add(1, None)
        window.add(2, Cursor(501))
        window.acknowledge(2)
        assert window.cursor.seq == 10
        window.acknowledge(1)
        assert window.cursor.seq == 501


def test_backoff_doubles_up_to_its_limit_and_never_in_step() -> None:
    backoff = Backoff(1.0, 8.0, random.Random(1))
    delays = [backoff.next_s() for _ in range(6)]
    for delay, most in zip(delays, (1, 2, 4, 8, 8, 8), strict=True):
        assert most / 2 <= delay <= most
    backoff.reset()
    assert backoff.next_s() <= 1.0
    assert Backoff(1.0, 8.0, random.Random(2)).next_s() != Backoff(1.0, 8.0, random.Random(3)).next_s()


class TestNames:
    @pytest.mark.parametrize(
        ("host", "name"), [("door-2.example.org", "door-2"), ("Tür 1", "T-r-1"), ("---", "door"), ("", "door")]
    )
    def test_the_name_of_the_machine(self, host: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "gethostname", lambda: host)
        assert topics.door_name("") == name
        assert topics.door_name("entrance") == "entrance"

    def test_the_client_id_stays_and_no_two_doors_have_the_same(self, tmp_path: Path) -> None:
        first = topics.client_id("d1", tmp_path)
        assert first.startswith("doorlight-d1-")
        assert topics.client_id("d1", tmp_path) == first
        assert topics.client_id("d2", tmp_path).startswith("doorlight-d2-"), "the door was renamed"
        (tmp_path / "other").mkdir()
        assert topics.client_id("d1", tmp_path / "other") != first
        (tmp_path / "client-id").write_text("x" * 1000)
        assert topics.client_id("d1", tmp_path).startswith("doorlight-d1-")


class TestSecrets:
    def test_a_credential(self, tmp_path: Path) -> None:
        (tmp_path / "link_mqtt").write_text("pass word\n")
        environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
        assert secret_files.read_text_secret("link.password", "mqtt", environ) == "pass word"
        with pytest.raises(InputError, match=r"^link.password: there is no such file in /etc/doorlight/secrets$"):
            secret_files.read_secret("link.password", "hunter2", environ)

    def test_a_secret_in_place_of_a_name_is_not_repeated(self) -> None:
        with pytest.raises(InputError) as caught:
            secret_files.read_secret("link.password", "hunter2", {})
        assert "hunter2" not in f"{caught.value} {caught.value.hint}"

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
    def test_a_file_that_others_may_read(self, mode: int, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        file = tmp_path / "password"
        file.write_text("x")
        file.chmod(mode)
        with pytest.raises(InputError, match="others may read"):
            secret_files.read_secret("link.password", str(file), {})
        file.chmod(0o600)
        assert secret_files.read_secret("link.password", str(file), {}) == b"x"
        file.chmod(mode)
        tmp_path.chmod(0o700)
        assert secret_files.read_secret("link.password", str(file), {}) == b"x", "nobody else comes so far"

    @pytest.mark.parametrize(
        ("content", "reason"), [(b"", "is empty"), (b"\n\n", "is empty"), (b"a\nb", "one line"), (b"\xff", "not UTF-8")]
    )
    def test_content_that_is_no_password(self, content: bytes, reason: str, tmp_path: Path) -> None:
        file = tmp_path / "password"
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(InputError, match=reason):
            secret_files.read_text_secret("link.password", str(file), {})

    @pytest.mark.parametrize("content", [b"\xef\xbb\xbfpass word\n", b"pass word\r\n", b"\xef\xbb\xbfpass word\r\n"])
    def test_a_password_of_any_editor(self, content: bytes, tmp_path: Path) -> None:
        file = tmp_path / "password"
        file.write_bytes(content)
        file.chmod(0o600)
        assert secret_files.read_text_secret("link.password", str(file), {}) == "pass word"

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is not a regular file"):
            secret_files.read_secret("link.password", str(tmp_path), {})


class TestDayCounts:
    def counts(self) -> DayCounts:
        return DayCounts(lambda: self.day)

    day = date(2026, 11, 27)

    def event(self, kind: str, **fields: object) -> dict[str, object]:
        moment = datetime(self.day.year, self.day.month, self.day.day, 12).astimezone(UTC)
        return {"event": kind, "time": moment.isoformat(), **fields}

    def test_people_count_once_with_their_last_verdict(self) -> None:
        counts = self.counts()
        for kind, person in [("masked", 1), ("unmasked", 2), ("masked", 2), ("unmasked", 1), ("masked", 3)]:
            counts.add(self.event(kind, person=person))
        assert (counts.people, counts.masked) == (3, 2)
        assert counts.share_masked == pytest.approx(2 / 3)

    def test_numbers_begin_again_with_a_run(self) -> None:
        counts = self.counts()
        for event in (self.event("masked", person=1), self.event("started"), self.event("masked", person=1)):
            counts.add(event)
        assert counts.people == 2

    def test_a_poster_is_no_person(self) -> None:
        counts = self.counts()
        counts.add(self.event("unmasked", person=1))
        counts.add(self.event("ignored", person=1))
        assert (counts.people, counts.masked, counts.share_masked) == (0, 0, None)

    def test_a_new_day(self) -> None:
        counts = self.counts()
        counts.add(self.event("signal", signal="ALARM"))
        assert counts.alarms == 1
        old = self.event("masked", person=1)
        self.day = date(2026, 11, 28)
        counts.add(old)
        assert (counts.alarms, counts.people) == (0, 0)
        counts.add(self.event("masked", person=1))
        assert counts.people == 1

    @pytest.mark.parametrize(
        "record", [{}, {"event": "masked"}, {"event": "masked", "time": "x", "person": 1}, {"event": [], "time": 3}]
    )
    def test_impossible_records(self, record: dict[str, object]) -> None:
        counts = self.counts()
        counts.add(record)
        counts.add({**self.event("masked", person=[]), **record})
        assert counts.people == 0


class TestFigures:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("STOP, 9.8 frames/s, CPU (ai_edge_litert), all well", ("STOP", 9.8, None)),
            ("IDLE, 0.0 frames/s, Edge TPU (tflite_runtime), event log: x: No space left", ("IDLE", 0.0, "event log: x: No space left")),
            ("FAULT, 3.1 frames/s, CPU (x), camera: is lost; event log: y", ("FAULT", 3.1, "event log: y")),
            ("FAULT, 3.1 frames/s, CPU (x), camera: is lost", ("FAULT", 3.1, None)),
            ("", (None, None, None)),
            ("Starting", (None, None, None)),
        ],
    )  # fmt: skip
    def test_the_door_s_status(self, text: str, expected: tuple[str | None, float | None, str | None]) -> None:
        assert parse_status(text) == expected

    @pytest.mark.parametrize(("text", "version"), [("0.2.0\n", "0.2.0"), ("", None), ("x", None), ("1" * 50, None)])
    def test_the_latest_version(self, text: str, version: str | None, tmp_path: Path) -> None:
        assert HostFigures(tmp_path, tmp_path).read(is_running=True).latest_version is None
        latest = Layout(tmp_path).latest
        latest.parent.mkdir(parents=True)
        latest.write_text(text)
        assert HostFigures(tmp_path, tmp_path).read(is_running=True).latest_version == version

    def test_the_temperature_is_the_highest(self, tmp_path: Path) -> None:
        for k, text in enumerate(("51234\n", "48000", "x")):
            zone = tmp_path / f"sys/class/thermal/thermal_zone{k}"
            zone.mkdir(parents=True)
            (zone / "temp").write_text(text)
        figures = HostFigures(tmp_path, tmp_path).read(is_running=True)
        assert figures.temperature_c == 51.2
        assert figures.disk_free_mb is not None


class TestSentences:
    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (socket.gaierror(-2, "Name or service not known"), "there is no machine of this name"),
            (UnicodeError("label empty or too long"), "there is no machine of this name"),
            (TimeoutError(), "the broker does not answer"),
            (ConnectionRefusedError(), "nothing listens there"),
            (OSError(101, "Network is unreachable"), "cannot be reached: Network is unreachable"),
        ],
    )
    def test_unreachable(self, error: Exception, words: str) -> None:
        found = broker_errors.cannot_connect("broker:8883", error, has_tls=False)
        assert str(found) == f"broker:8883: {words}"
        assert found.hint

    @pytest.mark.parametrize("code", [*reason_codes.REASONS, 0x80, 0xA2])
    def test_every_reason_code_has_a_sentence(self, code: int) -> None:
        for found in (broker_errors.refused("b:1", code, "the topic x"), broker_errors.disconnected("b:1", code)):
            assert f"(0x{code:02x})" in str(found)
            assert found.hint
            assert found.is_taken_over is (code == 0x8E)
