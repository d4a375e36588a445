"""The page and its endpoints as a node serves them, over HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import trio

from triode.actors import Actor
from triode.actors.ui.state import CHILDREN_MAX

ROOT = Path(__file__).parents[2]
Ask = Callable[..., Any]
Run = Callable[..., Any]
PUT = json.dumps({"key": "aw==", "value": "dg=="}).encode()
RANGE = json.dumps({"key": "aw=="}).encode()


def policy(reply: Any) -> dict[str, str]:
    """The Content-Security-Policy, by directive."""
    parts = [part.strip() for part in reply.headers["content-security-policy"].split(";")]
    return {part.partition(" ")[0]: part.partition(" ")[2] for part in parts}


async def test_the_page(run_node: Run, ask: Ask) -> None:
    """One document: whole, and nothing in it that its policy does not name."""
    async with run_node() as node:
        for path in ("/ui", "/ui/"):
            reply = await ask(node, "GET", path)
            assert reply.status == 200
            assert reply.headers["content-type"] == "text/html; charset=utf-8"
        text = reply.body.decode()
        rules = policy(reply)
        assert rules["default-src"] == "'none'"
        assert rules["connect-src"] == "'self'"
        assert rules["frame-ancestors"] == "'none'"
        assert rules["require-trusted-types-for"] == "'script'"
        for tag, rule in (("script", "script-src"), ("style", "style-src")):
            inside = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", text, re.DOTALL)
            assert len(inside) == 1
            digest = b64encode(sha256(inside[0].encode()).digest()).decode()
            assert rules[rule] == f"'sha256-{digest}'"
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert not re.search(r"(src|href)=\"(?!#|data:)", text)
        assert not re.search(r"\son[a-z]+=\"", text)
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"


async def test_head_has_no_body(run_node: Run, ask: Ask) -> None:
    async with run_node() as node:
        for path in ("/ui", "/ui/api/node", "/ui/api/actors"):
            whole, head = await ask(node, "GET", path), await ask(node, "HEAD", path)
            assert head.status == 200
            assert head.body == b""
            assert head.headers["content-type"] == whole.headers["content-type"]
        assert int((await ask(node, "HEAD", "/ui")).headers["content-length"]) > 10_000


async def test_other_paths(run_node: Run, ask: Ask) -> None:
    async with run_node() as node:
        for path in ("/ui/x", "/ui/api", "/ui/api/nodes", "/uix", "/ui/static/page.html"):
            assert (await ask(node, "GET", path)).status == 404
        moved = await ask(node, "GET", "/ui//")
        assert (moved.status, moved.headers["location"]) == (301, "/ui/")
        assert (await ask(node, "POST", "/ui", b"{}")).status == 405
        assert (await ask(node, "GET", "/ui/api/key")).status == 400


async def test_off(run_node: Run, ask: Ask) -> None:
    """Nothing is left of it."""
    async with run_node(ui="off") as node:
        for verb, path in (
            ("GET", "/ui"),
            ("HEAD", "/ui/"),
            ("GET", "/ui/api/node"),
            ("GET", "/ui/api/actors"),
            ("POST", "/ui/v3/kv/range"),
        ):
            reply = await ask(node, verb, path, RANGE if verb == "POST" else b"")
            assert reply.status == 404
        assert (await ask(node, "POST", "/v3/kv/range", RANGE)).status == 200


async def test_read_only_is_kept_by_the_server(run_node: Run, ask: Ask) -> None:
    """By default nothing can be changed below /ui, and the refusal says how that would be changed."""
    async with run_node() as node:
        await node.local.put(b"k", b"before")
        for path in ("kv/put", "kv/txn", "kv/deleterange", "kv/compaction", "lease/revoke"):
            reply = await ask(node, "POST", f"/ui/v3/{path}", PUT)
            assert (reply.status, reply.json["code"]) == (403, 7)
            assert "read-write" in reply.json["message"]
        alarm = json.dumps({"action": "ACTIVATE", "memberID": "1", "alarm": "NOSPACE"}).encode()
        assert (await ask(node, "POST", "/ui/v3/maintenance/alarm", alarm)).status == 403
        reply = await ask(node, "POST", "/ui/v3/kv/range", RANGE)
        assert reply.json["kvs"][0]["value"] == b64encode(b"before").decode()
        assert (await ask(node, "GET", "/ui/api/node")).json["ui"] == "read-only"


async def test_read_write(run_node: Run, ask: Ask) -> None:
    async with run_node(ui="read-write") as node:
        assert (await ask(node, "POST", "/ui/v3/kv/put", PUT)).status == 200
        assert (await node.local.get(b"k")).kvs[0].value == b"v"
        assert (await ask(node, "GET", "/ui/api/node")).json["ui"] == "read-write"
        reply = await ask(node, "POST", "/ui/v3/kv/compaction", b'{"revision": 99}')
        assert reply.json["message"] == ("etcdserver: mvcc: required revision is a future revision")


async def test_other_origins_get_nothing(run_node: Run, ask: Ask) -> None:
    """Whatever `cors` says: no page of somebody else's may use this one by way of a browser."""
    async with run_node(ui="read-write", cors="*") as node:
        foreign = {"Origin": "http://evil.example"}
        reply = await ask(node, "POST", "/ui/v3/kv/put", PUT, **foreign)
        assert reply.status == 403
        assert "access-control-allow-origin" not in reply.headers
        own = {"Origin": f"http://127.0.0.1:{node.clients.ports[0]}"}
        reply = await ask(node, "POST", "/ui/v3/kv/put", PUT, **own)
        assert reply.status == 200
        assert "access-control-allow-origin" not in reply.headers
        reply = await ask(node, "GET", "/ui/api/node", **foreign)
        assert reply.status == 403


