"""`doorlight people sync` with a real PostgreSQL: many doors and one database that cannot read what it has."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from edge.cli import main
from edge.commands import people_sync
from edge.people import store, transfer
from edge.people.record import IssuedCard
from edge.people.store import Content, Place
from fleet.servers import Postgres
from support.people import FUTURE, enrol, names, person, place, remove, signers, ssh_key
from support.postgres import cluster

pytestmark = pytest.mark.usefixtures("quick_passphrases")

__all__ = ["cluster"]
WORDS = "correct horse battery staple"
ADA, BOB, EVE = person("Ada", 1), person("Bob", 2), person("Eve", 3)


class Door:
    """A door with its store, and a database."""

    def __init__(self, folder: Path, database: str, key: Path, capfd: pytest.CaptureFixture[str]) -> None:
        folder.mkdir()
        self.place: Place = place(folder)
        self._settings, self._words = folder / "door.toml", folder / "passphrase"
        self._settings.write_text(f'[people]\nfile = "{self.place.file}"\n')
        self._words.write_text(WORDS + "\n")
        self._database, self._key, self._capfd = database, key, capfd

    def sync(self, *more: str, code: int = 0, signs: bool = True) -> str:
        """Run `people sync`; return what it prints to both streams."""
        args = ["people", "sync", "--config", str(self._settings), "--database", self._database]
        args += ["--passphrase-file", str(self._words), "--signers", str(signers(self._key))]
        assert main([*args, *(("--sign", str(self._key)) if signs else ()), *more]) == code
        found = self._capfd.readouterr()
        return found.out + found.err

    @property
    def content(self) -> Content | None:
        return store.read(self.place)

    @property
    def names(self) -> list[str]:
        return sorted(names(self.place))


def test_without_the_library_it_says_what_to_install(
    tmp_path: Path, key: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_sync, "find_spec", lambda _: None)
    found = Door(tmp_path / "door", "postgresql://db.example/people", key, capfd).sync(code=69)
    assert "psycopg: is not installed" in found
    assert "edge/people/README.md" in found


@pytest.fixture
def database(cluster: Postgres) -> str:
    return cluster.new_database()


@pytest.fixture
def doors(tmp_path: Path, database: str, key: Path, capfd: pytest.CaptureFixture[str]) -> tuple[Door, Door]:
    """Two doors: the first has enrolled Ada and Bob, and sent them."""
    first, second = (Door(tmp_path / name, database, key, capfd) for name in ("first", "second"))
    enrol(first.place, ADA, BOB)
    assert first.sync().startswith("0 added, 0 removed; 2 people are enrolled")
    return first, second


@pytest.mark.postgres
class TestDatabase:
    """With a real PostgreSQL."""

    def test_people_reach_another_door_and_removals_too(self, doors: tuple[Door, Door]) -> None:
        first, second = doors
        assert "2 added, 0 removed; 2 people are enrolled, signed by clinic" in second.sync(signs=False)
        enrol(second.place, EVE)
        remove(second.place, "Ada")
        assert "this door has changes that the database lacks: sync with --sign" in second.sync(signs=False)
        assert second.names == ["Bob", "Eve"], "nothing of it is lost"
        second.sync()
        assert "1 added, 1 removed; 2 people are enrolled" in first.sync(signs=False)
        assert first.names == ["Bob", "Eve"]

    def test_without_news_nothing_is_written(self, doors: tuple[Door, Door], database: str) -> None:
        """A timer may run it every hour: the card is not worn."""
        import psycopg

        first, _ = doors
        before = [path.read_bytes() for path in first.place[:2]]
        first.sync()
        assert [path.read_bytes() for path in first.place[:2]] == before
        with psycopg.connect(database) as db:
            assert db.execute("SELECT revision FROM doorlight_people.sealed").fetchall() == [(1,)]

    def test_the_database_has_no_readable_word(self, doors: tuple[Door, Door], cluster: Postgres) -> None:
        import psycopg

        first, _ = doors
        with psycopg.connect(first._database, autocommit=True) as db:
            db.execute("CHECKPOINT")
        found = b"".join(path.read_bytes() for path in (cluster.folder / "data").rglob("*") if path.is_file())
        assert b"DOORLIGHT PEOPLE 1" in found, "the search finds what is there"
        for secret in (ADA.template, ADA.template[:16], b"agrees to it", ADA.id.encode()):
            assert secret not in found

    def test_a_revoked_card_is_refused_everywhere(self, doors: tuple[Door, Door]) -> None:
        first, second = doors
        second.sync()

        def with_card(is_revoked: bool) -> None:
            cards = (IssuedCard("5f3a91c2", BOB.id, FUTURE, is_revoked),)
            store.change(
                first.place,
                lambda old: old._replace(installation=msgspec.structs.replace(old.installation, cards=cards)),
            )

        for is_revoked in (False, True):
            with_card(is_revoked)
            first.sync()
            second.sync()
            assert second.content is not None
            assert [card.is_revoked for card in second.content.installation.cards] == [is_revoked]

    @pytest.mark.parametrize(
        ("how", "code", "message"),
        [
            ("older", 66, "it is an old copy"),
            ("renumbered", 66, "its number is not the one that was signed"),
            ("one byte", 66, "is not what was signed"),
            ("text", 66, "is not a file of enrolled people"),
            ("large", 69, "too large for enrolled people"),
            ("empty", 66, "nobody is in it"),
            ("passphrase", 66, "the passphrase is wrong"),
            ("no table", 66, "nobody is in it"),
            ("no database", 69, "does not exist"),
        ],
    )
    def test_a_database_that_somebody_has_changed(
        self, doors: tuple[Door, Door], database: str, how: str, code: int, message: str
    ) -> None:
        """Each has its sentence, and nothing is changed here."""
        import psycopg

        first, second = doors
        second.sync()
        with psycopg.connect(database, autocommit=True) as db:
            (old,) = db.execute("SELECT content FROM doorlight_people.sealed").fetchone() or (b"",)
            content = bytearray(old)
            content[len(content) // 2] ^= 1
            enrol(first.place, EVE)
            first.sync()
            second.sync()
            match how:
                case "older":
                    db.execute("UPDATE doorlight_people.sealed SET revision = 1, content = %s", (old,))
                case "renumbered":
                    db.execute("UPDATE doorlight_people.sealed SET content = %s", (old,))
                case "one byte":
                    db.execute("UPDATE doorlight_people.sealed SET content = %s", (bytes(content),))
                case "text":
                    db.execute("UPDATE doorlight_people.sealed SET content = 'hello'")
                case "large":
                    db.execute("UPDATE doorlight_people.sealed SET content = %s", (bytes(2 << 20),))
                case "empty":
                    db.execute("DELETE FROM doorlight_people.sealed")
                case "no table":
                    db.execute("DROP SCHEMA doorlight_people CASCADE")
                case "passphrase":
                    second._words.write_text("another passphrase\n")
                case "no database":
                    second._database = f"{database}x"
        before = [path.read_bytes() for path in second.place[:2]]
        assert message in second.sync(signs=False, code=code)
        assert [path.read_bytes() for path in second.place[:2]] == before

    def test_an_emptied_database_is_not_filled_again_by_a_door_that_knows_more(
        self, doors: tuple[Door, Door], database: str
    ) -> None:
        import psycopg

        first, _ = doors
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("DELETE FROM doorlight_people.sealed")
        enrol(first.place, EVE)
        assert "is empty, and this door knows revision 1" in first.sync(code=66)

    @pytest.mark.parametrize("later", [0, 1, 2])
    def test_an_old_copy_that_another_door_has_written_to_brings_nobody_back(
        self, doors: tuple[Door, Door], database: str, later: int
    ) -> None:
        import psycopg

        first, second = doors
        second.sync()
        with psycopg.connect(database, autocommit=True) as db:
            (old,) = db.execute("SELECT content FROM doorlight_people.sealed").fetchone() or (b"",)
            remove(first.place, "Bob")
            first.sync()
            db.execute("UPDATE doorlight_people.sealed SET revision = 1, content = %s", (old,))
        for k in range(later + 1):
            enrol(second.place, person(f"New {k}", 20 + k))
            second.sync()
        assert "its revision 2 is not the one that this door knows" in first.sync(code=66)
        assert first.names == ["Ada"]
        assert f"{later + 2} added, 0 removed" in first.sync("--rejoin"), "who was removed is back, as it says"
        assert first.names == second.names

    @pytest.mark.parametrize(
        "change",
        [
            "ALTER TABLE doorlight_people.sealed ALTER COLUMN content TYPE text USING 'x'",
            "ALTER TABLE doorlight_people.sealed DROP CONSTRAINT sealed_revision_check, ALTER COLUMN revision TYPE text",
            "ALTER TABLE doorlight_people.sealed DROP CONSTRAINT sealed_pkey, DROP CONSTRAINT sealed_only_row_check; "
            "INSERT INTO doorlight_people.sealed SELECT false, 1, content FROM doorlight_people.sealed",
            "DROP TABLE doorlight_people.sealed; CREATE VIEW doorlight_people.sealed AS SELECT NULL AS revision, ''::bytea AS content",
        ],
        ids=["content", "revision", "rows", "view"],
    )
    def test_another_table_in_its_place(self, doors: tuple[Door, Door], database: str, change: str) -> None:
        import psycopg

        first, _ = doors
        with psycopg.connect(database, autocommit=True) as db:
            db.execute(change)
        before = first.content
        for signs in (True, False):
            assert "is not the table of people sync" in first.sync(code=69, signs=signs)
        assert first.content == before

    def test_a_door_that_lost_the_answer_goes_on(
        self, doors: tuple[Door, Door], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The database has stored the revision, and the door does not know it."""
        from edge.fleet import people_table

        first, second = doors
        second.sync()
        enrol(first.place, EVE)
        stored = people_table.store

        def lost(*args: object) -> bool:
            stored(*args)  # type: ignore[arg-type]
            raise people_table.DatabaseError("the connection is gone")

        with monkeypatch.context() as patch:
            patch.setattr(people_table, "store", lost)
            assert "the connection is gone" in first.sync(code=69)
        first.sync()
        second.sync()
        assert second.names == ["Ada", "Bob", "Eve"]

    def test_an_emptied_database_is_filled_again_if_it_is_asked_for(
        self, doors: tuple[Door, Door], database: str
    ) -> None:
        import psycopg

        first, _ = doors
        with psycopg.connect(database, autocommit=True) as db:
            db.execute("DELETE FROM doorlight_people.sealed")
        assert "people sync --rejoin" not in first.sync("--rejoin")
        with psycopg.connect(database) as db:
            assert db.execute("SELECT revision FROM doorlight_people.sealed").fetchall() == [(1,)]

    @pytest.mark.parametrize("how", ["passphrase", "no database"])
    def test_a_rejoin_that_fails_forgets_nothing(self, doors: tuple[Door, Door], how: str) -> None:
        """Otherwise the next run of the timer would bring back who was removed here."""
        first, _ = doors
        remove(first.place, "Bob")
        before, database = first.content, first._database
        if how == "passphrase":
            first._words.write_text("another passphrase\n")
        else:
            first._database = f"{database}x"
        first.sync("--rejoin", code=66 if how == "passphrase" else 69)
        assert first.content == before
        first._words.write_text(f"{WORDS}\n")
        first._database = database
        first.sync()
        assert first.names == ["Ada"]

    @pytest.mark.parametrize("has_credentials", [False, True])
    def test_settings_and_a_folder_of_secrets_are_enough(
        self,
        doors: tuple[Door, Door],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
        has_credentials: bool,
    ) -> None:
        """As doorlight-people.service runs it, and as root does."""
        first, _ = doors
        folder, prefix = tmp_path / "secrets", people_sync.CREDENTIAL_PREFIX if has_credentials else ""
        folder.mkdir()
        (folder / f"{prefix}passphrase").write_text(f"{WORDS}\n")
        (folder / f"{prefix}password").write_text("not asked for\n")
        (folder / f"{prefix}signing-key").write_bytes(first._key.read_bytes())
        (folder / f"{prefix}signing-key").chmod(0o600)
        if has_credentials:
            monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
        else:
            monkeypatch.setattr(people_sync, "SECRETS", folder)
        monkeypatch.setattr(transfer, "SIGNERS", signers(first._key))
        settings = tmp_path / "door.toml"
        settings.write_text(f'[people]\nfile = "{first.place.file}"\ndatabase = "{first._database}"\n')
        enrol(first.place, EVE)
        assert main(["people", "sync", "--config", str(settings)]) == 0
        assert "3 people are enrolled" in capfd.readouterr().out
        assert first.content is not None
        assert first.content.installation.synced is not None
        assert first.content.installation.synced.revision == 2, "it was signed and sent"
        settings.write_text(f'[people]\nfile = "{first.place.file}"\ndatabase = "postgresql://x:y@host/people"\n')
        assert main(["people", "sync", "--config", str(settings)]) == 2
        assert "'people.database': has a password" in capfd.readouterr().err

    def test_a_door_sends_nothing_that_it_would_not_trust(
        self, doors: tuple[Door, Door], tmp_path: Path, database: str
    ) -> None:
        import psycopg

        first, _ = doors
        enrol(first.place, EVE)
        other = ssh_key(tmp_path, "other")
        assert "which this box does not trust" in first.sync("--sign", str(other), code=66)
        with psycopg.connect(database) as db:
            assert db.execute("SELECT revision FROM doorlight_people.sealed").fetchall() == [(1,)]
        first.sync()

    def test_a_door_that_comes_second_tries_again(
        self, doors: tuple[Door, Door], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = doors
        second.sync()
        enrol(first.place, EVE)
        enrol(second.place, person("Zoe", 7))
        pack, calls = transfer.pack, []

        def slow(*args: object) -> bytes:
            packed = pack(*args)  # type: ignore[arg-type]
            calls.append(os.getpid())
            if len(calls) == 1:
                first.sync()
            return packed

        monkeypatch.setattr(transfer, "pack", slow)
        second.sync()
        assert len(calls) == 3, "the first one of the second door was late"
        first.sync()
        assert first.names == second.names == ["Ada", "Bob", "Eve", "Zoe"]

    def test_a_door_without_network_knows_its_people(self, doors: tuple[Door, Door]) -> None:
        _, second = doors
        second.sync()
        second._database = "postgresql://nobody@127.0.0.1:1/people"
        assert "cannot be reached" in second.sync(code=69)
        assert second.names == ["Ada", "Bob"]
