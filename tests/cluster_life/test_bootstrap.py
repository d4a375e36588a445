"""What a node is at its start: the rules, and the asking over a network of a test's own making."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest
import trio

from triode.actors.bootstrap import (
    Initialized,
    first_members,
    join,
    new_cluster,
    plan,
    refuse_bootstrapped,
    restart,
)
from triode.actors.cluster_version import parse_version
from triode.actors.existing_cluster import (
    ExistingCluster,
    Versions,
    agreed_members,
    compatible,
    read_members,
    read_versions,
)
from triode.actors.member import Member, cluster_id, member_id
from triode.actors.peer_fetch import fetch
from triode.actors.peers.contract import PeerReply
from triode.actors.same_urls import same_urls
from triode.actors.world import Network, TcpNetwork, World
from triode.config import Config
from triode.errors import ConfigError, JoinRefused, MemberRemoved

A, B, C = (f"http://127.0.0.1:1238{n}" for n in range(3))
CLUSTER = f"a={A},b={B},c={C}"


def config(name: str = "a", **settings: Any) -> Config:
    urls = {"a": A, "b": B, "c": C}
    settings.setdefault("initial_cluster", CLUSTER)
    settings.setdefault("initial_advertise_peer_urls", (urls.get(name, A),))
    return Config(name=name, **settings)


Answers = Mapping[str, PeerReply]


def world(answers: Answers, asked: list[str] | None = None) -> World:
    """A world in which peer URLs answer as given; the others refuse."""

    async def ask(network: Network, url: str, target: str, *, seconds_max: float) -> PeerReply:
        await trio.lowlevel.checkpoint()
        if asked is not None:
            asked.append(url + target)
        if url + target not in answers:
            raise ConnectionRefusedError(url)
        return answers[url + target]

    return attrs.evolve(World.real(seed=1), ask_url=ask)


def members_reply(members: Sequence[Member], cluster: int = 0xC1) -> PeerReply:
    body = json.dumps([member.record() for member in members]).encode()
    return PeerReply(200, {"x-etcd-cluster-id": f"{cluster:x}"}, body)


def version_reply(cluster: str = "3.6.0") -> PeerReply:
    return PeerReply(200, {}, json.dumps({"etcdserver": "3.6.1", "etcdcluster": cluster}).encode())


EXISTING = [
    Member(0x11, (A,), name="a", client_urls=("http://127.0.0.1:1",)),
    Member(0x12, (B,), name="b", client_urls=("http://127.0.0.1:2",)),
    Member(0x13, (C,)),
]
RUNNING: Answers = {
    f"{A}/members": members_reply(EXISTING),
    f"{A}/version": version_reply(),
    f"{A}/downgrade/enabled": PeerReply(200, {}, b"false"),
}


# --- a new cluster ------------------------------------------------------------------------------


def test_all_members_begin_with_the_same_log() -> None:
    """Whoever computes them: the same IDs, cluster and entries, in the order of the IDs."""
    urls = {"a": (A,), "b": (B,), "c": (C,)}
    plans = [new_cluster(config(name), urls) for name in urls]
    turned = new_cluster(config("a"), dict(reversed(urls.items())))
    assert plans[0] == turned
    assert {each.cluster_id for each in plans} == {cluster_id(m.id for m in plans[0].members)}
    assert len({each.peers for each in plans}) == 1
    ids = [peer.id for peer in plans[0].peers]
    assert ids == sorted(ids) and len(ids) == 3
    mine = {name: member_id([url], "etcd-cluster") for name, (url,) in urls.items()}
    assert [each.member_id for each in plans] == list(mine.values())
    contexts = [json.loads(peer.context) for peer in plans[0].peers]
    assert {c["name"]: (c["id"], c["peerURLs"]) for c in contexts} == {
        name: (mine[name], [url]) for name, (url,) in urls.items()
    }


def test_the_token_makes_another_cluster() -> None:
    """Two clusters with the same URLs must not mix."""
    urls = {"a": (A,)}
    one = new_cluster(config(), urls)
    other = new_cluster(config(initial_cluster_token="other"), urls)
    assert one.member_id != other.member_id and one.cluster_id != other.cluster_id


async def test_a_single_member_by_default() -> None:
    """Without initial-cluster a node is its own cluster, and asks nobody."""
    asked: list[str] = []
    single = Config(name="x", initial_advertise_peer_urls=(B, A))
    decided = await plan(single, world({}, asked))
    assert decided.member_id == member_id([A, B], "etcd-cluster")
    assert [member.peer_urls for member in decided.members] == [(A, B)]
    assert (decided.restarts, asked) == (False, [])


async def test_a_first_member_of_three() -> None:
    """The others are asked whether they know it; that they do not answer yet is no reason to wait."""
    asked: list[str] = []
    decided = await plan(config("b"), world({}, asked))
    assert decided == new_cluster(config("b"), {"a": (A,), "b": (B,), "c": (C,)})
    assert sorted(asked) == [f"{A}/members", f"{C}/members"]


async def test_lost_data_is_not_begun_anew() -> None:
    """A member that the others know as one that ran would vote a second time in old terms."""
    mine = first_members(config(), {"a": (A,), "b": (B,), "c": (C,)})
    started = [attrs.evolve(member, client_urls=("http://127.0.0.1:1",)) for member in mine]
    answers = {f"{B}/members": members_reply(started)}
    with pytest.raises(JoinRefused, match="has already been bootstrapped"):
        await plan(config(), world(answers))
    answers = {f"{B}/members": members_reply(mine)}  # known, but it has never published itself
    assert (await plan(config(), world(answers))).peers
    refuse_bootstrapped(1, ExistingCluster(1, tuple(EXISTING)))
    refuse_bootstrapped(1, None)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "d"}, 'couldn\'t find local name "d" in the initial cluster configuration'),
    (
        {"initial_cluster": f"a={A},b={A}"},
        f"initial cluster a={A},b={A} has duplicate url",
    ),
    (
        {"initial_advertise_peer_urls": (B,)},
        f"--initial-cluster has a={A} but missing from --initial-advertise-peer-urls={B}",
    ),
    (
        {"initial_advertise_peer_urls": (A, "http://127.0.0.9:9")},
        f"--initial-advertise-peer-urls has http://127.0.0.9:9 but missing from --initial-cluster=a={A}",
    ),
    ({"initial_cluster": f"a={A},b=https://127.0.0.1:1"}, "TLS is not supported yet"),
]


@pytest.mark.parametrize(("settings", "said"), WRONG)
async def test_settings_that_contradict_each_other(settings: dict[str, Any], said: str) -> None:
    """Etcd's words, and nothing is begun."""
    with pytest.raises(ConfigError) as caught:
        await plan(config(**settings), world({}))
    assert said in str(caught.value)