async def test_hosts_that_are_not_ours(run_node: Run, ask: Ask) -> None:
    async with run_node(host_whitelist="127.0.0.1") as node:
        assert (await ask(node, "GET", "/ui")).status == 200
        assert (await ask(node, "GET", "/ui", Host="evil.example")).status == 421


async def test_without_the_gateway(run_node: Run, ask: Ask) -> None:
    async with run_node(enable_grpc_gateway=False) as node:
        assert (await ask(node, "POST", "/v3/kv/range", RANGE)).status == 404
        assert (await ask(node, "POST", "/ui/v3/kv/range", RANGE)).status == 200


async def test_which_listeners_have_it(run_node: Run, web: ModuleType) -> None:
    """Where HTTP is: not where only gRPC is, nor where only metrics are."""
    more = {
        "listen_client_http_urls": ("http://127.0.0.1:0",),
        "listen_metrics_urls": ("http://127.0.0.1:0",),
    }
    async with run_node(**more) as node:
        (_, http, _), (_, metrics, _) = node.clients._others

        async def status(send: Any, port: int, path: str = "/ui") -> int:
            reply = await trio.to_thread.run_sync(lambda: send(port, "GET", path))
            return int(reply.status)

        assert await status(web.http1, http[0].port) == 200
        assert await status(web.http2, node.clients.ports[0]) == 404
        assert await status(web.http1, metrics[0].port, "/metrics") == 200
        assert await status(web.http1, metrics[0].port) == 404


# --- the endpoints ----------------------------------------------------------------------------------


