"""What a person sees of one member, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio

from triode.actors import Actor

OpenPage = Callable[..., Any]
HOSTILE = "<img src=x onerror='document.hacked=1'><script>document.hacked=1</script>"
STATIC = Path(__file__).parents[2] / "actors" / "ui" / "static"


def rows(page: Any, selector: str) -> list[str]:
    """The texts of what matches, as seen."""
    where = json.dumps(selector)
    found: list[str] = page.run(
        f"[...document.querySelectorAll({where})].map((e) => e.innerText.replace(/\\s+/g, ' ').trim())"
    )
    return found


def go(page: Any, place: str) -> None:
    """Another view."""
    page.run(f"location.hash = {json.dumps(place)}")


def wait_row(page: Any, selector: str, *parts: str) -> None:
    """Wait for a row with all of these texts in it."""
    where, what = json.dumps(selector), json.dumps(parts)
    page.wait(
        f"[...document.querySelectorAll({where})].some((e) => {what}.every((p) => e.innerText.includes(p)))"
    )


def confirm(page: Any, title: str) -> None:
    """Say yes in a dialog with this title, and see it go."""
    page.wait_text("#dialog[open] h2", title)
    page.click("#dialog button[type=submit]")


def test_overview(server: Any, api: Any, open_page: OpenPage) -> None:
    """Who is there, who leads, how far everything is; it follows what happens."""
    page = open_page(server.port)
    page.wait_text("#member-rows", "Leader")
    assert page.run("document.title") == "oak <i>& · Triode"
    [member] = rows(page, "#member-rows tbody tr")
    assert "oak <i>&" in member
    assert "8e9e05c52164694d" in member
    assert "1 voter, quorum 1, 1 in contact" in page.text("#members-note")
    assert page.text("#who-role") == "leader"
    revision = api.put("overview", "1")
    page.wait_text("#figures", f"Revision\n{revision}")
    assert "Raft term\n2\nled by oak <i>&" in page.text("#figures")


def test_a_put_appears_in_the_watch_and_in_the_list(
    server: Any, api: Any, open_page: OpenPage
) -> None:
    page = open_page(server.port, "#watch")
    page.wait_text("#watch-note", "Watching all keys")
    revision = api.put("live/first", "hello")
    wait_row(page, "#event-rows tbody tr", str(revision), "Create", "live/first", "hello")
    api.put("live/first", "again")
    wait_row(page, "#event-rows tbody tr", str(revision + 1), "Put", "again")
    api.delete("live/first")
    wait_row(page, "#event-rows tbody tr", str(revision + 2), "Delete", "live/first")
    go(page, "#keys?prefix=live/")
    page.wait_text("#keys-empty", "No key begins with live/")
    api.put("live/second", "x")
    wait_row(page, "#key-rows li", "second")
    api.delete("live/second")
    page.wait_text("#keys-empty", "No key begins with live/")


def test_a_watch_from_a_revision_and_of_a_prefix(
    server: Any, api: Any, open_page: OpenPage
) -> None:
    first = api.put("past/a", "1")
    api.put("other", "not this")
    last = api.put("past/b", "2")
    page = open_page(server.port, "#watch")
    page.fill("#watch-prefix", "past/")
    page.fill("#watch-from", str(first))
    page.click("#watch-go")
    wait_row(page, "#event-rows tbody tr", str(last), "past/b")
    assert len(rows(page, "#event-rows tbody tr")) == 2
    page.click("#watch-stop")
    page.wait_text("#watch-note", "Stopped. 2 events.")


def test_a_burst_of_events(server: Any, api: Any, open_page: OpenPage) -> None:
    """More than is shown: the latest are, and all are counted."""
    first = 0
    for _ in range(10):
        puts = [{"request_put": {"key": _b64(f"burst/{n:03}"), "value": ""}} for n in range(120)]
        answer = api.call("kv/txn", {"success": puts})
        first = first or int(answer["header"]["revision"])
    page = open_page(server.port, "#watch")
    page.fill("#watch-prefix", "burst/")
    page.fill("#watch-from", str(first))
    page.click("#watch-go")
    page.wait_text("#watch-note", "1,200 events, the last 500 shown")
    wait_row(page, "#event-rows tbody tr:first-child", str(first + 9), "burst/119")
    assert page.run("document.querySelector('#event-rows tbody').childElementCount") == 500


def test_large_values(server: Any, api: Any, open_page: OpenPage) -> None:
    """Are shown in part at first, and those of the past are read when they are wanted."""
    for number in range(8):
        api.put("large", f"{number} " + "lorem ipsum " * 80_000)
    page = open_page(server.port, "#keys?key=large")
    page.wait_text(".value", "7 lorem")
    page.wait_text("#detail .cardline", "The first 64 KiB. Show all 938 KiB")
    assert page.run("document.querySelector('.value').textContent.length") == 65536
    page.click("#detail .cardline button")
    page.wait("document.querySelector('.value').textContent.length > 900000")
    assert "lorem" not in page.text(".history li:nth-child(8)")
    page.click(".history li:nth-child(8) button")
    page.wait_text(".value", "0 lorem")


@pytest.mark.parametrize("depth", [100, 20_000, 300_000])
def test_json_that_is_nested_deep(server: Any, api: Any, open_page: OpenPage, depth: int) -> None:
    """Is shown at once: indents of their own length for each of so many lines would be gigabytes."""
    api.put("deep", "[" * depth + "]" * depth)
    page = open_page(server.port, "#keys?key=deep")
    assert page.wait_text(".value", "[", seconds=5).startswith("[[" if depth > 1000 else "[\n  [\n")
    api.delete("deep")


def test_the_past_of_a_key(server: Any, api: Any, open_page: OpenPage) -> None:
    """Back through its revisions and lives, until what is compacted."""
    api.put("story", "one")
    second = api.put("story", "two")
    api.delete("story")
    api.put("story", json.dumps({"big": 12345678901234567890, "list": [1, 2]}))
    page = open_page(server.port, "#keys?key=story")
    page.wait("document.querySelectorAll('.history li').length === 5")
    page.wait_text(".history", "Created at revision")
    history = rows(page, ".history li")
    assert [("one" in history[3]), ("two" in history[2]), ("deleted" in history[1])] == [True] * 3
    assert page.text(".value") == '{\n  "big": 12345678901234567890,\n  "list": [1, 2]\n}'
    page.click(".history li:nth-child(3) button")
    page.wait("document.querySelector('.value')?.innerText === 'two'")
    assert "As it was: version 2" in page.text("#detail")
    page.click("#detail input[value=hex]")
    page.wait_text(".value", "74 77 6f")
    api.call("kv/compaction", {"revision": str(second)})
    api.put("story", "three")
    wait_row(page, ".history li", "three")
    page.wait_text(".history", f"What was before revision {second} is compacted.")
    assert not any("one" in row for row in rows(page, ".history li"))
    later = api.put("elsewhere", "x")
    api.call("kv/compaction", {"revision": str(later)})
    api.put("story", "four")
    page.wait_text(".history", f"What was before revision {later} is compacted.")
    history = rows(page, ".history li")
    assert len(history) == 3
    assert "four" in history[0]
    assert "three" in history[1]  # it is older than the compaction, and what was left by it


def test_a_key_that_is_gone_still_has_its_past(server: Any, api: Any, open_page: OpenPage) -> None:
    api.put("gone", "it was here")
    api.delete("gone")
    page = open_page(server.port, "#keys?key=gone")
    page.wait_text("#detail", "Deleted at revision")
    wait_row(page, ".history li", "it was here")
    go(page, "#keys?key=never")
    page.wait_text("#detail", "There is no such key")


def test_tree_and_pages(server: Any, api: Any, open_page: OpenPage) -> None:
    """Folders with their counts, keys below them page by page, a list of all without folders."""
    operations = [
        {"request_put": {"key": _b64(f"many/{group}/{n:03}"), "value": ""}}
        for group in ("a", "b")
        for n in range(60)
    ]
    api.call("kv/txn", {"success": operations})
    page = open_page(server.port, "#keys?prefix=many/")
    wait_row(page, "#key-rows li", "a/", "60 keys")
    assert len(rows(page, "#key-rows li")) == 2
    page.click("#key-rows li:first-child a")
    wait_row(page, "#key-rows li", "000")
    assert rows(page, "#crumbs *") == ["All keys", "many/", "a/"]
    assert "60 keys · entries 1\u201350" in page.text("#keys-count")
    page.click("#keys-on")
    wait_row(page, "#key-rows li", "059")
    assert len(rows(page, "#key-rows li")) == 10
    page.click("#keys-back")
    wait_row(page, "#key-rows li", "000")
    go(page, "#keys?prefix=many/&as=list")
    page.wait_text("#keys-count", "120 keys")
    assert rows(page, "#key-rows li")[0].startswith("a/000")
    page.fill("#prefix", "many/b/05")
    page.wait("document.querySelectorAll('#key-rows li').length === 10")


def _b64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()


def test_leases(server: Any, api: Any, open_page: OpenPage) -> None:
    """A lease counts down and goes, with its key; a longer one is revoked, after a question."""
    short, long = api.grant(4, 0x5EED), api.grant(500, 0x10E6)
    api.put("leased/short", "x", lease=short)
    api.put("leased/long", "x", lease=long)
    page = open_page(server.port, "#leases")
    wait_row(page, "#lease-rows tbody tr", "5eed", "leased/short", "granted for 4 s")
    left = "Number(document.querySelector('#lease-rows .left').innerText.match(/(\\d+) s/)[1])"
    before = page.run(left)
    page.wait(f"{left} < {before}")
    wait_row(page, "#lease-rows tbody tr", "10e6", "8 min")
    page.wait("document.querySelectorAll('#lease-rows tbody tr').length === 1", 15)
    assert api.get("leased/short") is None
    page.click("#lease-rows tbody button")
    page.wait_text("#dialog p", "deletes 1 key")
    page.run("document.querySelector('#dialog button[type=button]').click()")
    assert api.get("leased/long") == b"x"
    page.click("#lease-rows tbody button")
    confirm(page, "Revoke the lease?")
    page.wait_text("#leases-empty", "No leases.")
    assert api.get("leased/long") is None


def test_an_alarm(server: Any, api: Any, open_page: OpenPage) -> None:
    member = str(0x8E9E05C52164694D)
    api.call("maintenance/alarm", {"action": "ACTIVATE", "memberID": member, "alarm": "NOSPACE"})
    page = open_page(server.port, "#keys")
    assert "NOSPACE at oak <i>&" in page.wait_text("#alarms", "NOSPACE")
    page.click("#new-key")
    page.fill("#dialog [name=key]", "no/room")
    page.click("#dialog button[type=submit]")
    confirm(page, "Put this value?")
    page.wait_text("#dialog .problem", "etcdserver: mvcc: database space exceeded")
    page.press("Escape", windowsVirtualKeyCode=27)
    page.wait_text("#dialog[open] h2", "New key")  # what was typed is not lost
    page.press("Escape", windowsVirtualKeyCode=27)
    page.wait("!document.querySelector('#dialog[open]')")
    page.click("#alarms button")
    confirm(page, "Disarm the alarm?")
    page.wait("document.querySelector('#alarms').childElementCount === 0")
    assert api.call("maintenance/alarm", {"action": "GET"}).get("alarms") is None
    page.errors.clear()  # the browser notes the put that was refused


def test_hostile_keys_and_values_are_text(server: Any, api: Any, open_page: OpenPage) -> None:
    api.put("hostile/" + HOSTILE, HOSTILE)
    api.put("hostile/\u202etxt.exe\u200b", "\x1b[31m\u202e")
    lease = api.grant(600, 7)
    api.put("hostile/leased" + HOSTILE, HOSTILE, lease=lease)
    page = open_page(server.port, "#watch")
    page.wait_text("#watch-note", "Watching")
    api.put("hostile/" + HOSTILE, HOSTILE)
    wait_row(page, "#event-rows tbody tr", HOSTILE)
    go(page, "#keys?prefix=hostile/&as=list")
    wait_row(page, "#key-rows li", HOSTILE)
    wait_row(page, "#key-rows li", "\\u{202e}txt.exe\\u{200b}")
    page.run(
        "[...document.querySelectorAll('#key-rows a')].find((a) => a.innerText[0] === '<').click()"
    )
    page.wait("document.querySelector('.value')?.innerText.includes('onerror')")
    assert HOSTILE in page.text("#detail .title")
    page.click("[data-focus=edit]")
    page.wait("document.querySelector('#dialog textarea')?.value.includes('onerror')")
    page.press("Escape", windowsVirtualKeyCode=27)
    go(page, "#leases")
    wait_row(page, "#lease-rows tbody tr", "hostile/leased" + HOSTILE)
    go(page, "#keys?prefix=" + HOSTILE + "&key=" + HOSTILE)
    page.wait_text("#keys-empty", "No key begins with <img")
    assert (
        page.run("document.querySelectorAll('main img, main script, main i:not(.dot)').length") == 0
    )
    assert page.run("document.hacked") is None
    api.call("lease/revoke", {"ID": lease})


def test_changing_things(server: Any, api: Any, open_page: OpenPage) -> None:
    """Put, edit, delete, compact: each is asked for, confirmed, and done."""
    page = open_page(server.port, "#keys?prefix=made/")
    page.click("#new-key")
    page.fill("#dialog [name=key]", "made/here \\xff")
    page.fill("#dialog textarea", "ein Wert\nzwei")
    page.click("#dialog button[type=submit]")
    page.wait_text("#dialog[open] h2", "Put this value?")
    assert api.get(b"made/here \xff") is None
    confirm(page, "Put this value?")
    page.wait_text("#toasts", "Put made/here \\xff at revision")
    assert api.get(b"made/here \xff") == b"ein Wert\nzwei"
    page.wait_text(".value", "ein Wert\nzwei")
    page.click("[data-focus=edit]")
    page.click("#dialog [name=kind][value=hex]")
    page.fill("#dialog textarea", "00 fF")
    page.click("#dialog button[type=submit]")
    page.wait_text("#dialog[open] h2", "Put this value?")
    api.put(b"made/here \xff", "another one was faster")
    page.wait_text(".history", "another one was faster")
    confirm(page, "Put this value?")
    page.wait_text("#dialog .problem", "The key has changed since it was opened here.")
    assert api.get(b"made/here \xff") == b"another one was faster"
    page.press("Escape", windowsVirtualKeyCode=27)
    page.wait_text("#dialog[open] h2", "Edit the value")
    assert page.run("document.querySelector('#dialog textarea').value") == "00 fF"
    page.press("Escape", windowsVirtualKeyCode=27)
    page.wait("!document.querySelector('#dialog[open]')")
    page.click("[data-focus=edit]")
    page.wait("document.querySelector('#dialog textarea')?.value === 'another one was faster'")
    page.click("#dialog [name=kind][value=hex]")
    page.fill("#dialog textarea", "00 fF")
    page.click("#dialog button[type=submit]")
    confirm(page, "Put this value?")
    page.wait("document.querySelector('.value')?.innerText.includes('00 ff')")
    assert api.get(b"made/here \xff") == b"\x00\xff"
    page.click("[data-focus=delete]")
    confirm(page, "Delete the key?")
    page.wait_text("#detail", "Deleted at revision")
    assert api.get(b"made/here \xff") is None
    go(page, "#overview")
    page.click("#compact")
    confirm(page, "Compact the history?")
    page.wait_text("#figures", "compacted up to")


def test_the_form_says_what_is_wrong(server: Any, open_page: OpenPage) -> None:
    page = open_page(server.port, "#keys")
    page.click("#new-key")
    page.fill("#dialog [name=key]", "k")
    page.fill("#dialog textarea", "é")
    page.click("#dialog [name=kind][value=hex]")
    assert page.run("document.querySelector('#dialog textarea').value") == "c3 a9"
    page.click("#dialog [name=kind][value=text]")
    assert page.run("document.querySelector('#dialog textarea').value") == "é"
    page.click("#dialog [name=kind][value=hex]")
    page.fill("#dialog textarea", "ff")
    page.click("#dialog [name=kind][value=text]")
    assert page.run("document.querySelector('#dialog [value=hex]').checked")
    page.fill("#dialog textarea", "abc")
    page.click("#dialog button[type=submit]")
    page.wait_text("#dialog .problem", "pairs of the digits")
    page.press("Escape", windowsVirtualKeyCode=27)


def test_read_only(launch_triode: Callable[..., Any], web: ModuleType, open_page: OpenPage) -> None:
    """No button, and no way around: the server refuses what the page's own endpoints are asked."""
    server = launch_triode(backend="memory")
    api = web.Api(server.port)
    api.put("k", "v", lease=api.grant(300, 9))
    page = open_page(server.port, "#keys?key=k")
    page.wait_text(".value", "v")
    assert page.text("#who-mode") == "read-only"
    visible = "[...document.querySelectorAll('button')].filter((b) => b.offsetParent).map((b) => b.innerText)"
    for place in ("#keys?key=k", "#leases", "#overview"):
        go(page, place)
        page.wait(
            "!document.querySelector('main > section:not([hidden])').innerText.includes('Reading')"
        )
        words = " ".join(page.run(visible))
        assert not any(word in words for word in ("New", "Edit", "Delete", "Revoke", "Compact"))
    send = "fetch('/ui/v3/kv/put', {method: 'POST', body: '{\"key\": \"aw==\"}'}).then((r) => r.status)"
    assert page.run(send) == 403
    assert api.get("k") == b"v"
    page.errors.clear()  # the browser notes that refusal


