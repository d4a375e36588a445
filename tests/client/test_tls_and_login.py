"""TLS and logins, against the real etcd."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import triode
from triode import errors
from triode.client.errors import EndpointError, Unreachable, UntrustedServer

pytestmark = pytest.mark.etcd
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@attrs.frozen
class Authority:
    """A certificate authority in a folder."""

    folder: Path
    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str, *hosts: str, days: int = 1) -> tuple[Path, Path]:
        """The files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
            for host in hosts
        ]
        builder = (
            _builder(name, self.name, key, days)
            .add_extension(x509.SubjectAlternativeName(names or [x509.DNSName(name)]), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        )
        files = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        files[0].write_bytes(_pem(builder.sign(self.key, hashes.SHA256())))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files


def _builder(subject: str, issuer: str, key: Any, days: int) -> x509.CertificateBuilder:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 10 * DAY)
        .not_valid_after(NOW + days * DAY)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def authority(folder: Path, name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(name, name, key, 2)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    made = Authority(folder, name, key, certificate)
    made.path.write_bytes(_pem(certificate))
    return made


@attrs.frozen
class Secure:
    """A real etcd that asks for certificates."""

    ca: Authority
    address: str
    client: tuple[Path, Path]

    def tls(self, **changes: Any) -> triode.TLS:
        cert, key = self.client
        return triode.TLS(**{"ca": self.ca.path, "cert": cert, "key": key, **changes})


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, launch_etcd_once: Callable[..., Any]
) -> Secure:
    folder = tmp_path_factory.mktemp("certificates")
    ca = authority(folder, "good authority")
    cert, key = ca.issue("server", "127.0.0.1", "etcd.example")
    flags = ["--cert-file", str(cert), "--key-file", str(key), "--trusted-ca-file", str(ca.path)]
    address = f"127.0.0.1:{_free_port()}"
    flags += ["--listen-client-urls", f"https://{address}"]
    flags += ["--advertise-client-urls", f"https://{address}"]
    launch_etcd_once("--unsafe-no-fsync", "--client-cert-auth", *flags)
    return Secure(ca, address, ca.issue("someone", "127.0.0.1"))


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def refused(address: str, tls: triode.TLS | None, dial_timeout: float = 60) -> Unreachable:
    """Why a call is not made. There is no waiting where trying again would not help."""
    async with triode.connect(address, tls=tls, dial_timeout=dial_timeout) as client:
        with trio.fail_after(10), pytest.raises(Unreachable) as caught:
            await client.put("a", "1")
        return caught.value


# --- TLS -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", "https://{}"])
async def test_both_sides_trust_each_other(secure: Secure, form: str) -> None:
    async with triode.connect(form.format(secure.address), tls=secure.tls()) as client:
        await client.put("a", bytes(300_000))
        pair = await client.get("a")
        assert pair is not None
        assert len(pair.value) == 300_000
        for number in range(20):  # one after the other
            await client.put("one", f"{number}")
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(client.put, f"many/{number}", bytes(20_000))
        assert await client.count(triode.prefix("many/")) == 50
        assert sum([len(pair.value) async for pair in client.scan(triode.prefix("many/"))]) == 10**6


async def test_another_name_of_the_server(secure: Secure) -> None:
    async with triode.connect(secure.address, tls=secure.tls(server_name="etcd.example")) as client:
        await client.put("a", "1")
    error = await refused(secure.address, secure.tls(server_name="other.example"))
    assert isinstance(error, UntrustedServer)
    assert "certificate is not for other.example" in str(error)
    tls = secure.tls(server_name="other.example", insecure_skip_verify=True)
    async with triode.connect(secure.address, tls=tls) as client:
        await client.put("a", "1")


async def test_an_authority_that_we_do_not_trust(secure: Secure, tmp_path: Path) -> None:
    other = authority(tmp_path, "other authority")
    error = await refused(secure.address, secure.tls(ca=other.path))
    assert isinstance(error, UntrustedServer)
    assert "certificate is not trusted" in str(error)


async def test_a_server_that_does_not_trust_us(secure: Secure, tmp_path: Path) -> None:
    without = await refused(secure.address, triode.TLS(ca=secure.ca.path))
    assert isinstance(without, UntrustedServer)
    assert "certificate" in str(without)
    cert, key = authority(tmp_path, "other authority").issue("stranger")
    stranger = await refused(secure.address, secure.tls(cert=cert, key=key))
    assert isinstance(stranger, UntrustedServer)
    assert "certificate" in str(stranger) or "unknown ca" in str(stranger)


