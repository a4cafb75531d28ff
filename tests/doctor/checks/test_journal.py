"""Check `journal`."""

from __future__ import annotations

from support.doctor import FakeMachine, only


def test_a_journal_on_the_disk_is_ok(machine: FakeMachine) -> None:
    machine.add_file("var/log/journal/0123/system.journal")
    assert only(machine.check("journal"))[:2] == ("ok", "on the disk")


def test_a_journal_in_memory_is_a_note_even_if_there_is_a_folder_on_the_disk(machine: FakeMachine) -> None:
    machine.add_file("var/log/journal/0123/system.journal")
    machine.add_file("run/log/journal/0123/system.journal")  # Storage=volatile
    finding = only(machine.check("journal"))
    assert finding.severity == "note"
    assert "doorlight-events.jsonl" in finding.message
    assert "Storage=persistent" in finding.fix


def test_a_missing_journal_is_a_note(machine: FakeMachine) -> None:
    assert only(machine.check("journal")).severity == "note"
