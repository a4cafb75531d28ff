"""TLS between the link and a real Mosquitto: who is trusted, and what is said if nobody is.

The certificates in support/certificates are of one test authority (EC P-256). They are valid from 2020 to 2120, but
"expired" (to 2021) and "future" (from 2110).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.errors import InputError
from edge.link import certificates
from edge.link.tls_context import Names, tls_context
from support.broker import MOSQUITTO, Broker, send_when_the_server_has_ended
from support.paths import ROOT
from support.running_link import StartLink

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed (apt-get install mosquitto)"),
]
CERTIFICATES = ROOT / "tests" / "support" / "certificates"
MakeBroker = Callable[..., Broker]


@pytest.fixture
def make_broker(make_broker: MakeBroker) -> MakeBroker:
    """Start brokers with TLS."""

    def make(certificate: str = "server", *lines: str) -> Broker:
        files = (
            f"cafile {CERTIFICATES}/ca.pem", f"certfile {CERTIFICATES}/{certificate}.pem",
            f"keyfile {CERTIFICATES}/server.key", "user root",
        )  # fmt: skip
        return make_broker(*files, *lines)

    return make


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The key of the client's certificate, for its owner only."""
    path = tmp_path / "client.key"
    path.write_bytes((CERTIFICATES / "client.key").read_bytes())
    path.chmod(0o600)
    return path


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    def set_to(is_set: bool) -> None:
        monkeypatch.setattr(certificates, "is_set", lambda: is_set)

    return set_to


def lines(broker: Broker, ca: str = "ca", *more: str) -> tuple[str, ...]:
    return (f'broker = "mqtts://{broker.address}"', f'ca = "{CERTIFICATES}/{ca}.pem"', *more)


def test_own_authority_and_client_certificate(make_broker: MakeBroker, start_link: StartLink, key: Path) -> None:
    broker = make_broker("server", "require_certificate true")
    link = start_link(*lines(broker, "ca", f'certificate = "{CERTIFICATES}/client.pem"', f'key = "{key}"'))
    link.wait_for_line("broker: connected to")


@pytest.mark.parametrize(
    ("certificate", "ca", "expected"),
    [
        ("expired", "ca", "the certificate of the broker has expired (renew it)"),
        ("future", "ca", "the certificate of the broker is not valid yet"),
        ("server", "other-ca", "the certificate of the broker is of an authority that this machine does not know"),
        ("other-name", "ca", "the certificate of the broker is for another name"),
    ],
)
def test_a_broker_that_is_not_trusted(
    certificate: str,
    ca: str,
    expected: str,
    make_broker: MakeBroker,
    start_link: StartLink,
    set_clock: Callable[[bool], None],
) -> None:
    set_clock(True)
    start_link(*lines(make_broker(certificate), ca)).wait_for_line(expected)


@pytest.mark.parametrize("certificate", ["expired", "future"])
def test_a_clock_that_is_not_set_is_to_blame(
    certificate: str, make_broker: MakeBroker, start_link: StartLink, set_clock: Callable[[bool], None]
) -> None:
    set_clock(False)
    link = start_link(*lines(make_broker(certificate)))
    link.wait_for_line("the clock of this machine is not set, and may be wrong: it shows ")


def test_the_clock_is_in_1970(
    make_broker: MakeBroker,
    start_link: StartLink,
    set_clock: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if somebody believes that it is set."""
    set_clock(True)
    monkeypatch.setattr(certificates, "EARLIEST_TIME_S", 1e11)
    link = start_link(*lines(make_broker("future")))
    link.wait_for_line("the clock of this machine is wrong: it shows ")
    link.wait_for_line("sudo timedatectl set-ntp true")


def test_the_broker_asks_for_a_certificate(make_broker: MakeBroker, start_link: StartLink) -> None:
    link = start_link(*lines(make_broker("server", "require_certificate true")))
    link.wait_for_line("the broker asks for a certificate (set [link] certificate and key)")


def test_an_alert_that_comes_before_the_first_message(
    make_broker: MakeBroker, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first message cannot be sent: its error does not say why."""
    send_when_the_server_has_ended(monkeypatch)
    link = start_link(*lines(make_broker("server", "require_certificate true")))
    link.wait_for_line("the broker asks for a certificate (set [link] certificate and key)")
    assert not any("the connection is lost" in line for line in link.lines)


def test_the_certificate_of_the_door_has_expired(make_broker: MakeBroker, start_link: StartLink, key: Path) -> None:
    broker = make_broker("server", "require_certificate true")
    link = start_link(*lines(broker, "ca", f'certificate = "{CERTIFICATES}/client-expired.pem"', f'key = "{key}"'))
    link.wait_for_line("the broker says that this door's certificate has expired (renew [link] certificate)")


def test_a_broker_without_tls(tmp_path: Path, start_link: StartLink) -> None:
    broker = Broker(tmp_path)
    broker.start()
    try:
        start_link(*lines(broker)).wait_for_line("speaks no TLS on this port")
    finally:
        broker.stop()


def test_a_broker_with_tls_that_is_asked_without(make_broker: MakeBroker, start_link: StartLink) -> None:
    link = start_link(f'broker = "mqtt://{make_broker().address}"')
    link.wait_for_line("the connection is lost")


def test_files_that_are_no_certificates(tmp_path: Path, key: Path) -> None:
    names = Names("link.ca", "link.certificate", "link.key")
    with pytest.raises(InputError, match=r"link.ca: /no.pem: cannot be read: No such file"):
        tls_context(Path("/no.pem"), None, None, names)
    (tmp_path / "x.pem").write_text("x")
    with pytest.raises(InputError, match=r"x.pem: is no certificate"):
        tls_context(tmp_path / "x.pem", None, None, names)
    with pytest.raises(InputError, match=r"server.pem: is no certificate for link.key"):
        tls_context(CERTIFICATES / "ca.pem", CERTIFICATES / "server.pem", key, names)
