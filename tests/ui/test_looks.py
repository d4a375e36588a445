"""How the page looks and can be used: widths, contrast, names, keyboard, no jumps; on a phone and on a desk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

OpenPage = Callable[..., Any]
VIEWS = ("overview", "keys", "keys?key=config/app.json", "watch", "leases", "actors")
CONTRAST_MIN = 4.5  # WCAG 2.2 AA for small text
SHIFT_MAX = 0.02  # of the window; what is good begins at 0.1
CONTRASTS = """(() => {
  const numbers = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const over = (top, below) => {
    const alpha = top[3] ?? 1;
    return [0, 1, 2].map((at) => top[at] * alpha + below[at] * (1 - alpha));
  };
  const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  const ground = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(numbers(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), canvas);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const poor = [];
  let seen = 0;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own && !element.placeholder) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (element.disabled || element.closest("noscript, .unseen, .skip")) continue;
    const style = own ? getComputedStyle(element) : getComputedStyle(element, "::placeholder");
    const below = ground(element);
    const [a, b] = [light(over(numbers(style.color), below)), light(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen += 1;
    if (ratio < %f) poor.push(`${ratio.toFixed(2)} ${element.tagName} ${element.className} ${(element.textContent || element.placeholder).slice(0, 40)}`);
  }
  return [seen, poor];
})()"""


@pytest.fixture(scope="module")
def busy(server: Any, web: ModuleType) -> Iterator[Any]:
    """A member with a bit of everything, names that are too long among it."""
    api = web.Api(server.port)
    lease = api.grant(900)
    for n in range(60):
        api.put(f"jobs/{n:04}", json.dumps({"id": n, "state": "queued"}))
    for n in range(3):
        api.put("config/app.json", json.dumps({"n": n, "text": "word " * 40, "long": "x" * 400}))
    api.put("services/" + "very-long-name/" * 12 + "end", "y" * 3000, lease=lease)
    api.put("x" * 300, "z")
    api.put("l" * 1000, "v")
    for n in range(60):
        api.put(f"pages/{n:04}", "")
    member = str(0x8E9E05C52164694D)
    api.call("maintenance/alarm", {"action": "ACTIVATE", "memberID": member, "alarm": "NOSPACE"})
    yield server
    api.call("maintenance/alarm", {"action": "DEACTIVATE", "memberID": member, "alarm": "NOSPACE"})


def visit(page: Any, view: str) -> None:
    """Another view, as soon as its first content is there."""
    page.run(f"location.hash = {json.dumps('#' + view)}")
    name = view.partition("?")[0]
    content = {
        "overview": "document.querySelector('#member-rows tbody tr')",
        "keys": "document.querySelector('#key-rows li')",
        "watch": "document.querySelector('#watch-note').innerText",
        "leases": "document.querySelector('#lease-rows tbody tr')",
        "actors": "document.querySelector('#actor-rows tbody tr')",
    }
    page.wait(f"!document.querySelector('#view-{name}').hidden && {content[name]}")
    if "key=" in view:
        page.wait("document.querySelectorAll('.history li').length > 2")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everything_can_be_read(busy: Any, open_page: OpenPage, dark: bool) -> None:
    """Contrast of all texts, in all views and a dialog."""
    page = open_page(busy.port, dark=dark)
    page.run("document.documentElement.style.setProperty('transition', 'none')")
    poor: list[str] = []
    for view in VIEWS:
        visit(page, view)
        seen, found = page.run(CONTRASTS % CONTRAST_MIN)
        assert seen > 15
        poor += [f"{view}: {one}" for one in found]
    visit(page, "keys")
    page.click("#new-key")
    seen, found = page.run(CONTRASTS % CONTRAST_MIN)
    assert poor + found == []


@pytest.mark.parametrize(
    ("width", "height"), [(320, 640), (390, 844), (768, 1024), (1440, 900)], ids=str
)
def test_nothing_is_wider_than_the_window(
    busy: Any, open_page: OpenPage, width: int, height: int
) -> None:
    page = open_page(busy.port, width=width, height=height)
    for view in VIEWS:
        visit(page, view)
        page.run("document.body.style.overflowX = 'visible'")
        assert page.run("document.documentElement.scrollWidth") <= width, view
        out = page.run(
            "[...document.querySelectorAll('button, input, a, td, h2, span, bdi')].filter((e) => {"
            " const box = e.getBoundingClientRect();"
            f" return e.checkVisibility() && box.width && (box.right > {width} + 1 || box.left < 0);"
            " }).filter((e) => !e.closest('.unseen, .skip')).map((e) => e.outerHTML.slice(0, 80))"
        )
        assert out == [], view


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_jumps(busy: Any, open_page: OpenPage, web: ModuleType, width: int) -> None:
    """The layout shifts of a view that lives, over several rounds of news with changes in between."""
    api = web.Api(busy.port)
    page = open_page(busy.port, width=width, height=900)
    page.run(
        "globalThis.shifts = []; new PerformanceObserver((list) => shifts.push(...list.getEntries()"
        ".map((e) => e.value))).observe({type: 'layout-shift', buffered: false}); 0"
    )
    for number, view in enumerate(("overview", "keys?key=config/app.json", "leases")):
        visit(page, view)
        page.run("shifts.length = 0; 0")
        for key in range(3):
            api.delete(f"jobs/{width // 100 + 20 * number + key:04}")
            later = page.run("performance.now()") + 250
            page.wait(f"performance.now() > {later}")
        assert sum(page.run("shifts")) <= SHIFT_MAX, view


@pytest.mark.parametrize("width", [360, 768, 1000, 1440])
def test_the_names_of_actors_can_be_read(busy: Any, open_page: OpenPage, width: int) -> None:
    """At every width; those of connections, which have an address behind them, may be cut."""
    page = open_page(busy.port, "#actors", width=width, height=900)
    page.wait("document.querySelectorAll('#actor-rows tbody tr').length > 10")
    cut = page.run(
        "[...document.querySelectorAll('#actor-rows .name .mono')].filter((e) => !/ /.test(e.innerText)"
        " && e.checkVisibility() && e.scrollWidth > e.clientWidth).map((e) => e.innerText)"
    )
    assert cut == []


@pytest.mark.parametrize("width", [390, 1440])
def test_what_is_long_leaves_room(
    busy: Any, open_page: OpenPage, web: ModuleType, width: int
) -> None:
    """Keys, prefixes and alarms scroll in their place; their ends can be reached."""
    api = web.Api(busy.port)
    page = open_page(busy.port, "#keys?key=" + "l" * 1000, width=width, height=800)
    page.wait_text(".value", "v")
    high = "document.querySelector(%r).getBoundingClientRect().height"
    assert page.run(high % "#detail .title") < 150
    page.run("document.querySelector('#detail .title').scrollTop = 9999; 0")
    assert page.run("document.querySelector('#detail .title').scrollTop") > 0
    visit(page, "keys?prefix=" + "l" * 990)
    assert page.run(high % "#crumbs") < 150
    alarms = [{"action": "ACTIVATE", "memberID": str(n), "alarm": "NOSPACE"} for n in range(1, 13)]
    try:
        for alarm in alarms:
            api.call("maintenance/alarm", alarm)
        page.wait("document.querySelectorAll('#alarms .notice').length >= 12")
        assert page.run(high % ".top") < 400
    finally:
        for alarm in alarms:
            api.call("maintenance/alarm", {**alarm, "action": "DEACTIVATE"})


@pytest.mark.parametrize("width", [390, 1440])
def test_the_head_covers_nothing_that_is_gone_to(
    busy: Any, open_page: OpenPage, width: int
) -> None:
    """Another page begins below the head, and so does what gets the focus on the way up."""
    page = open_page(busy.port, "#keys?prefix=pages/", width=width, height=600)
    page.wait("document.querySelectorAll('#key-rows li').length === 50")
    below = (
        "document.querySelector(%r).getBoundingClientRect().top"
        " >= document.querySelector('.top').getBoundingClientRect().bottom"
    )
    page.run("scrollTo(0, 9999); 0")
    page.click("#keys-on")
    page.wait("!document.querySelector('#keys-back').disabled")
    assert page.run(below % "#prefix")
    page.click("#keys-back")
    page.wait("document.querySelectorAll('#key-rows li').length === 50")
    page.run("scrollTo(0, 9999); document.querySelector('#key-rows li:nth-child(10) a').focus()")
    assert page.run(below % "#key-rows li:nth-child(10) a")


def test_with_colours_of_the_readers_own(busy: Any, open_page: OpenPage) -> None:
    """Where backgrounds and colours are forced, what is chosen, full or in order can still be told from what is not."""
    page = open_page(busy.port, "#keys?prefix=jobs/&key=jobs/0059")
    page.send("Emulation.setEmulatedMedia", features=[{"name": "forced-colors", "value": "active"}])
    page.wait("matchMedia('(forced-colors: active)').matches && document.querySelector('.value')")
    page.wait("document.querySelector('#key-rows [aria-current]')")
    for chosen, other, what in (
        (".bar nav a[aria-current]", ".bar nav a:not([aria-current])", "borderBottomColor"),
        ("#key-rows [aria-current]", "#key-rows a:not([aria-current])", "backgroundColor"),
        ("#key-rows [aria-current] .name", "#key-rows a:not([aria-current]) .name", "color"),
        (".choice input:checked + span", ".choice input:not(:checked) + span", "backgroundColor"),
        (".link i", "body", "backgroundColor"),
    ):
        one, two = (
            page.run(f"getComputedStyle(document.querySelector({json.dumps(s)})).{what}")
            for s in (chosen, other)
        )
        assert one != two, chosen
    visit(page, "leases")
    full = "getComputedStyle(document.querySelector('#lease-rows %s')).backgroundColor"
    assert page.run(full % ".bar-in") != page.run(full % ".bar-out")


def test_everything_has_a_name_and_a_place(busy: Any, open_page: OpenPage) -> None:
    """What can be operated has a name for a screen reader, and the page has its landmarks."""
    page = open_page(busy.port)
    page.send("Accessibility.enable")
    for view in VIEWS:
        visit(page, view)
        nodes = [n for n in page.send("Accessibility.getFullAXTree")["nodes"] if not n["ignored"]]
        roles = {node["role"]["value"] for node in nodes}
        assert roles >= {"banner", "navigation", "main", "heading"}
        nameless = [
            node["role"]["value"]
            for node in nodes
            if node["role"]["value"]
            in ("button", "link", "textbox", "searchbox", "radio", "table", "columnheader")
            and not node.get("name", {}).get("value")
        ]
        assert [role for role in nameless if role != "table"] == [], view
    assert page.run("document.documentElement.lang") == "en"


def test_by_keyboard_alone(busy: Any, open_page: OpenPage) -> None:
    """To a key and back, into a dialog and out of it; where one is can be seen."""
    page = open_page(busy.port)
    tab = {"windowsVirtualKeyCode": 9}
    page.press("Tab", **tab)
    assert page.run("document.activeElement.className") == "skip"
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for _ in range(3):
        page.press("Tab", **tab)
    assert page.run("document.activeElement.innerText") == "Keys"
    page.press("Enter", windowsVirtualKeyCode=13, text="\r")
    visit(page, "keys")
    for _ in range(60):
        page.press("Tab", **tab)
        if page.run("document.activeElement.closest('#key-rows') !== null"):
            break
    page.press("Enter", windowsVirtualKeyCode=13, text="\r")
    page.wait_text("#crumbs", "config/")
    page.wait("document.activeElement.innerText.startsWith('app.json')")
    page.press("Enter", windowsVirtualKeyCode=13, text="\r")
    page.wait("document.querySelectorAll('.history li').length > 2")
    page.run("document.querySelector('[data-focus=edit]').focus()")
    page.press("Enter", windowsVirtualKeyCode=13, text="\r")
    page.wait("document.activeElement.tagName === 'TEXTAREA'")
    # Behind the dialog the key is drawn anew, as when more of its past comes.
    page.run("document.querySelector('#detail [data-focus=hex]').click()")
    page.wait("document.querySelector('#detail .value.hex')")
    page.press("Escape", windowsVirtualKeyCode=27)
    page.wait("document.activeElement.dataset.focus === 'edit'")


def test_on_a_phone_a_key_takes_the_whole_width(busy: Any, open_page: OpenPage) -> None:
    page = open_page(busy.port, "#keys?prefix=config/", width=390, height=844)
    page.click("#key-rows li a")
    page.wait("document.querySelectorAll('.history li').length > 2")
    assert not page.run("document.querySelector('#key-rows').checkVisibility()")
    page.click("#detail .back")
    page.wait("document.querySelector('#key-rows').checkVisibility()")
    assert page.run("document.activeElement.innerText").startswith("app.json")
