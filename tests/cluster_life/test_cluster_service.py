"""The Cluster service on its own: what is asked of the log, and what is answered when it is applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from triode.actors import membership_changes as changes
from triode.actors.call import Call
from triode.actors.member import Member, member_id
from triode.actors.membership import Membership
from triode.actors.services.cluster import ClusterService
from triode.config import Config
from triode.errors import (
    EtcdError,
    MemberBadURLs,
    MemberNotEnoughStarted,
    RequestTimeout,
    TooManyLearners,
    Unhealthy,
)
from triode.raft.types import ConfChange, ConfChangeType
from triode.rpc.pb import rpc_pb2 as pb

NOW = 1_700_000_000
URL = "http://10.0.0.9:2380"


class Header:
    def message(self, revision: int) -> bytes:
        assert revision == 0, "headers of this service have none"
        return b""


class Sink:
    def __init__(self) -> None:
        self.news: list[bytes | EtcdError] = []

    def answer(self, tag: int, message: bytes) -> None:
        self.news.append(message)

    def refuse(self, tag: int, error: EtcdError) -> None:
        self.news.append(error)


@attrs.define
class Clock:
    def now(self) -> float:
        return 100.0

    def wall(self) -> float:
        return NOW + 0.9


class World:
    clock = Clock()


class Links:
    """Everybody has been connected for ten seconds, but for those who are not."""

    def __init__(self) -> None:
        self.down: set[int] = set()

    def active_since(self, member: int) -> float | None:
        return None if member in self.down else 90.0


class Node:
    """What the service uses of a node."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.config = Config()
        self.world = World()
        self.peers = Links()
        self.header = Header()
        self.member_id = 1
        self.reads_locally = False
        self.reads: list[Callable[[], None]] = []
        self.proposed: list[tuple[ConfChange, Call]] = []

    def read_index(self, call: Call, then: Callable[[], None]) -> None:
        self.reads.append(then)

    def propose_change(self, change: ConfChange, call: Call) -> None:
        self.proposed.append((change, call))

    def apply(self) -> None:
        """What was proposed last is applied."""
        change, call = self.proposed[-1]
        error = self.membership.apply(change)
        if error is None:
            call.answer(b"")
        else:
            call.refuse(error)


@pytest.fixture
def node(membership: Membership) -> Node:
    for number in (1, 2, 3):
        member = Member(number, (f"http://10.0.0.{number}:2380",), name=f"n{number}")
        assert membership.apply(changes.add(member)) is None
    return Node(membership)


def ask(node: Node, method: str, request: Any) -> Sink:
    sink = Sink()
    service: Any = ClusterService(node)  # type: ignore[arg-type]
    getattr(service, method)(request.SerializeToString(), Call(sink, 0))
    return sink


def test_lists(node: Node) -> None:
    """Linearizable if it is asked for; by ID."""
    at_once = ask(node, "member_list", pb.MemberListRequest())
    listed = pb.MemberListResponse.FromString(at_once.news[0])  # type: ignore[arg-type]
    assert [(m.ID, m.name) for m in listed.members] == [(1, "n1"), (2, "n2"), (3, "n3")]
    later = ask(node, "member_list", pb.MemberListRequest(linearizable=True))
    assert later.news == []
    node.reads[0]()
    assert later.news == at_once.news
    node.reads_locally = True
    assert ask(node, "member_list", pb.MemberListRequest(linearizable=True)).news == at_once.news


@pytest.mark.parametrize("learner", [False, True])
def test_an_addition(node: Node, learner: bool) -> None:
    """The ID comes from the URLs and the time; the answer has the members as they are then."""
    request = pb.MemberAddRequest(peerURLs=[URL, "http://10.0.0.8:1 "], isLearner=learner)
    sink = ask(node, "member_add", request)
    change, _ = node.proposed[0]
    urls = ("http://10.0.0.8:1", URL)
    assert change.node_id == member_id(urls, "", NOW)
    kind = ConfChangeType.ADD_LEARNER_NODE if learner else ConfChangeType.ADD_NODE
    assert change.type is kind
    assert sink.news == []
    node.apply()
    answer = pb.MemberAddResponse.FromString(sink.news[0])  # type: ignore[arg-type]
    assert tuple(answer.member.peerURLs) == urls
    assert (answer.member.ID, answer.member.isLearner) == (change.node_id, learner)
    assert len(answer.members) == 4


@pytest.mark.parametrize(
    "urls",
    [[], ["nonsense"], ["http://10.0.0.9"], ["http://10.0.0.9:1/x"], ["ftp://a:1"], [URL, ""]],
)
def test_urls_that_are_none(node: Node, urls: list[str]) -> None:
    with pytest.raises(MemberBadURLs):
        ask(node, "member_add", pb.MemberAddRequest(peerURLs=urls))
    assert node.proposed == []


def test_strictness(node: Node) -> None:
    """It can be switched off."""
    node.peers.down = {2, 3}
    with pytest.raises(Unhealthy):
        ask(node, "member_add", pb.MemberAddRequest(peerURLs=[URL]))
    with pytest.raises(Unhealthy):
        ask(node, "member_remove", pb.MemberRemoveRequest(ID=1))
    ask(node, "member_remove", pb.MemberRemoveRequest(ID=2))  # it is down: it may go
    assert node.proposed.pop()[0] == changes.remove(2)
    node.config = Config(strict_reconfig_check=False)
    ask(node, "member_add", pb.MemberAddRequest(peerURLs=[URL]))
    ask(node, "member_remove", pb.MemberRemoveRequest(ID=1))
    assert len(node.proposed) == 2


def test_members_that_have_not_started(node: Node) -> None:
    for member in (2, 3):
        node.membership.set_attributes(member, "", [])
    with pytest.raises(MemberNotEnoughStarted):
        ask(node, "member_add", pb.MemberAddRequest(peerURLs=[URL]))
    with pytest.raises(MemberNotEnoughStarted):
        ask(node, "member_remove", pb.MemberRemoveRequest(ID=1))


def test_learners(node: Node) -> None:
    """As many as the setting says; they may always be removed."""
    request = pb.MemberAddRequest(peerURLs=[URL], isLearner=True)
    ask(node, "member_add", request)
    node.apply()
    with pytest.raises(TooManyLearners):
        ask(node, "member_add", pb.MemberAddRequest(peerURLs=["http://x:1"], isLearner=True))
    learner = node.proposed[0][0].node_id
    node.peers.down = {2, 3}
    ask(node, "member_remove", pb.MemberRemoveRequest(ID=learner))
    node.apply()
    assert len(node.membership.members) == 3


def test_an_update(node: Node) -> None:
    request = pb.MemberUpdateRequest(ID=2, peerURLs=[URL])
    sink = ask(node, "member_update", request)
    node.apply()
    answer = pb.MemberUpdateResponse.FromString(sink.news[0])  # type: ignore[arg-type]
    assert [list(member.peerURLs) for member in answer.members][1] == [URL]


def test_what_becomes_of_a_change(node: Node) -> None:
    """A refusal at the apply, or a timeout, is told to the client."""
    sink = ask(
        node, "member_update", pb.MemberUpdateRequest(ID=2, peerURLs=["http://10.0.0.3:2380"])
    )
    node.apply()
    assert [error.message for error in sink.news] == [  # type: ignore[union-attr]
        "etcdserver: Peer URLs already exists"
    ]
    sink = ask(node, "member_update", pb.MemberUpdateRequest(ID=2, peerURLs=[URL]))
    node.proposed[-1][1].refuse(RequestTimeout())
    assert [type(error) for error in sink.news] == [RequestTimeout]