# --- joining ------------------------------------------------------------------------------------


async def test_joining() -> None:
    """IDs come from the cluster, which has them from the addition; nothing is written to the log."""
    asked: list[str] = []
    decided = await plan(config("c", initial_cluster_state="existing"), world(RUNNING, asked))
    assert (decided.member_id, decided.cluster_id, decided.peers) == (0x13, 0xC1, ())
    assert decided.members == tuple(EXISTING)
    assert f"{C}/members" not in asked


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({}, JoinRefused, "could not retrieve cluster information"),
        ({f"{A}/members": PeerReply(404, {}, b"404 page not found\n")}, JoinRefused, "retrieve"),
        ({f"{A}/members": members_reply([])}, JoinRefused, "could not retrieve"),
        (
            {**RUNNING, f"{A}/members": members_reply(EXISTING[:2])},
            ConfigError,
            "member count is unequal",
        ),
        (
            {**RUNNING, f"{A}/members": members_reply([*EXISTING[:2], Member(9, ("http://x:1",))])},
            ConfigError,
            "no match found for existing member (9, http://x:1)",
        ),
        (
            {**RUNNING, f"{A}/version": version_reply("3.7.0")},
            JoinRefused,
            "incompatible with current running cluster",
        ),
        (
            {**RUNNING, f"{A}/version": version_reply("not_decided")},
            JoinRefused,
            "incompatible with current running cluster",
        ),
        (
            {**RUNNING, f"{A}/downgrade/enabled": PeerReply(200, {}, b"true")},
            JoinRefused,
            "incompatible with current running cluster",
        ),
    ],
)
async def test_joining_is_refused(changed: Answers, error: type[Exception], said: str) -> None:
    """When the cluster cannot be asked, is another one, or is of another version."""
    with pytest.raises(error) as caught:
        await plan(config("c", initial_cluster_state="existing"), world(changed))
    assert said in str(caught.value)


STRANGER = members_reply([Member(0x99, ("http://127.0.0.1:9",), name="z")], cluster=0xBAD)


