"""How the command line speaks: results on stdout, the rest on stderr, errors as one line that says what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from voiceclone.errors import InvalidRequest, VoicecloneError, describe

#: What typer itself handles. Newer ones bring a click of their own, so its base class is found, not imported.
_WAYS_OUT: tuple[type[BaseException], ...] = (
    typer.Exit,
    typer.Abort,
    next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"),
)
#: Set by --debug: an error then shows where it came from.
_debug = False


def set_debug(on: bool) -> None:
    """Choose whether errors show their trace."""
    global _debug
    _debug = on


class Commands(TyperGroup):
    """A group whose commands fail with one line and exit code 1; wrong usage stays typer's, with exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except _WAYS_OUT:
            raise
        except VoicecloneError as error:
            _fail(error, _described(error))
        except BrokenPipeError:  # `| head` has seen enough
            sys.stderr.close()
            raise typer.Exit(1) from None
        except OSError as error:
            _fail(error, f"{error.filename or 'A file'}: {error.strerror or error}")
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except Exception as error:
            _fail(error, f"{describe(error)}. This should not happen; `voiceclone --debug ...` shows where it did.")


def _described(error: VoicecloneError) -> str:
    """Return the error's line with the fields that are wrong, where it does not name them itself."""
    violations = error.violations if isinstance(error, InvalidRequest) else ()
    wrong = [f"{item.field}: {item.description}" for item in violations if item.description not in str(error)]
    return f"{error} ({'; '.join(wrong)})" if wrong else str(error)


def _fail(error: BaseException, text: str) -> None:
    if _debug:
        raise error
    typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(text, err=True)
    raise typer.Exit(1)


def say(text: str = "") -> None:
    """Print a line of the result."""
    typer.echo(text)


def note(text: str) -> None:
    """Tell the person at the terminal something that is not the result."""
    typer.secho(text, dim=True, err=True)


def show_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Print rows under their columns, or the line ``empty`` where there are none."""
    found = list(rows)
    if not found:
        note(empty)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in found:
        grid.add_row(*(Text(cell) for cell in row))
    console = Console()
    console.print(grid) if console.is_terminal else Console(width=200).print(grid)


def fields(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair a line; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{name.ljust(width)}  {value}")


def key_values(items: Iterable[str], option: str) -> dict[str, str]:
    """Return ``a=1 b=2`` as a mapping. Raises BadParameter (usage, exit code 2)."""
    found = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{item!r} is not of the form KEY=VALUE.", param_hint=option)
        found[key] = value
    return found


def size(count: int) -> str:
    """Return a number of bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB" if count else ""
