from __future__ import annotations

import pytest

from triode.backends.buffer import Backend
from triode.errors import CorruptData
from triode.mvcc.alarm import CORRUPT, NONE, NOSPACE, Alarm, Alarms
from triode.rpc.pb import rpc_pb2 as pb

MEMBER = 0xFFFF_FFFF_FFFF_FFFE


def test_alarms_outlive_a_restart_until_they_are_disarmed(backend: Backend) -> None:
    alarms = Alarms(backend)
    assert alarms.activate(MEMBER, NOSPACE) == Alarm(MEMBER, NOSPACE)
    assert alarms.activate(MEMBER, NOSPACE) == Alarm(MEMBER, NOSPACE)
    assert alarms.activate(5, CORRUPT) == Alarm(5, CORRUPT)
    assert alarms.activate(5, NONE) is None
    again = Alarms(backend)
    assert again.get() == [Alarm(5, CORRUPT), Alarm(MEMBER, NOSPACE)]
    assert again.get(NOSPACE) == [Alarm(MEMBER, NOSPACE)]
    assert again.raised(CORRUPT)
    assert again.deactivate(5, CORRUPT) == Alarm(5, CORRUPT)
    assert again.deactivate(5, CORRUPT) is None
    assert not again.raised(CORRUPT)
    assert Alarms(backend).get() == [Alarm(MEMBER, NOSPACE)]


def test_the_bucket_is_etcds(backend: Backend) -> None:
    Alarms(backend).activate(MEMBER, NOSPACE)
    key = pb.AlarmMember(memberID=MEMBER, alarm=NOSPACE).SerializeToString()
    assert backend.range("alarm", b"", None) == [(key, b"")]


@pytest.mark.parametrize("bad", [b"\xff", b"\x0a\x01a"])
def test_other_keys_are_corrupt_data(backend: Backend, bad: bytes) -> None:
    backend.put("alarm", bad, b"")
    with pytest.raises(CorruptData):
        Alarms(backend)


def test_an_alarm_of_a_kind_that_is_none_is_the_same_after_a_restart(backend: Backend) -> None:
    """Members that have restarted must answer as those that have not."""
    Alarms(backend).activate(5, -1)
    again = Alarms(backend)
    assert again.get() == [Alarm(5, -1)]
    assert again.deactivate(5, -1) == Alarm(5, -1)
