"""The models a user added: records beside the voices, and weight folders that can be checked."""

from voiceclone.models.store import ModelRecord, ModelStore

__all__ = ["ModelRecord", "ModelStore"]
