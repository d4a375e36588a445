"""A real browser, driven through the Chrome DevTools Protocol over its pipe. Synchronous, and no more than is needed.

Debian's chromium takes commands from descriptor 3 and answers on 4 (`--remote-debugging-pipe`), as JSON that
ends with a zero byte. https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "google-chrome")  # as in the Makefile
ANSWER_SECONDS_MAX = 30.0
READ_BYTES = 1 << 20
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
ON_3_AND_4 = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
WAIT = """new Promise((resolve) => {
  const holds = () => { try { return Boolean(%s); } catch { return false; } };
  let looks = 0;
  const look = () => {
    const found = holds();
    if (found) end(found);
    else if (%s && (looks += 1) %% 5 === 0) dispatchEvent(new Event("online"));
  };
  const timer = setInterval(look, 25);
  const limit = setTimeout(() => end(false), %d);
  const end = (found) => { clearInterval(timer); clearTimeout(limit); resolve(found); };
  look();
})"""


def find_browser() -> str | None:
    """The browser's path, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One process; each page has a profile of its own."""

    def __init__(self, path: str, folder: Path) -> None:
        theirs_in, self._to = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in _pipe())
        self._from, theirs_out = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in _pipe())

        self._log = (folder / "browser.log").open("wb")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", ON_3_AND_4, str(theirs_in), str(theirs_out)),
                *(path, *FLAGS, f"--user-data-dir={folder / 'profile'}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(theirs_in, theirs_out),
            env={**os.environ, "HOME": str(folder)},
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._answers: dict[int, Any] = {}
        self.pages: dict[str, Page] = {}

    def page(self, width: int = 1440, height: int = 900, *, dark: bool = False) -> Page:
        """A new, empty page in a new profile."""
        context: str = self.send("Target.createBrowserContext")["browserContextId"]
        target = self.send("Target.createTarget", url="about:blank", browserContextId=context)
        found = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = self.pages[found["sessionId"]] = Page(self, found["sessionId"], context)
        page.start(width, height, dark=dark)
        return page

    def send(self, method: str, session: str | None = None, **params: Any) -> Any:
        """One command, and its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while number not in self._answers:
            self.read(deadline - time.monotonic())
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def read(self, seconds: float) -> None:
        """Take what the browser says; events go to their pages."""
        ready, _, _ = select.select([self._from], [], [], max(0.0, seconds))
        assert ready, f"the browser does not answer (exit code {self._process.poll()})"
        data = os.read(self._from, READ_BYTES)
        assert data, "the browser has ended"
        *messages, self._buffer = (self._buffer + data).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message
            elif (page := self.pages.get(message.get("sessionId", ""))) is not None:
                page.event(message["method"], message["params"])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._log.close()
        os.close(self._to)
        os.close(self._from)


def _pipe() -> tuple[int, int]:
    return os.pipe()


class Page:
    """One tab.

    Attributes:
        requests: the URLs that it has asked for.
        errors: what a person who looks at the console would see in red.
        hurry: tell the page while something is waited for that the machine is online, whereupon it asks its member
            at once and not at the next second.
    """

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self._context = context
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.hurry = True

    def send(self, method: str, **params: Any) -> Any:
        return self._browser.send(method, self._session, **params)

    def start(self, width: int, height: int, *, dark: bool) -> None:
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.size(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Emulation.setFocusEmulationEnabled", enabled=True)

    def size(self, width: int, height: int) -> None:
        """Of the window; up to 500 pixels it is a phone's."""
        phone = width <= 500
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    def event(self, method: str, params: Any) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            text = details.get("exception", {}).get("description", details["text"])
            self.errors.append(f"{details.get('lineNumber')}: {text}")
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(a.get("value", a)) for a in params["args"]))

    def open(self, url: str) -> None:
        """Go there; what the page then does is waited for by `wait`."""
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        found = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = 10.0) -> None:
        """Wait until an expression is true; fails with the page's text if it is not in time."""
        hurry = "true" if self.hurry else "false"
        found = self.run(WAIT % (condition, hurry, int(seconds * 1000)))
        assert found, f"not so in {seconds} s: {condition}\n{self.text('body')}\n{self.errors}"

    def text(self, selector: str) -> str:
        """What a person reads there."""
        found: str = self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return found

    def wait_text(self, selector: str, part: str, seconds: float = 10.0) -> str:
        """Wait until a text can be seen; the whole text of the element."""
        where, what = json.dumps(selector), json.dumps(part)
        self.wait(
            f"(() => {{ const e = document.querySelector({where});"
            f" return e?.checkVisibility() && e.innerText.includes({what}); }})()",
            seconds,
        )
        return self.text(selector)

    def click(self, selector: str) -> None:
        """As by a mouse, on what is there, visible and enabled."""
        where = json.dumps(selector)
        self.wait(
            f"(() => {{ const e = document.querySelector({where});"
            " return e && e.offsetParent !== null && !e.disabled; })()"
        )
        self.run(f"document.querySelector({where}).click()")

    def fill(self, selector: str, text: str) -> None:
        """Put a text into a field, as a person who types it."""
        where = json.dumps(selector)
        self.wait(f"document.querySelector({where})")
        self.run(
            f"(() => {{ const e = document.querySelector({where}); e.focus(); e.select(); }})()"
        )
        self.send("Input.insertText", text=text)
        self.wait(f"document.querySelector({where}).value === {json.dumps(text)}")

    def press(self, key: str, **more: Any) -> None:
        """One key of the keyboard."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, **more)

    def close(self) -> None:
        """Forget the page and its profile."""
        self.run("0")  # what the browser had to say about the page before has been read then
        self._browser.pages.pop(self._session)
        self._browser.send("Target.disposeBrowserContext", browserContextId=self._context)

    def shoot(self, path: Path) -> None:
        """A picture of what is seen."""
        image = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(image))
