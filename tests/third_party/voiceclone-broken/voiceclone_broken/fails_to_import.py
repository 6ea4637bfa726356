"""Fails to import, as a plugin does whose dependency is missing."""

import no_such_dependency  # noqa: F401