def shape(value: Any) -> Any:
    """The names in a JSON value; of a list those of its first element."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [shape(value[0])]
    return "value"


def documented(path: str) -> Any:
    """The example in docs/ui.md."""
    page = (ROOT / "docs" / "ui.md").read_text()
    block = re.search(rf"### `GET {re.escape(path)}.*?```json\n(.*?)```", page, re.DOTALL)
    assert block is not None
    return json.loads(block[1])


async def test_the_node(run_node: Run, ask: Ask) -> None:
    async with run_node(name="pine") as node:
        await node.local.put(b"a", b"1")
        await node.local.put(b"a", b"2")
        found = (await ask(node, "GET", "/ui/api/node")).json
        example = documented("/ui/api/node")
        assert shape({**found, "alarms": example["alarms"]}) == shape(example)
        assert found["name"] == "pine"
        assert found["store"]["revision"] == 3
        assert found["store"]["keys"] == 1
        assert found["raft"]["leader"] == found["member_id"] == f"{node.member_id:x}"
        assert found["raft"]["applied_index"] == node.applier.applied_index
        [member] = found["members"]
        assert member["match_index"] == found["raft"]["last_index"]
        assert (member["leader"], member["self"], member["reachable"]) == (True, True, True)


class Clumsy(Actor[str]):
    """Fails with every message."""

    name = "clumsy"
    mailbox_messages_max = 7

    async def handle(self, batch: list[str]) -> None:
        raise ValueError(batch[0])


async def test_the_actors(run_node: Run, ask: Ask) -> None:
    """All of the tree, and what became of an actor that crashed."""
    async with run_node() as node:
        clumsy = Clumsy()
        await node.supervisor.start_child(clumsy)
        clumsy.ref.tell("oh")
        with trio.fail_after(5):
            while not clumsy.statistics().restarts:
                await trio.testing.wait_all_tasks_blocked(0.01)
        tree = (await ask(node, "GET", "/ui/api/actors")).json["actors"]
        assert shape({"actors": tree}) == shape(documented("/ui/api/actors"))
        assert tree["name"] == "node"
        by_name = {child["name"]: child for child in tree["children"]}
        assert by_name.keys() >= {"wal-writer", "applier", "raft-peer", "clients", "clumsy"}
        assert by_name["clumsy"]["restarts"] == 1
        assert by_name["clumsy"]["mailbox_messages_max"] == 7
        assert "oh" in by_name["clumsy"]["last_error"]
        assert by_name["applier"]["messages_handled"] > 0
        assert by_name["applier"]["state_seconds"] > 0


async def test_many_children_are_left_out(run_node: Run, ask: Ask) -> None:
    async with run_node() as node:
        for number in range(CHILDREN_MAX):
            node.supervisor.start_child_nowait(Clumsy(name=f"c{number}"))
        tree = (await ask(node, "GET", "/ui/api/actors")).json["actors"]
        assert len(tree["children"]) == CHILDREN_MAX
        assert tree["children_left_out"] == len(node.supervisor.children) - CHILDREN_MAX > 10


async def test_the_past_of_a_key(run_node: Run, ask: Ask) -> None:
    async with run_node() as node:
        for value in (b"1", b"2"):
            await node.local.put(b"k", value)
        await node.local.delete(b"k")
        await node.local.put(b"k", b"3")
        found = (await ask(node, "GET", "/ui/api/key?key=aw")).json
        assert shape(found) == shape(documented("/ui/api/key"))
        past = [(one["revision"], one["deleted"]) for one in found["revisions"]]
        assert past == [(5, False), (4, True), (3, False), (2, False)]
        found = (await ask(node, "GET", "/ui/api/key?key=aw&before=4&limit=1")).json
        assert found["revisions"] == [{"revision": 3, "deleted": False}]
        assert found["total"] == 4
        found = (await ask(node, "GET", "/ui/api/key?key=bm9uZQ")).json
        assert (found["total"], found["revisions"]) == (0, [])


async def test_a_member_without_a_leader_still_answers(run_node: Run, ask: Ask) -> None:
    """And says so."""
    async with run_node() as node:
        node.context.raft.leader = 0
        found = (await ask(node, "GET", "/ui/api/node")).json
        assert found["raft"]["leader"] is None
        assert not any(member["leader"] for member in found["members"])


async def test_the_metrics_beside_it_are_packed(run_node: Run, ask: Ask) -> None:
    """Over both versions of HTTP, if the client asks."""
    async with run_node() as node:
        packed = await ask(node, "GET", "/metrics", accept_encoding="gzip")
        assert packed.headers["content-encoding"] == "gzip"
        assert b"\netcd_server_has_leader " in gzip.decompress(packed.body)
        assert "content-encoding" not in (await ask(node, "GET", "/metrics")).headers
