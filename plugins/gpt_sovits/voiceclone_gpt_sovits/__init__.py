"""The GPT-SoVITS backend of voiceclone: weights of v1 to v4 as they are published and fine-tuned."""

from __future__ import annotations

__version__ = "0.1.0"