class Clumsy(Actor[str]):
    """Fails with every message."""

    name = "clumsy"
    mailbox_messages_max = 4

    async def handle(self, batch: list[str]) -> None:
        raise ValueError("<b>" + batch[0])


async def test_actors(run_node: Callable[..., Any], open_page: OpenPage) -> None:
    """The tree with mailboxes, restarts and last errors; it folds."""
    async with run_node() as node:
        clumsy = Clumsy()
        await node.supervisor.start_child(clumsy)
        clumsy.ref.tell("oh")

        def look() -> None:
            page = open_page(node.clients.ports[0], "#actors")
            wait_row(page, "#actor-rows tbody tr", "clumsy", "last error", "<b>oh")
            wait_row(page, "#actor-rows tbody tr", "raft-peer", "running")
            row = next(row for row in rows(page, "#actor-rows tbody tr") if "clumsy" in row)
            assert row.endswith(" 1")
            assert "1 restart." in page.text("#actors-note")
            many = len(rows(page, "#actor-rows tbody tr"))
            page.click("#actor-rows tbody tr:first-child button")
            page.wait("document.querySelectorAll('#actor-rows tbody tr').length === 1")
            page.click("#actor-rows tbody tr:first-child button")
            page.wait(f"document.querySelectorAll('#actor-rows tbody tr').length >= {many - 1}")

        await trio.to_thread.run_sync(look)


