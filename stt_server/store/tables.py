"""The tables as they are now. How they became so is in `migrations/`; a test compares the two.

| table | a row |
| --- | --- |
| `keys` | an API key: who it is for, what it may, the hash of its secret |
| `key_usage` | the seconds of audio one key had recognised on one day of UTC |
| `model_usage` | what of that which model heard, and in how many streams and uploads |
| `people` | somebody who gives or judges clips: an opaque id behind a key or a token |
| `consents` | what one of them agreed to, when, by which way, what for, until when |
| `clips` | a recording that is kept: where its bytes are, what was heard in it, how its judging stands |
| `leases` | the clip that one person judges at this moment; nobody else gets it until it expires |
| `votes` | one person's verdict on one clip |
| `skips` | a clip that one person passed over; it does not come back to that one |
| `datasets` | a name that clips are gathered under; it grows |
| `dataset_clips` | a clip in a dataset |
| `snapshots` | an immutable version of a dataset |
| `snapshot_clips` | a clip as one snapshot has it; after withdrawal a tombstone without text |
| `erasures` | bytes that nothing points to any more and that must go from the object store |
| `audit` | what was done to consent and clips, by whom: ids and numbers, never audio or text |
| `secrets` | what the servers over this database sign with |
| `models` | a bundle that can be served: where its bytes are, what it came from, how well it hears |
| `routes` | which model hears which sessions; the live model is the route of kind `live` |
| `route_changes` | each change of the routes, by whom and why; the newest id is what servers follow |
| `gate_reports` | whether a candidate was shown to be better, with every figure |
| `jobs` | a training run that was asked for, and how it stands |
| `notices` | that a job ended, still to be told by webhook or e-mail |
| `custom_models` | a model that a key asked for by name, and trains anew as its datasets grow |
| `custom_model_datasets` | a dataset of one of those |
| `shadow_days` | how often a candidate that listened in silence heard something else, by day |
| `vocabularies` | names and sentences that the streams of a key are to hear, or everybody's where it is of no key |
| `vocabulary_changes` | the last change of those; its id is what servers follow |
| `language_models` | a language model's file by name and version; the newest of a name answers |
| `trial_counts` | what came of the streams of a canary, or of the live model beside it, over all servers |
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no zone, and PostgreSQL gives its own: in reading it is UTC again."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: object) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: object) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Names for what a database would name by itself, so that a later migration can name it, too.
METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

KEYS: Final = Table(
    "keys",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("secret_sha256", LargeBinary(32), nullable=False),
    Column("scopes", String(200), nullable=False),  # sorted, with blanks between
    Column("max_streams", Integer),
    Column("max_uploads", Integer),
    Column("audio_s_per_day", Float),
    Column("requests_per_minute", Integer),
    Column("created", Moment, nullable=False),
    Column("expires", Moment),
    Column("revoked", Moment),
    Column("last_used", Moment),  # to the minute
    Column("vocabulary", String(64)),  # that its streams hear unless they say otherwise
)

KEY_USAGE: Final = Table(
    "key_usage",
    METADATA,
    Column("key_id", String(32), ForeignKey("keys.id"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("audio_s", Float, nullable=False),
)

MODEL_USAGE: Final = Table(
    "model_usage",
    METADATA,
    Column("key_id", String(32), ForeignKey("keys.id"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("model", String(100), primary_key=True),  # by its name, whatever version
    Column("audio_s", Float, nullable=False),
    Column("streams", Integer, nullable=False),
    Column("uploads", Integer, nullable=False),
)

PEOPLE: Final = Table(
    "people",
    METADATA,
    Column("id", String(32), primary_key=True),  # random; never in an export
    Column("key_id", String(32), ForeignKey("keys.id"), unique=True),  # the key that stands for this person
    Column("token_sha256", LargeBinary(32)),  # of the token that does, where there is one
    Column("created", Moment, nullable=False),
    Column("withdrawn", Moment),  # everything of theirs is gone; the row stays, so that the token says so
)

CONSENTS: Final = Table(
    "consents",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("person_id", String(32), ForeignKey("people.id"), nullable=False, index=True),
    Column("version", String(40), nullable=False),
    Column("text", Text, nullable=False),  # the words agreed to
    Column("purposes", String(100), nullable=False),  # sorted, with blanks between
    Column("way", String(20), nullable=False),  # page, api, command, import
    Column("given", Moment, nullable=False),
    Column("expires", Moment),
    Column("ended", Moment),  # withdrawn, or another one took its place
)

CLIPS: Final = Table(
    "clips",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("person_id", String(32), ForeignKey("people.id"), index=True),
    Column("consent_id", String(32), ForeignKey("consents.id"), index=True),  # either this …
    Column("statement", Text),  # … or why an uploader may give it
    Column("licence", String(100), nullable=False),
    Column("purposes", String(100), nullable=False),  # as in the consent, when the clip was kept
    Column("origin", String(20), nullable=False),  # stream, upload, ovos, recorder, import
    Column("protocol", String(40), nullable=False),
    Column("device", String(100), nullable=False),
    Column("session", String(64), nullable=False),
    Column("created", Moment, nullable=False),
    Column("expires", Moment),  # if it is not judged before
    Column("object_key", String(200), nullable=False, unique=True),
    Column("sha256", LargeBinary(32), nullable=False, index=True),  # of the samples
    Column("fingerprint", LargeBinary(64)),  # of what it sounds like, for near duplicates
    Column("size", Integer, nullable=False),  # bytes of the object
    Column("duration_s", Float, nullable=False),
    Column("hypothesis", Text, nullable=False),
    Column("words", JSON, nullable=False),  # [[text, start_s, end_s, confidence], …], seconds from the clip's start
    Column("confidence", Float, nullable=False),
    Column("greedy", Text),  # what was heard without a language model, where that is another text
    Column("model", String(100), nullable=False),
    Column("lm", String(100), nullable=False),
    Column("language", String(20), nullable=False),
    Column("script", Text),  # the sentence that was to be said
    Column("reference", Text),  # a transcript that came with it
    Column("status", String(20), nullable=False),  # waiting, decided, parked, quarantined
    Column("verdict", String(20)),  # what was decided
    Column("text", Text),  # the words that were agreed on
    Column("decided", Moment),
    Column("round", Integer, nullable=False),  # of judging; reopening begins another
    Column("value", Float, nullable=False),  # how much a judgement of it is worth; the highest is asked first
    Column("suspect", Float, nullable=False),  # how sure training is that its label is wrong
    Column("gold", Boolean, nullable=False),  # its text is known; it measures taggers
    Column("duplicate_of", String(32), ForeignKey("clips.id"), index=True),  # judged with that one
    Index("ix_clips_queue", "status", "value"),
    Index("ix_clips_created", "created"),
)

LEASES: Final = Table(
    "leases",
    METADATA,
    Column("clip_id", String(32), ForeignKey("clips.id"), primary_key=True),  # so no clip is leased twice
    Column("id", String(32), nullable=False, unique=True),
    Column("person_id", String(32), ForeignKey("people.id"), nullable=False, index=True),
    Column("leased", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
)

VOTES: Final = Table(
    "votes",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("clip_id", String(32), ForeignKey("clips.id"), nullable=False),
    Column("person_id", String(32), ForeignKey("people.id"), nullable=False, index=True),
    Column("round", Integer, nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("text", Text),
    Column("normal_text", Text),  # the form in which texts are compared
    Column("expert", Boolean, nullable=False),
    Column("seconds", Float, nullable=False),  # from lease to vote
    Column("created", Moment, nullable=False),
    UniqueConstraint("clip_id", "person_id", "round"),
)

SKIPS: Final = Table(
    "skips",
    METADATA,
    Column("clip_id", String(32), ForeignKey("clips.id"), primary_key=True),
    Column("person_id", String(32), ForeignKey("people.id"), primary_key=True),
    Column("created", Moment, nullable=False),
)

DATASETS: Final = Table(
    "datasets",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("licence", String(100), nullable=False),
    Column("script", JSON),  # what the recorder page asks for: [[sentence, how often], …]
    Column("created", Moment, nullable=False),
    Column("created_by", String(32), nullable=False),
    Column("removed", Moment),  # it is gone but for its snapshots, and its name is free
)

DATASET_CLIPS: Final = Table(
    "dataset_clips",
    METADATA,
    Column("dataset_id", String(32), ForeignKey("datasets.id"), primary_key=True),
    Column("clip_id", String(32), ForeignKey("clips.id"), primary_key=True),
    Column("added", Moment, nullable=False),
    Index("ix_dataset_clips_clip", "clip_id"),
)

SNAPSHOTS: Final = Table(
    "snapshots",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("dataset_id", String(32), ForeignKey("datasets.id"), nullable=False),
    Column("number", Integer, nullable=False),  # 1, 2, … of its dataset
    Column("purpose", String(20), nullable=False),  # training or release
    Column("created", Moment, nullable=False),
    Column("created_by", String(32), nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),  # of its rows as they were made
    Column("statistics", JSON, nullable=False),
    Column("licence_text", Text, nullable=False),
    UniqueConstraint("dataset_id", "number"),
)

SNAPSHOT_CLIPS: Final = Table(
    "snapshot_clips",
    METADATA,
    Column("snapshot_id", String(32), ForeignKey("snapshots.id"), primary_key=True),
    Column("clip_id", String(32), primary_key=True),  # of a clip that may be gone
    Column("split", String(10), nullable=False),
    Column("text", Text),
    Column("row_sha256", LargeBinary(32), nullable=False),
    Column("withdrawn", Moment),  # a tombstone: the row must not be used any more, and has no text
    Index("ix_snapshot_clips_clip", "clip_id"),
)

ERASURES: Final = Table(
    "erasures",
    METADATA,
    Column("object_key", String(200), primary_key=True),
    Column("asked", Moment, nullable=False),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("moment", Moment, nullable=False),
    Column("action", String(40), nullable=False),
    Column("actor", String(40), nullable=False),  # a person's or key's id, "server" or "command"
    Column("subject", String(40), nullable=False),  # whom or what it was done to: an id
    Column("details", JSON, nullable=False),  # numbers and ids
    Index("ix_audit_subject", "subject"),
)

SECRETS: Final = Table(
    "secrets",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("value", LargeBinary(32), nullable=False),
)

MODELS: Final = Table(
    "models",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(100), nullable=False),  # what a client may ask for; versions of one model share it
    Column("version", String(100), nullable=False),
    Column("language", String(20), nullable=False),
    Column("place", Text, nullable=False),  # a shipped bundle's name or path; "" where the bytes are an object
    Column("object_key", String(200)),  # of the zipped bundle
    Column("sha256", LargeBinary(32), nullable=False),  # of the manifest, which holds those of all files
    Column("size", Integer, nullable=False),  # bytes of the object
    Column("status", String(20), nullable=False),  # candidate, accepted (was live or imported), refused, removed
    Column("created", Moment, nullable=False),
    Column("created_by", String(40), nullable=False),
    Column("person_id", String(32), ForeignKey("people.id")),  # whose personal model it is
    Column("base_id", String(32), ForeignKey("models.id")),  # the model it was tuned from
    Column("job_id", String(32), index=True),  # the run it came from
    Column("snapshot_id", String(32), index=True),  # what it learned from
    Column("error_rates", JSON, nullable=False),  # as in the bundle's manifest
    Column("lineage", JSON, nullable=False),  # as in the bundle's manifest
    Index("ix_models_name", "name"),
)

ROUTES: Final = Table(
    "routes",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("kind", String(20), nullable=False),  # live, language, name, person, canary, shadow
    Column("key", String(100), nullable=False),  # "" for live, canary, shadow; else language, name, person's id
    Column("model_id", String(32), ForeignKey("models.id"), nullable=False),
    Column("share", Float, nullable=False),  # of sessions: 1 but for canary and shadow
    UniqueConstraint("kind", "key"),
)

ROUTE_CHANGES: Final = Table(
    "route_changes",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),  # the catalog's revision
    Column("moment", Moment, nullable=False),
    Column("actor", String(40), nullable=False),  # a key's id, "command", "worker" or "server"
    Column("action", String(20), nullable=False),  # promote, rollback, route, unroute, remove
    Column("kind", String(20), nullable=False),  # of the route
    Column("key", String(100), nullable=False),
    Column("model_id", String(32), ForeignKey("models.id")),  # None: the route is gone
    Column("previous_id", String(32), ForeignKey("models.id")),
    Column("report_id", String(32)),  # the gate's, where one was passed
    Column("reason", Text, nullable=False),  # in words; why, where no gate was passed
)

GATE_REPORTS: Final = Table(
    "gate_reports",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("model_id", String(32), ForeignKey("models.id"), nullable=False, index=True),
    Column("base_id", String(32), ForeignKey("models.id")),  # the model it was held against
    Column("job_id", String(32)),
    Column("created", Moment, nullable=False),
    Column("verdict", String(20), nullable=False),  # passed, refused, undecided
    Column("report", JSON, nullable=False),  # as in its file
    Column("html_key", String(200)),  # the object with the page
)

JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("kind", String(20), nullable=False),  # train
    Column("status", String(20), nullable=False),  # waiting, running, done, failed, cancelled
    Column("params", JSON, nullable=False),  # as the kind understands them
    Column("created", Moment, nullable=False),
    Column("created_by", String(40), nullable=False),  # a key's id, "command", "schedule" or "clips"
    Column("not_before", Moment),  # a retry waits
    Column("attempt", Integer, nullable=False),  # how often it was begun
    Column("max_attempts", Integer, nullable=False),
    Column("worker", String(100)),  # who works at it
    Column("lease_until", Moment),
    Column("cancel", Boolean, nullable=False),  # somebody wants it to end
    Column("stage", String(40), nullable=False),  # snapshot, fit, export, evaluate, gate, publish; "" before
    Column("progress", Float, nullable=False),  # 0 to 1
    Column("log", Text, nullable=False),  # the last lines
    Column("error", Text, nullable=False),
    Column("result", JSON, nullable=False),  # ids and figures
    Column("started", Moment),
    Column("finished", Moment),
    Index("ix_jobs_status", "status", "created"),
)

NOTICES: Final = Table(
    "notices",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("job_id", String(32), ForeignKey("jobs.id"), nullable=False),
    Column("channel", String(20), nullable=False),  # webhook, mail
    Column("attempt", Integer, nullable=False),
    Column("next_try", Moment),  # None: told, or given up
    Column("told", Moment),
    Column("error", Text, nullable=False),
    UniqueConstraint("job_id", "channel"),
)

CUSTOM_MODELS: Final = Table(
    "custom_models",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("key_id", String(32), nullable=False, index=True),  # who asked for it; "" on an open server
    Column("created", Moment, nullable=False),
    Column("base_id", String(32)),  # a model's id, or None for the live one
    Column("job_id", String(32)),  # the last run
    Column("model_id", String(32), ForeignKey("models.id")),  # what came out of it
    Column("deployed", Moment),
)

CUSTOM_MODEL_DATASETS: Final = Table(
    "custom_model_datasets",
    METADATA,
    Column("custom_model_id", String(36), ForeignKey("custom_models.id"), primary_key=True),
    Column("dataset_id", String(32), ForeignKey("datasets.id"), primary_key=True),
)

SHADOW_DAYS: Final = Table(
    "shadow_days",
    METADATA,
    Column("day", Date, primary_key=True),
    Column("model_id", String(32), ForeignKey("models.id"), primary_key=True),  # the one in the shadow
    Column("live_id", String(32), primary_key=True),  # the one that answered
    Column("utterances", Integer, nullable=False),
    Column("differing", Integer, nullable=False),  # of those, with other words
    Column("words", Integer, nullable=False),  # of the live answers
    Column("edits", Integer, nullable=False),  # between the two
)

VOCABULARIES: Final = Table(
    "vocabularies",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("key_id", String(32), nullable=False),  # whose it is; "" for one that everybody may use
    Column("name", String(64), nullable=False),
    Column("version", Integer, nullable=False),  # counted from 1 by every change
    Column("body", JSON, nullable=False),  # as vocabularies/definition.py has it
    Column("created", Moment, nullable=False),
    Column("changed", Moment, nullable=False),
    UniqueConstraint("key_id", "name"),
)

VOCABULARY_CHANGES: Final = Table(
    "vocabulary_changes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("moment", Moment, nullable=False),
)

LANGUAGE_MODELS: Final = Table(
    "language_models",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),  # what a stream's option `lm` says
    Column("version", Integer, nullable=False),  # 1, 2, … of a name
    Column("object_key", String(200)),  # of the file, whatever its form; None: removed
    Column("sha256", LargeBinary(32), nullable=False),  # of the file
    Column("size", Integer, nullable=False),  # bytes of the file
    Column("alpha", Float),  # its own weights; None: the model bundle's
    Column("beta", Float),
    Column("lineage", JSON, nullable=False),  # what file it was, of which order
    Column("reason", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("created_by", String(40), nullable=False),
    Column("removed", Moment),
    Column("removed_by", String(40)),
    Column("removed_reason", Text, nullable=False),
    UniqueConstraint("name", "version"),
)

TRIAL_COUNTS: Final = Table(
    "trial_counts",
    METADATA,
    Column("trial", Integer, primary_key=True, autoincrement=False),  # the change of the routes that began it
    Column("model_id", String(32), ForeignKey("models.id"), primary_key=True),
    Column("streams", Integer, nullable=False),  # as engine/trial.py counts
    Column("failed", Integer, nullable=False),
    Column("utterances", Integer, nullable=False),
    Column("empty", Integer, nullable=False),
    Column("worded", Integer, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("confidence_squared", Float, nullable=False),
)