async def test_a_certificate_that_has_expired(secure: Secure, servers: Any) -> None:
    cert, key = secure.ca.issue("late", "127.0.0.1", days=-1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def serve(stream: trio.SocketStream) -> None:
        layer = trio.SSLStream(stream, context, server_side=True)
        with contextlib.suppress(trio.BrokenResourceError):
            await layer.do_handshake()

    async with servers.raw(serve) as address:
        error = await refused(address, triode.TLS(ca=secure.ca.path))
    assert isinstance(error, UntrustedServer)
    assert "certificate has expired" in str(error)


async def test_one_side_speaks_tls_and_the_other_does_not(secure: Secure, servers: Any) -> None:
    async with servers.scripted() as server:
        error = await refused(f"https://{server.address}", triode.TLS(ca=secure.ca.path))
        assert isinstance(error, UntrustedServer)
        assert "does not speak TLS" in str(error)
    error = await refused(f"http://{secure.address}", secure.tls(), dial_timeout=0.5)
    assert "HTTP/2" in str(error) or "closed" in str(error)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for wrong in (
        triode.TLS(ca=tmp_path / "missing"),
        triode.TLS(ca=nonsense),
        triode.TLS(cert=nonsense, key=nonsense),
        triode.TLS(cert=nonsense, key=tmp_path / "missing"),
    ):
        with pytest.raises(EndpointError, match=r"missing|nonsense"):
            wrong.context()
    with pytest.raises(EndpointError, match="without its certificate"):
        triode.TLS(key=nonsense).context()


# --- logins --------------------------------------------------------------------------------------


@pytest.fixture
async def guarded(launch_etcd: Callable[..., Any]) -> str:
    """A real etcd where one must log in; its tokens last a second when nobody uses them."""
    server = launch_etcd("--unsafe-no-fsync", "--auth-token-ttl", "1")
    async with triode.connect(server.address) as client:
        await client.auth.user_add("root", "secret")
        await client.auth.role_add("root")
        await client.auth.user_grant_role("root", "root")
        await client.auth.user_add("reader", "book")
        await client.auth.role_add("reading")
        await client.auth.role_grant_permission("reading", triode.prefix("open/"), "read")
        await client.auth.user_grant_role("reader", "reading")
        assert (await client.auth.user_get("reader")).roles == ["reading"]
        assert sorted((await client.auth.user_list()).users) == ["reader", "root"]
        await client.auth.enable()
    return str(server.address)


async def test_who_may_do_what(guarded: str) -> None:
    async with triode.connect(guarded) as nobody:
        with pytest.raises(errors.UserEmpty):
            await nobody.put("open/a", "1")
    async with triode.connect(guarded, user="root", password="wrong") as liar:
        with pytest.raises(errors.AuthFailed):
            await liar.put("open/a", "1")
    async with triode.connect(guarded, user="root", password="secret") as root:
        await root.put("open/a", "1")
        assert (await root.auth.status()).enabled
        async with root.watch("open/a") as watch:
            await root.put("open/a", "2")
            assert (await anext(watch)).value == b"2"
        async with triode.connect(guarded, user="reader", password="book") as reader:
            assert (await reader.get("open/a")).value == b"2"  # type: ignore[union-attr]
            with pytest.raises(errors.PermissionDenied):
                await reader.put("open/a", "2")
            await root.auth.role_revoke_permission("reading", triode.prefix("open/"))
            with pytest.raises(errors.PermissionDenied):
                await reader.get("open/a")
        await root.auth.disable()
        await root.put("open/a", "3")


async def test_a_token_that_has_run_out_is_replaced(guarded: str) -> None:
    async with triode.connect(guarded, user="root", password="secret") as root:
        await root.put("a", "1")
        credentials = root.channel._credentials  # type: ignore[attr-defined]
        first = credentials.token
        credentials.token = first + "x"
        logins: list[bytes] = []

        async def counted(request: bytes) -> bytes:
            logins.append(request)
            return bytes(await root.channel._authenticate(request))  # type: ignore[attr-defined]

        credentials._authenticate = counted
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(root.put, str(number), "1")
        assert credentials.token not in (first, first + "x")
        assert len(logins) == 1
        assert await root.count(triode.ALL_KEYS) == 21


async def test_users_that_have_changed_ask_for_a_new_token(guarded: str) -> None:
    async with triode.connect(guarded, user="root", password="secret") as root:
        await root.put("a", "1")
        await root.auth.user_add("another", None)
        await root.put("a", "2")
        assert (await root.get("a")).value == b"2"  # type: ignore[union-attr]


async def test_a_server_without_auth_asks_for_no_token(launch_etcd: Callable[..., Any]) -> None:
    server = launch_etcd("--unsafe-no-fsync")
    async with triode.connect(server.address, user="root", password="x") as client:
        await client.put("a", "1")
        async with client.watch("a") as watch:
            await client.put("a", "2")
            assert (await anext(watch)).value == b"2"