STALE = [*EXISTING[:2], Member(0x99, (C,))]
"""Before the member at C was removed and added anew."""


@pytest.mark.parametrize("stale", [A, B])
async def test_who_lags_does_not_tell_a_joining_member_who_it_is(
    stale: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Its URL had been that of a member that was removed: with the ID of that one it would not be let in."""
    lags, asked = 3, [0]
    answers = {**RUNNING, f"{B}/members": members_reply(EXISTING), f"{B}/version": version_reply()}

    async def ask(network: Network, url: str, target: str, *, seconds_max: float) -> PeerReply:
        await trio.sleep(0.01 if url == stale else 0.02)
        if (url, target) == (stale, "/members"):
            asked[0] += 1
            if asked[0] <= lags:
                return members_reply(STALE)
        if url + target not in answers:
            raise ConnectionRefusedError(url)
        return answers[url + target]

    joining = config("c", initial_cluster_state="existing")
    decided = await plan(joining, attrs.evolve(World.real(seed=1), ask_url=ask))
    assert decided.member_id == 0x13
    assert asked[0] > lags


@pytest.mark.parametrize("before", [EXISTING[:2], STALE])
async def test_who_knows_of_the_removal_alone_makes_it_ask_again(
    before: list[Member], autojump_clock: trio.testing.MockClock
) -> None:
    """One has not applied the removal, and the other nothing behind it."""
    rounds = {A: 0, B: 0}

    async def ask(network: Network, url: str, target: str, *, seconds_max: float) -> PeerReply:
        await trio.sleep(0.01)
        if target == "/members" and url in rounds:
            rounds[url] += 1
            if rounds[url] <= 2:
                return members_reply(
                    before if url == A else STALE if before is not STALE else EXISTING
                )
            return members_reply(EXISTING)
        if url == C:
            raise ConnectionRefusedError(url)
        return RUNNING[A + target]

    joining = config("c", initial_cluster_state="existing")
    decided = await plan(joining, attrs.evolve(World.real(seed=1), ask_url=ask))
    assert decided.member_id == 0x13
    assert rounds[A] == 3


async def test_members_that_never_agree_are_outvoted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """After ten seconds what most say counts, not who is first."""
    names = {name: f"http://127.0.0.1:1239{name}" for name in "12345"}
    mine = names["5"]
    new = [*(Member(int(name), (names[name],)) for name in "1234"), Member(0x13, (mine,))]
    old = [*new[:4], Member(0x99, (mine,))]

    async def ask(network: Network, url: str, target: str, *, seconds_max: float) -> PeerReply:
        if url in (names["3"], mine):
            raise ConnectionRefusedError(url)
        await trio.sleep(0.01 if url == names["4"] else 0.02)
        if target == "/members":
            return members_reply(old if url == names["4"] else new)
        return RUNNING[A + target]

    urls = [names[name] for name in "1234"]
    world = attrs.evolve(World.real(seed=1), ask_url=ask)
    found = await agreed_members(world, urls, {mine}, seconds_max=10.0)
    assert found is not None
    assert found.at({mine}) == 0x13


@pytest.mark.parametrize("body", [b"[" * 200_000, b'[{"id":1e999}]', b"{}", b"null"])
def test_an_answer_that_nobody_can_read_is_none(body: bytes) -> None:
    assert read_members(PeerReply(200, {"x-etcd-cluster-id": "c1"}, body)) is None


async def test_the_only_one_who_answers_is_believed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The other one hangs: joining goes on after a second."""

    async def ask(network: Network, url: str, target: str, *, seconds_max: float) -> PeerReply:
        if url == B:
            await trio.sleep(seconds_max)
            raise TimeoutError(url)
        return RUNNING[url + target]

    joining = config("c", initial_cluster_state="existing")
    decided = await plan(joining, attrs.evolve(World.real(seed=1), ask_url=ask))
    assert decided.member_id == 0x13


@pytest.mark.parametrize("where", [A, C])
async def test_a_stranger_at_a_members_address(where: str) -> None:
    """Its list is passed over if another one has this member in it, and so is what it says of versions."""
    foreign = attrs.evolve(version_reply("2.0.0"), headers={"x-etcd-cluster-id": "bad"})
    answers = {
        **{f"{B}{page}": RUNNING[f"{A}{page}"] for page in ("/members", "/version")},
        f"{where}/members": STRANGER,
        f"{where}/version": foreign,
    }
    config_ = config("a" if where == C else "c", initial_cluster_state="existing")
    decided = await plan(config_, world(answers))
    assert decided.cluster_id == 0xC1


async def test_lost_data_is_told_behind_a_stranger() -> None:
    """Whoever answers first, a member that has been here is not begun anew."""
    mine = member_id((A,), "etcd-cluster")
    known = [Member(mine, (A,), name="a", client_urls=("http://127.0.0.1:1",))]
    with pytest.raises(JoinRefused, match="already been bootstrapped"):
        await plan(
            config("a"), world({f"{B}/members": STRANGER, f"{C}/members": members_reply(known)})
        )


async def test_names_do_not_matter_when_joining() -> None:
    """The URLs do: a member may be called something else by each of its peers."""
    urls = {"x": (A,), "y": (B,), "c": (C,)}
    cluster = ExistingCluster(1, tuple(EXISTING))
    assert (await join(config("c"), urls, cluster)).member_id == 0x13


async def test_two_members_with_the_same_urls() -> None:
    """Then nobody can say who this one is."""
    cluster = ExistingCluster(1, (EXISTING[0], attrs.evolve(EXISTING[0], id=0x99)))
    with pytest.raises(ConfigError, match="'c' is none of"):
        await join(config("c"), {"a": (A,), "c": (C,)}, cluster)


VERSIONS = [
    (["3.6.0"], False, True),
    (["3.6.0", None, "3.6.0"], False, True),
    (["3.0.0"], False, True),
    (["2.3.0"], False, False),
    (["3.6.0", "3.7.0"], False, False),
    (["3.7.0"], True, True),
    (["3.6.0"], True, False),
    (["3.8.0"], True, False),
    (["not_decided", "3.6.0"], False, True),
    (["not_decided"], False, False),
    ([None], False, False),
    ([], False, False),
]


@pytest.mark.parametrize(("clusters", "downgrading", "fits"), VERSIONS)
def test_compatible_versions(clusters: list[str | None], downgrading: bool, fits: bool) -> None:
    """At least one member tells a version in the window, and none one outside."""
    told = [None if cluster is None else Versions("3.6.1", cluster) for cluster in clusters]
    assert compatible(told, downgrading=downgrading, server="3.6.0") is fits


@pytest.mark.parametrize(
    ("text", "version"),
    [("3.6.1", (3, 6, 1)), ("v3.6.1-rc.0+x", (3, 6, 1)), ("3.6", None), ("", None), ("x", None)],
)
def test_versions(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'[{"id":"a"}]', b"[]", b"null", b"\xff"])
def test_answers_that_are_none(body: bytes) -> None:
    """Whoever listens there is no member."""
    assert read_members(PeerReply(200, {"x-etcd-cluster-id": "1"}, body)) is None
    assert read_versions(PeerReply(200, {}, body)) is None
    assert read_members(attrs.evolve(members_reply(EXISTING), headers={})) is None
    assert read_members(attrs.evolve(members_reply(EXISTING), status=500)) is None


