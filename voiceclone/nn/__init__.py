"""Shared model blocks: what more than one backend needs, in plain torch over ``voiceclone.ops``."""
