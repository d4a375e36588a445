"""TLS that does not fit, in both directions: etcdctl's exit code, and what is wrong in words."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

pytestmark = pytest.mark.etcd
LIMITS = ("--dial-timeout=300ms", "--command-timeout=600ms")
LONGER = ("--dial-timeout=2s", "--command-timeout=2500ms")  # for reasons to come, on a busy machine
SECONDS_MAX = 6
DAY = dt.timedelta(days=1)


@attrs.frozen
class Authority:
    """Who signs, into a folder."""

    folder: Path
    name: str
    key: Any
    certificate: Any

    @property
    def path(self) -> str:
        return str(self.folder / f"{self.name}.pem")

    def issue(self, name: str, host: str = "127.0.0.1", days: int = 1) -> tuple[str, str]:
        """A certificate for a host, and its key; `days` below 0: it is over."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(name, key.public_key(), self.certificate.subject, days)
        made = made.add_extension(x509.SubjectAlternativeName([_host(host)]), critical=False)
        paths = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        _write(paths[0], made.sign(self.key, hashes.SHA256()))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return str(paths[0]), str(paths[1])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(name: str, key: Any, issuer: Any, days: int) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now + days * DAY)
    )


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def authority(folder: Path, name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    made = _builder(name, key.public_key(), None, 1)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = made.sign(key, hashes.SHA256())
    _write(folder / f"{name}.pem", certificate)
    return Authority(folder, name, key, certificate)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"), "good")


@pytest.fixture(scope="module")
def stranger(good: Authority) -> Authority:
    return authority(good.folder, "stranger")


@pytest.fixture(scope="module")
def secure(launch_etcd_once: Callable[..., Any], good: Authority) -> Callable[..., str]:
    """An etcd with a certificate; returns its https address. Those with the same flags are one."""
    known: dict[tuple[str, ...], str] = {}

    def start(certificate: tuple[str, str], *flags: str) -> str:
        words = (*certificate, *flags)
        if words not in known:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                known[words] = url = f"https://127.0.0.1:{free.getsockname()[1]}"
            urls = ("--listen-client-urls", url, "--advertise-client-urls", url)
            files = ("--cert-file", certificate[0], "--key-file", certificate[1])
            launch_etcd_once(*urls, *files, *flags)
        return known[words]

    return start


@pytest.fixture(scope="module")
def usual(secure: Callable[..., str], good: Authority) -> str:
    return secure(good.issue("usual"))


@pytest.fixture
def refused(
    run: Callable[..., Any], tools: Any, said: Callable[..., Any]
) -> Callable[..., tuple[str, str, int]]:
    """Run a line that must fail, in time, and as etcdctl does; returns what ours says."""

    def refused_line(*words: str) -> tuple[str, str, int]:
        begun = time.monotonic()
        ours: tuple[str, str, int] = said(run(*LIMITS, *words))
        assert time.monotonic() - begun < SECONDS_MAX
        theirs = said(run(*LIMITS, *words, tool=tools.ETCDCTL))
        assert ours[2] == theirs[2] != 0, (ours, theirs)
        assert ours[0] == theirs[0] == ""
        return ours

    return refused_line


COMMANDS = [("get", "a"), ("member", "list")]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_as_it_should_be(
    run: Callable[..., Any], usual: str, good: Authority, words: tuple[str, ...]
) -> None:
    assert run("--endpoints", usual, "--cacert", good.path, *words).code == 0
    plain = usual.removeprefix("https://")
    assert run("--endpoints", plain, "--cacert", good.path, *words).code == 0
    assert run("--endpoints", usual, "--insecure-skip-tls-verify", *words).code == 0


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_plain_where_tls_is_spoken(
    refused: Callable[..., Any], usual: str, words: tuple[str, ...]
) -> None:
    address = usual.removeprefix("https://")
    for endpoint in (address, f"http://{address}"):
        error = refused("--endpoints", endpoint, *words)[1]
        assert error.splitlines()[-1] == "Error: context deadline exceeded"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_tls_where_none_is_spoken(
    refused: Callable[..., Any], server: Any, good: Authority, words: tuple[str, ...]
) -> None:
    for flags in (
        ("--endpoints", f"https://{server.address}"),
        ("--endpoints", server.address, "--cacert", good.path),
        ("--endpoints", server.address, "--insecure-transport=false"),
    ):
        error = refused(*flags, *words)[1]
        assert error.splitlines()[-1] == "Error: context deadline exceeded"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_authority_that_is_not_trusted(
    refused: Callable[..., Any],
    run: Callable[..., Any],
    usual: str,
    stranger: Authority,
    words: tuple[str, ...],
) -> None:
    line = ("--endpoints", usual, "--cacert", stranger.path, *words)
    assert refused(*line)[1].splitlines()[-1] == "Error: context deadline exceeded"
    assert b"certificate is not trusted" in run(*LONGER, *line).stderr


def test_a_certificate_that_is_over(
    refused: Callable[..., Any],
    run: Callable[..., Any],
    secure: Callable[..., str],
    good: Authority,
) -> None:
    line = ("--endpoints", secure(good.issue("old", days=-1)), "--cacert", good.path, "get", "a")
    refused(*line)
    assert b"certificate has expired" in run(*LONGER, *line).stderr
    assert run(*line, "--insecure-skip-tls-verify").code == 0


def test_a_certificate_for_somebody_else(
    refused: Callable[..., Any],
    run: Callable[..., Any],
    secure: Callable[..., str],
    good: Authority,
) -> None:
    url = secure(good.issue("elsewhere", host="elsewhere.example"))
    line = ("--endpoints", url, "--cacert", good.path, "get", "a")
    refused(*line)
    assert b"certificate is not for 127.0.0.1" in run(*LONGER, *line).stderr


def test_a_client_without_a_certificate(
    refused: Callable[..., Any],
    run: Callable[..., Any],
    secure: Callable[..., str],
    good: Authority,
    stranger: Authority,
) -> None:
    """The server wants one, and one that it trusts."""
    url = secure(good.issue("strict"), "--client-cert-auth", "--trusted-ca-file", good.path)
    trust = ("--endpoints", url, "--cacert", good.path, "get", "a")
    refused(*trust)
    certificate, key = stranger.issue("unknown-client")
    refused(*trust, "--cert", certificate, "--key", key)
    certificate, key = good.issue("client")
    assert run(*trust, "--cert", certificate, "--key", key).code == 0


@pytest.mark.parametrize(
    "flags",
    [
        ("--cacert", "/no/such/file"),
        ("--cert", "/no/such/file", "--key", "/no/such/key"),
        ("--cert", "{cert}"),
        ("--key", "{key}"),
        ("--cert", "{cert}", "--key", "{other}"),
        ("--cert", "{key}", "--key", "{cert}"),
        ("--cacert", ""),
    ],
    ids=" ".join,
)
def test_files_that_are_none(
    run: Callable[..., Any],
    tools: Any,
    said: Callable[..., Any],
    usual: str,
    good: Authority,
    flags: tuple[str, ...],
) -> None:
    """Told at once, with etcdctl's exit code."""
    cert, key = good.issue("mine")
    other = good.issue("others")[1]
    names = {"{cert}": cert, "{key}": key, "{other}": other}
    words = ("--endpoints", usual, *(names.get(flag, flag) for flag in flags), *LIMITS, "get", "a")
    ours, theirs = said(run(*words)), said(run(*words, tool=tools.ETCDCTL))
    assert ours[2] == theirs[2] != 0, (ours, theirs)
    assert ours[1].startswith("Error: ")


def test_an_empty_file_of_authorities(run: Callable[..., Any], usual: str) -> None:
    """Told at once; etcdctl finds that nobody is trusted, when its time is over."""
    done = run("--endpoints", usual, "--cacert", "/dev/null", "get", "a")
    assert done.code == 128
    assert done.stderr.startswith(b"Error: cannot use the CA certificates in /dev/null")
