"""What the page does when members come and go: one that is restarted, and a cluster whose leader dies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

OpenPage = Callable[..., Any]


def expect_lost(page: Any) -> None:
    """While there was nobody, the browser noted that connections failed; nothing else is wrong."""
    page.errors[:] = [text for text in page.errors if "net::ERR_" not in text]


def test_a_member_that_goes_and_comes_back(
    launch_triode: Callable[..., Any], web: ModuleType, open_page: OpenPage
) -> None:
    """It is said, tried again, and everything goes on: the watch from where it was."""
    server = launch_triode()
    api = web.Api(server.port)
    page = open_page(server.port, "#watch")
    page.wait_text("#watch-note", "Watching")
    api.put("before", "1")
    page.wait_text("#event-rows", "before")
    page.hurry = False
    server.kill()
    page.wait_text("#lost", "Connection lost. Retrying")
    assert page.text("#link-text") == "Offline"
    assert "before" in page.text("#event-rows")
    launch_triode(data_dir=server.data_dir, port=server.port)
    api.put("while it was away from the page", "2")
    page.wait("document.querySelector('#link').dataset.state === 'live'", 20)
    assert page.run("document.querySelector('#lost').hidden")
    page.wait_text("#event-rows", "while it was away", 20)
    api.put("after", "3")
    page.wait_text("#event-rows", "after")
    assert page.run("document.querySelectorAll('#event-rows tbody tr').length") == 3
    expect_lost(page)


def test_a_cluster_whose_leader_dies(
    tmp_path: Path, daemons: ModuleType, web: ModuleType, open_page: OpenPage
) -> None:
    """The page of a follower shows who leads, who then leads, and who is away; that of the leader how far all are."""
    cluster = daemons.Cluster(tmp_path, ["triode"] * 3)
    try:
        cluster.start()
        by_id = {f"{one.member_id:x}": one for one in cluster.members}
        leader = by_id[f"{cluster.members[0].client.status().leader:x}"]
        follower = next(one for one in cluster.members if one is not leader)
        page = open_page(follower.client_port, host=follower.host)
        page.wait_text("#members-note", "3 voters, quorum 2, 3 in contact")
        row = page.wait_text("#member-rows tbody tr:has(.tag.accent)", "Leader")
        assert leader.name in row
        assert leader.name in page.text("#who-role")
        head = open_page(leader.client_port, host=leader.host)
        head.wait_text("#who-role", "leader")
        index = (
            "[...document.querySelectorAll('#member-rows td:nth-child(3)')].map((e) => e.innerText)"
        )
        head.wait(
            f"{index}.length === 3 && new Set({index}).size === 1 && !{index}.includes('\\u2013')"
        )
        leader.kill()
        page.wait(
            "document.querySelector('#member-rows tr .dot.bad') !== null"
            " && document.querySelector('#member-rows tr:has(.tag.accent)') !== null"
            f" && !document.querySelector('#who-role').innerText.includes('{leader.name}')",
            20,
        )
        row = page.text("#member-rows tbody tr:has(.tag.accent)")
        assert leader.name not in row
        page.wait_text("#members-note", "2 in contact")
        head.wait_text("#lost", "Connection lost")
        web_api = web.Api(follower.client_port, follower.host)
        revision = web_api.put("after", "the crash")
        page.wait_text("#figures", str(revision))
        expect_lost(head)
    finally:
        cluster.close()
