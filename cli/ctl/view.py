"""The printer contract: what a response looks like in each output format.

A command makes a view of its response and calls `ctx.show(view)`; the format asked for decides which method is
called. What a view does not override is not supported for it and ends with exit code 4, as in etcdctl.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..common.exits import BAD_FEATURE, Failure
from ..common.output import Output

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["MessageView", "View", "show"]


class View:
    """One thing to show.

    Attributes:
        hex: print byte strings (simple) or IDs (fields, json) in hexadecimal; set by `show`.
    """

    hex: bool = False

    def simple(self, out: Output) -> None:  # noqa: ARG002 - as overridden
        """For people."""
        raise _unsupported("simple")

    def fields(self, out: Output) -> None:  # noqa: ARG002 - as overridden
        """`"Name" : value`, one a line."""
        raise _unsupported("fields")

    def json(self) -> str:
        """One line of Go's JSON."""
        raise _unsupported("json")

    def protobuf(self) -> bytes:
        """The response on the wire."""
        raise _unsupported("protobuf")

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Header and rows."""
        raise _unsupported("table")


class MessageView(View):
    """A view of a response message: JSON and protobuf come by themselves.

    Args:
        message: the response.
    """

    def __init__(self, message: Message) -> None:
        self.message = message

    def json(self) -> str:
        from .gojson import message_json

        return message_json(self.message)

    def protobuf(self) -> bytes:
        return self.message.SerializeToString(deterministic=True)


def show(view: View, form: str, out: Output, *, hex: bool) -> None:
    """Print a view.

    Args:
        view: what to show.
        form: one of the five output formats.
        out: where to.
        hex: `--hex` was given.

    Raises:
        Failure: this view has no such format (exit code 4).
    """
    view.hex = hex
    if form == "simple":
        view.simple(out)
    elif form == "fields":
        view.fields(out)
    elif form == "json":
        out.line(view.json())
    elif form == "protobuf":
        out.write(view.protobuf())
    elif form == "table":
        from ..common.table import box

        out.write(box(*view.table()))
    else:
        raise Failure("unsupported output format", BAD_FEATURE)
    out.flush()


def _unsupported(form: str) -> Failure:
    return Failure(f"{form} not supported as output format", BAD_FEATURE)
