"""Ends the process, as a module does that was meant to be a script."""

raise SystemExit(1)