@pytest.mark.parametrize("seed", [1])
def test_what_is_shown_is_read_back(browser: Any, seed: int) -> None:
    """`parse(shown(bytes))` is `bytes`, for all bytes; hexadecimal and JSON keep what they are given."""
    page = browser.page()
    page.run(
        (STATIC / "text.js").read_text()
        + "\nglobalThis.text = {parse, shown, same, endOf, prettyJson, duration};0"
    )
    wrong = page.run(
        """((seed) => {
          let state = seed;
          const random = (below) => (state = (state * 48271) % 2147483647) % below;
          const pieces = ["a", "\\\\", "x41", "\\\\x41", "u{41}", "é", "\\u202e", "\\u{1f600}", "\\n", "\\0", "n"];
          for (let round = 0; round < 3000; round += 1) {
            let bytes = [];
            for (let at = random(12); at > 0; at -= 1) {
              if (random(3)) bytes.push(random(256));
              else bytes.push(...new TextEncoder().encode(pieces[random(pieces.length)]));
            }
            bytes = Uint8Array.from(bytes);
            const seen = text.shown(bytes);
            if (/[\\p{Cc}\\p{Cf}]/u.test(seen)) return "unseen: " + [...bytes];
            if (!text.same(text.parse(seen), bytes)) return seen + " of " + [...bytes];
          }
          return "";
        })"""
        f"({seed})"
    )
    assert wrong == ""
    assert page.run('text.prettyJson(\'{"a":[],"b":{},"c":1e400,"d":"{,}"}\')') == (
        '{\n  "a": [],\n  "b": {},\n  "c": 1e400,\n  "d": "{,}"\n}'
    )
    assert page.run("[...text.endOf(Uint8Array.of(97, 255, 255))]") == [98]
    assert page.run("[0, 59, 60, 3661, 90000].map(text.duration)") == [
        "0 s", "59 s", "1 min", "1 h 1 min", "1 d 1 h",
    ]  # fmt: skip
    page.close()
