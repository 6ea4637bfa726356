"""Which checker replays a case: chosen by what meta.json says was run, never by a folder's name."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch

import checkers
from checkers._case import Call, Case

#: Gives the calls of a case, without running any.
Checker: TypeAlias = Callable[[Case, torch.device], Iterator[Call]]
_KNOWN: list[tuple[Callable[[Case], bool], Checker]] = []


def checks(
    implementation: str, cls: str = "", *, when: Callable[[dict[str, Any]], bool] | None = None
) -> Callable[[Checker], Checker]:
    """Register a checker of cases whose implementation and class match the patterns, where ``when(meta)`` holds too.

    ``implementation`` is searched in the original's name, ``cls`` must match the whole of ``meta["class"]``.
    """

    def matches(case: Case) -> bool:
        named = str(case.meta.get("class") or "")
        fits = re.search(implementation, case.implementation) and (not cls or re.fullmatch(cls, named))
        return bool(fits) and (when is None or when(case.meta))

    def register(checker: Checker) -> Checker:
        _KNOWN.append((matches, checker))
        return checker

    return register


def find(case: Case) -> Checker | None:
    """The checker of ``case``; None where its kind is not known. Raises LookupError where two claim it."""
    for module in pkgutil.iter_modules(checkers.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"checkers.{module.name}")
    found = [checker for matches, checker in _KNOWN if matches(case)]
    if len(found) > 1:
        raise LookupError(f"{case.name}: both {found[0].__name__} and {found[1].__name__} claim {case.kind}")
    return found[0] if found else None