# --- restart ------------------------------------------------------------------------------------


async def test_a_restart_knows_who_it_is() -> None:
    """Whatever the settings say now, and without asking anybody."""
    asked: list[str] = []
    found = Initialized(7, 8, {0x11: EXISTING[0]}, {0x99})
    stale = config(initial_cluster_state="existing", initial_cluster="z=http://127.0.0.1:1")
    decided = await plan(stale, world({}, asked), found)
    assert (decided.member_id, decided.cluster_id) == (7, 8)
    assert decided.restarts and not decided.peers and not decided.members and not asked


OTHERS = {EXISTING[0].id: EXISTING[0]}


async def test_a_removed_member_does_not_come_back() -> None:
    """Another member knows that it was removed, so its data is of no use to anybody."""
    knows = {A + "/members": members_reply([EXISTING[0]], 0xC1)}
    with pytest.raises(MemberRemoved, match="permanently removed from the cluster"):
        await plan(config(), world(knows), Initialized(7, 0xC1, OTHERS, {7}))


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {A + "/members": members_reply([EXISTING[0], attrs.evolve(EXISTING[1], id=7)], 0xC1)},
        {A + "/members": members_reply([EXISTING[0]], 0xC2)},
    ],
)
async def test_a_removal_that_nobody_confirms(answers: Answers) -> None:
    """Nobody answers, one that does not know of it, or one of another cluster: its vote may be needed."""
    decided = await plan(config(), world(answers), Initialized(7, 0xC1, OTHERS, {7}))
    assert decided.removed
    assert decided.restarts


