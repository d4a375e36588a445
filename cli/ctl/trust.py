"""Whom to trust and who we are, as the global flags say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..common.exits import BAD_ARGUMENTS, Failure
from ..common.flags import FlagValues

if TYPE_CHECKING:
    from ...client.tls import TLS

__all__ = ["login_of", "tls_of"]


def tls_of(flags: FlagValues) -> TLS | None:
    """TLS as the flags say; None: none is asked for. Raises Failure."""
    for name in ("cert", "key", "cacert"):
        if flags.changed(name) and not flags.text(name):
            raise Failure(f"empty string is passed to --{name} option", BAD_ARGUMENTS)
    domain = "" if flags.switch("insecure-discovery") else flags.text("discovery-srv")
    files: Mapping[str, str | None] = {
        "ca": flags.text("cacert") or None,
        "cert": flags.text("cert") or None,
        "key": flags.text("key") or None,
    }
    if (files["cert"] and not files["key"]) or (files["key"] and not files["cert"]):
        raise Failure(
            "KeyFile and CertFile must both be present"
            f"[key: {files['key'] or ''}, cert: {files['cert'] or ''}]",
            BAD_ARGUMENTS,
        )
    skip = flags.switch("insecure-skip-tls-verify")
    # As in 3.6: to trust everybody is to ask for TLS; 3.5 asks for none then.
    if not (any(files.values()) or domain or skip) and flags.switch("insecure-transport"):
        return None
    from ...client.tls import TLS  # takes a while, and most do without

    return TLS(**files, server_name=domain or None, insecure_skip_verify=skip)


def login_of(flags: FlagValues) -> tuple[str, str]:
    """The user and the password, asked for if there is none; "" where there is no user."""
    user, password = flags.text("user"), flags.text("password")
    if not user or password:
        return user, password
    name, colon, secret = user.partition(":")
    if colon:
        return name, secret
    from ..common.prompt import ask_password

    return user, ask_password("Password: ")
