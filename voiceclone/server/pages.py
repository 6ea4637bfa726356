"""Pagination of lists that fit into memory."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from voiceclone.errors import InvalidRequest

DEFAULT_SIZE = 50
MAX_SIZE = 1000


def page_size(asked: int) -> int:
    """Items on one page. Raises InvalidRequest for a negative wish."""
    if asked < 0:
        raise InvalidRequest(f"must be 0 or more, got {asked}.", field="page_size")
    return min(asked or DEFAULT_SIZE, MAX_SIZE)


def page(names: Iterable[str], asked: int, token: str) -> tuple[list[str], str]:
    """The names after ``token``, in order, and the token of the page after; raises InvalidRequest for a foreign token.

    A token holds the last name seen, so that what is added or deleted meanwhile shifts nothing.
    """
    size = page_size(asked)
    try:
        last = base64.urlsafe_b64decode(token.encode("ascii")).decode() if token else ""
    except (UnicodeError, binascii.Error):
        raise InvalidRequest("is not a token that this server gave out.", field="page_token") from None
    rest = sorted(name for name in names if name > last)
    more = len(rest) > size
    return rest[:size], base64.urlsafe_b64encode(rest[size - 1].encode()).decode() if more else ""
