"""Judges speech by machine: words understood, voice kept, pitch followed; `python -m benchmarks.quality`."""