def test_more_learners_than_allowed(caplog: pytest.LogCaptureFixture) -> None:
    """The setting was lowered below what there is, or two were added at once: that is no reason to stay away."""
    learners = {n: Member(n, (f"http://x:{n}",), is_learner=True) for n in (1, 2)}
    assert restart(config(max_learners=2), Initialized(7, 8, learners)).restarts
    assert "too many learner" not in caplog.text
    assert restart(config(), Initialized(7, 8, learners)).restarts
    assert "too many learner members in cluster" in caplog.text


# --- URLs ---------------------------------------------------------------------------------------

NAMES = {"one.test": {"10.0.0.1"}, "two.test": {"10.0.0.2", "fe80::2"}, "uno.test": {"10.0.0.1"}}


async def resolve(host: str) -> frozenset[str]:
    await trio.lowlevel.checkpoint()
    return frozenset(NAMES.get(host, ()))


@pytest.mark.parametrize(
    ("some", "others", "same"),
    [
        (["http://10.0.0.1:1"], ["http://10.0.0.1:1"], True),
        (["http://10.0.0.1:1"], ["http://10.0.0.1:2"], False),
        (["http://a:1", "http://b:1"], ["http://b:1", "http://a:1"], True),
        (["http://a:1"], ["http://a:1", "http://b:1"], False),
        (["http://ONE.test:1"], ["http://one.TEST:1"], True),
        (["http://one.test:1"], ["http://10.0.0.1:1"], True),
        (["http://one.test:1"], ["http://uno.test:1"], True),
        (["http://one.test:1"], ["https://10.0.0.1:1"], False),
        (["http://one.test:1"], ["http://two.test:1"], False),
        (
            ["http://two.test:1", "http://one.test:1"],
            ["http://10.0.0.1:1", "http://10.0.0.2:1"],
            True,
        ),
        (["http://two.test:1"], ["http://[fe80::2]:1"], True),
        (["http://none.test:1"], ["http://10.0.0.1:1"], False),
        (["http://localhost:1"], ["http://127.0.0.1:1"], False),
        (["unix:///a"], ["unix:///a"], True),
        (["unix:///a"], ["unix:///b"], False),
    ],
)
async def test_same_urls(some: list[str], others: list[str], same: bool) -> None:
    """Names of the same address are the same place; localhost is only itself."""
    assert await same_urls(some, others, resolve) is same
    assert await same_urls(others, some, resolve) is same


# --- asking over HTTP ---------------------------------------------------------------------------

Serve = Callable[[bytes], trio.lowlevel.Task]


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi"),
        (b"HTTP/1.1 404 NF\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 404, b"no"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
    ],
)
async def test_fetch(answer: bytes, status: int, body: bytes, nursery: trio.Nursery) -> None:
    """However the length of the answer is told."""
    url, requests = await listener(nursery, answer)
    reply = await fetch(TcpNetwork(), url, "/members", seconds_max=10)
    assert (reply.status, reply.body) == (status, body)
    assert requests[0].startswith(b"GET /members HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
)
async def test_fetch_of_what_is_no_answer(answer: bytes, nursery: trio.Nursery) -> None:
    """An OSError for whatever is wrong."""
    url, _ = await listener(nursery, answer)
    with pytest.raises(OSError, match="answer"):
        await fetch(TcpNetwork(), url, "/members", seconds_max=10)


async def test_fetch_of_nobody(autojump_clock: trio.testing.MockClock) -> None:
    """Silence has an end."""
    one, other = trio.testing.memory_stream_pair()

    class Silent:
        async def connect(self, host: str, port: int) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return one

        async def listen(self, host: str, port: int) -> list[trio.abc.Listener[trio.abc.Stream]]:
            raise OSError

    with pytest.raises(TimeoutError):
        await fetch(Silent(), A, "/members", seconds_max=5)
    with pytest.raises(OSError, match="only http"):
        await fetch(TcpNetwork(), "https://127.0.0.1:1", "/members", seconds_max=5)
    del other


async def listener(nursery: trio.Nursery, answer: bytes) -> tuple[str, list[bytes]]:
    """Answers any request with `answer` and closes."""
    requests: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        requests.append(bytes(await stream.receive_some(4096)))
        await stream.send_all(answer)
        await stream.aclose()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, serve, listeners)
    return f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", requests
