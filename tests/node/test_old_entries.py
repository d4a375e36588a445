"""What members of etcd 3.5 write into the log besides requests of the present API."""

from __future__ import annotations

import pytest

import triode
from triode.actors import proposals
from triode.actors.proposals import V2Request, decode
from triode.protowire import bytes_field, int_field


def entry(path: str, value: str) -> bytes:
    """etcdserverpb.Request: ID 1, Method 2, Path 3, Val 4."""
    fields = (bytes_field(n, text.encode()) for n, text in enumerate(("PUT", path, value), 2))
    return int_field(1, 1 << 60) + b"".join(fields)


async def test_attributes_of_a_member() -> None:
    """They are published as a write below /0/members; the cluster's version is one, too."""
    async with triode.open_node(triode.Config(backend="memory", listen_client_urls=())) as node:
        path = f"/0/members/{node.member_id:x}/attributes"
        said = '{"name":"other","clientURLs":["http://10.0.0.1:2379"]}'
        for one, value in ((path, said), ("/0/version", "3.5.0"), ("/1/whatever", "x")):
            kind, request, request_id = decode(entry(one, value))
            assert (kind, request_id) == (proposals.V2, 0)
            assert request == V2Request("PUT", one, value)
            assert node.executor.execute(kind, request) == b""
        mine = node.context.membership.members[node.member_id]
        assert (mine.name, mine.client_urls) == ("other", ("http://10.0.0.1:2379",))
        assert node.context.membership.version == "3.5.0"


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        int_field(2, 1),
        b"\x22\x00\xa2\x06",
        b"\x22\x00\xa2\x06\x05a",
        b"\xff\xff",
        bytes_field(100, b"\x08\x01"),
    ],
)
def test_what_is_no_entry(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)
