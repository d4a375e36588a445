"""A `Config` made by an embedding program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import triode
from triode.config import Config
from triode.errors import ConfigError


@pytest.mark.parametrize("name", ["data_dir", "wal_dir"])
def test_a_path_may_be_a_text(name: str) -> None:
    """People write paths as texts; the node works with `Path`."""
    settings: dict[str, Any] = {name: "somewhere/else"}
    assert getattr(triode.Config(**settings), name) == Path("somewhere/else")


def test_a_program_may_write_values_as_a_file_does(tmp_path: Path) -> None:
    """And as a program has them: the settings are the same."""
    written = Config(
        data_dir=str(tmp_path),  # type: ignore[arg-type]
        heartbeat_interval="200ms",  # type: ignore[arg-type]
        election_timeout="2s",  # type: ignore[arg-type]
        quota_backend_bytes="2GiB",  # type: ignore[arg-type]
        listen_client_urls="http://127.0.0.1:1,http://127.0.0.1:2",  # type: ignore[arg-type]
        auto_compaction_retention=2,  # type: ignore[arg-type]
    )
    assert written == Config(
        data_dir=tmp_path,
        heartbeat_interval=0.2,
        election_timeout=2,
        quota_backend_bytes=2 << 30,
        listen_client_urls=("http://127.0.0.1:1", "http://127.0.0.1:2"),
        auto_compaction_retention="2",
    )
    assert isinstance(written.election_timeout, float)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("auto_compaction_retention", 3600.0, "3600.0 could be anything; write a duration"),
        ("election_timeout", "2", "'2' is not a duration; write it with a unit, such as \"100ms\""),
        ("election_timeout", True, "True is not a duration"),
        ("heartbeat_interval", None, "None is not a duration"),
        ("quota_backend_bytes", 1.5, '1.5 is not a size; write bytes, or a unit such as "2GiB"'),
        ("quota_backend_bytes", "2 apples", "'2 apples' is not a size"),
        ("listen_client_urls", 2379, "2379 is not a list of URLs"),
        ("listen_peer_urls", [b"http://127.0.0.1:1"], "is not a list of URLs"),
        ("max_wals", "many", "'many' is not a whole number"),
        ("max_wals", 1.0, "1.0 is not a whole number"),
        ("pre_vote", "maybe", "'maybe' is neither true nor false"),
        ("name", None, "None is not a text"),
        ("wal_dir", "", "the path is empty"),
        ("data_dir", b"d", "b'd' is not a text"),
    ],
)
def test_a_value_of_another_kind_names_its_setting(name: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Config(**{name: value})
    assert str(refused.value).startswith(f"{name.replace('_', '-')}: ")
    assert said in str(refused.value)
