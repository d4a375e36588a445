"""A process that has everything imported and forks for each command line: `python _fork_server.py SOCKET MODULE PACKAGE...`.

`MODULE` has a function `main`; of each `PACKAGE` all modules are imported.

What a child does is what the console script does in a process of its own: it has its own standard streams, arguments,
environment and folder, and it ends by `sys.exit(main())` at the top of the main module, with all that the interpreter does
at its end. What it saves is starting an interpreter and importing, which is most of a short command's time.

A request is four bytes of length (big-endian) with three descriptors, then JSON; the answers are four bytes each: the
child's process ID, then, when it has ended, its exit code (as `Popen.returncode`).
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import resource
import selectors
import signal
import socket
import struct
import sys
import termios
from typing import Any

CHILDREN_WAITING_MAX = 64


def import_all(package: str) -> None:
    """Import a package with everything in it, as commands are loaded lazily."""
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, package + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)


def received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A request, and the descriptors for the three standard streams."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    size = struct.unpack("!i", head)[0]
    body = b""
    while len(body) < size:
        body += connection.recv(size - len(body))
    return json.loads(body), descriptors


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """In the child: what the kernel and the interpreter do before a main module runs."""
    if request["terminal"]:
        os.setsid()
        fcntl.ioctl(descriptors[0], termios.TIOCSCTTY, 0)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number in request["closed"]:
        os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, request["descriptors"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["words"]
    streams = [("stdin", "r", None), ("stdout", "w", None), ("stderr", "w", "backslashreplace")]
    for number, (name, mode, errors) in enumerate(streams):
        stream = None
        if number not in request["closed"]:
            line = 1 if name == "stderr" or os.isatty(number) else -1
            stream = open(number, mode, line, errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def serve(path: str) -> None:
    """Fork for each request; returns in children only."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # whose it is, is not yet clear
    waiting: dict[int, tuple[int, socket.socket]] = {}
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen(CHILDREN_WAITING_MAX)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:  # whoever started it is gone
                    os._exit(0)
                if key.fileobj is not listener:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    child, connection = waiting.pop(key.fd)
                    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                    with connection, contextlib.suppress(OSError):
                        connection.sendall(struct.pack("!i", code))
                    continue
                connection, _ = listener.accept()
                request, descriptors = received(connection)
                child = os.fork()
                if child == 0:
                    connection.close()
                    for other, (_, its_connection) in waiting.items():
                        its_connection.close()
                        os.close(other)
                    become(request, descriptors)
                    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the entry point does first
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
                    return
                for descriptor in descriptors:
                    os.close(descriptor)
                connection.sendall(struct.pack("!i", child))
                ended = os.pidfd_open(child)
                waiting[ended] = child, connection
                selector.register(ended, selectors.EVENT_READ)


main = importlib.import_module(sys.argv[2]).main
for name in sys.argv[3:]:
    import_all(name)
gc.collect()
gc.freeze()
serve(sys.argv[1])
sys.exit(main())
