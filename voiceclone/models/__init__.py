"""The models a user added: records beside the voices, and weight folders that can be checked."""

from voiceclone.models.sources import Located, located
from voiceclone.models.store import ModelRecord, ModelStore

__all__ = ["Located", "ModelRecord", "ModelStore", "located"]
