"""The tables of the voice store. Times are microseconds since 1970 in UTC: every database has 64-bit integers."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
)

#: Raised with every change to the tables below; a store of a higher version is refused, not guessed at.
SCHEMA_VERSION = 1

metadata = MetaData()

#: One row. Writers of databases that lock rows, not files, take turns on it.
schema = Table("voiceclone_schema", metadata, Column("version", Integer, nullable=False))

samples = Table(
    "samples",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("sha256", String(64), nullable=False, index=True),
    Column("sample_rate", Integer, nullable=False),
    Column("sample_count", BigInteger, nullable=False),
    Column("transcript", String, nullable=False),
    Column("language", String(35), nullable=False),
    Column("snr_db", Float, nullable=False),
    Column("clipped_fraction", Float, nullable=False),
    Column("speech_fraction", Float, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("create_time", BigInteger, nullable=False),
)

voices = Table(
    "voices",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("id", String(63), nullable=False, unique=True),
    Column("model", String(200), nullable=False, index=True),
    Column("display_name", String(200), nullable=False),
    Column("languages", JSON, nullable=False),
    Column("labels", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("consent_speaker", String(200), nullable=False),
    Column("consent_method", String(32), nullable=False),
    Column("consent_evidence", String(64), nullable=False),
    Column("consent_uses", JSON, nullable=False),
    Column("consent_expire_time", BigInteger),
    Column("consent_revoke_time", BigInteger),
    Column("create_time", BigInteger, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
)

voice_samples = Table(
    "voice_samples",
    metadata,
    Column("voice_uid", ForeignKey("voices.uid", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("sample_id", ForeignKey("samples.id"), nullable=False, index=True),
    PrimaryKeyConstraint("voice_uid", "position"),
)

#: Labels and languages once more, a row each, for filters to find: JSON operators differ between databases.
voice_tags = Table(
    "voice_tags",
    metadata,
    Column("voice_uid", ForeignKey("voices.uid", ondelete="CASCADE"), nullable=False),
    Column("key", String(80), nullable=False),
    Column("value", String(256), nullable=False),
    PrimaryKeyConstraint("voice_uid", "key", "value"),
    Index("voice_tags_by_value", "key", "value"),
)

conditionings = Table(
    "conditionings",
    metadata,
    Column("voice_uid", ForeignKey("voices.uid", ondelete="CASCADE"), nullable=False),
    Column("model", String(200), nullable=False),
    Column("revision", String(200), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    PrimaryKeyConstraint("voice_uid", "model", "revision"),
)

requests = Table(
    "requests",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("voice_uid", ForeignKey("voices.uid", ondelete="CASCADE"), nullable=False, index=True),
    Column("fingerprint", String(64), nullable=False),
    Column("create_time", BigInteger, nullable=False),
)
