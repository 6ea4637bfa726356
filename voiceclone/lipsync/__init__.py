"""Phoneme, word and viseme events from the durations of a frontend's phones."""
