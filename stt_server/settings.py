"""Every setting of the server, with its help beside it; the only reader of the environment.

A value comes from the first of these that gives one:

    command line  >  EARLOOP_… variable  >  TOML file  >  the default below

The TOML file is the one EARLOOP_CONFIG names, else `earloop.toml` in the data folder where there is one. A name that
is no setting, in the file or in the environment, refuses to start and says which setting is nearest: a mistyped limit
must not silently be the default. Settings are read once, at the start, and passed on as values.
"""

from __future__ import annotations

import difflib
import os
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from stt_server.errors import BadOption, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic.fields import FieldInfo

PREFIX: Final = "EARLOOP_"
CONFIG_VARIABLE: Final = "EARLOOP_CONFIG"
DEFAULT_DATA: Final = Path("~/.local/share/earloop")


class Settings(BaseSettings):
    """What one server runs with. Times end in their unit; 0 is said where it means something special."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, validate_default=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on; `0.0.0.0` for every interface")
    port: int = Field(2700, ge=0, le=65535, description="Port for everything; 0 takes a free one")
    data: Path = Field(DEFAULT_DATA, description="The one folder of state: models, clips, database, `earloop.toml`")
    model: str = Field("", description="Model to serve: a name or the path of a bundle; empty is the shipped one")
    database: str = Field(
        "",
        description="URL of the database, such as `postgresql://user@host/earloop`; empty is the SQLite file "
        "`earloop.db` in the data folder",
    )
    objects: str = Field(
        "",
        description="URL of the store for clips' audio, such as `s3://bucket/prefix?endpoint=https://…`; "
        "empty is the folder `objects` in the data folder",
    )

    open: bool = Field(False, description="Let everybody who reaches the server use it, without a key")
    allowed_hosts: str = Field(
        "", description="Names besides the usual by which browsers may call the server, with commas between"
    )
    allowed_origins: str = Field(
        "", description="Other sites whose pages may use the server, such as `https://app.example`, with commas between"
    )
    tls_certificate: Path | None = Field(
        None, description="Certificate chain in PEM; with `tls_key` the server speaks TLS"
    )
    tls_key: Path | None = Field(None, description="The certificate's private key in PEM")
    check_model: bool = Field(True, description="Refuse to start with a model that mishears its bundle's golden clip")

    wyoming_port: int = Field(
        10300, ge=0, le=65535, description="Port for Home Assistant's protocol Wyoming, which knows no keys; 0: none"
    )
    wyoming_host: str = Field(
        "",
        description="Address of that port; empty is `host`, where nobody is asked for a key from there: on loopback or "
        "with `open`; else there is no such port",
    )
    wyoming_socket: Path | None = Field(None, description="Unix socket for Wyoming, for those who may write to it")
    wyoming_endpointing: bool = Field(
        True,
        description="End a command by what is heard; off: a Wyoming client says when its audio ends, and is told to",
    )
    wyoming_vocabulary: str = Field(
        "",
        pattern=r"^(([0-9A-Za-z]{1,36}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,63})?$",
        description="Vocabulary that Wyoming's clients hear: the name of a shared one, or `KEY_ID/NAME`; empty: none",
    )
    wyoming_zeroconf: str = Field(
        "",
        description="Name under which Home Assistant finds the port by itself, such as `earloop`; needs the extra "
        "`zeroconf`; empty: it does not",
    )

    collect: bool = Field(
        False, description="Keep clips of those who agreed to it; while off nothing is kept, whatever anybody agreed to"
    )
    consent_days: int = Field(
        730, ge=0, le=36500, description="Days after which consent ends and is to be asked for again; 0 is never"
    )
    consent_words: Path | None = Field(
        None, description="File with the words that contributors agree to, plain text; none is the shipped ones"
    )

    collect_share: float = Field(
        1, ge=0, le=1, description="Share of the utterances of those who agreed that is kept, drawn by chance"
    )
    clips_per_day: int = Field(500, ge=0, description="Clips kept of one contributor in a day of UTC; 0: no limit")
    clip_hours: float = Field(20, ge=0, description="Hours of clips kept of one contributor; 0: no limit")
    clip_min_s: float = Field(0.5, ge=0, le=60, description="Shorter utterances are not kept, nor asked to be judged")
    clip_min_confidence: float = Field(
        0, ge=0, le=1, description="Utterances whose words are less sure on average are not kept"
    )
    clip_min_snr_db: float = Field(
        3, ge=0, le=60, description="Utterances whose speech stands less above the noise are not kept, in dB"
    )
    clip_expiry_days: int = Field(
        90, ge=0, le=36500, description="Days after which a clip that nobody judged is deleted; 0: never"
    )

    tag_people: int = Field(2, ge=1, le=10, description="People who must say the same of a clip before it is decided")
    tag_share: float = Field(
        0.75, ge=0.5, lt=1, description="More than this share of all who judged a clip must say the same"
    )
    tag_cap: int = Field(
        5, ge=1, le=20, description="People asked about one clip at most, before an expert must decide"
    )
    tag_lease_s: float = Field(300, ge=1, le=3600, description="Seconds a clip is kept for the tagger who got it")

    key_audio_hours_per_day: float = Field(
        0, ge=0, description="Hours of audio a day that a key made by `POST /v1/keys` may have heard; 0: no limit"
    )
    key_datasets: int = Field(10, ge=0, description="Datasets a key with the scope `train` may make; 0: no limit")
    key_models: int = Field(10, ge=0, description="Models a key may have trained, unless it is an admin's; 0: no limit")
    key_deployed: int = Field(3, ge=0, description="Of these how many may be deployed at once; 0: no limit")
    key_vocabularies: int = Field(20, ge=0, description="Vocabularies a key may keep on the server; 0: no limit")

    engines: int = Field(1, ge=1, le=64, description="Inference threads, each with its own batcher")
    threads: int = Field(1, ge=1, le=64, description="Threads inside one call of the acoustic model")
    max_models: int = Field(
        8,
        ge=2,
        le=1000,
        description="Models loaded at once: the live one, those that other routes lead to, and of contributors' own "
        "ones those of who spoke last",
    )
    max_streams: int = Field(64, ge=1, description="Live streams at once; the next is refused with 503")
    max_uploads: int = Field(8, ge=1, description="Uploaded files recognised at once; the next is refused with 503")
    max_lag_ms: int = Field(
        1000, ge=1, description="Lag behind real time from which new streams are refused; uploads from half of it on"
    )
    max_load: float = Field(
        0.9, gt=0, description="Share of an engine's time that live streams may need; more are refused, uploads earlier"
    )
    hang_timeout_s: float = Field(20, ge=1, description="Seconds in one call of the model before it counts as hanging")
    max_queue_s: float = Field(10, gt=0, description="Seconds of audio a stream may be ahead before the sender waits")
    max_body_mb: int = Field(64, ge=1, description="Largest upload, in MiB")
    max_stream_s: float = Field(3600, gt=0, description="Seconds of audio in one stream before it is ended")
    max_session_s: float = Field(14400, gt=0, description="Seconds one connection may last, whatever it sends")
    max_connections: int = Field(512, ge=1, description="Connections at once of any kind; the next gets 503")
    idle_timeout_s: float = Field(30, gt=0, description="Seconds without a message before a connection is closed")
    write_timeout_s: float = Field(10, gt=0, description="Seconds a slow reader may block an answer")
    resume_s: float = Field(
        10, ge=0, le=300, description="Seconds a stream waits for its client when the connection breaks; 0: not at all"
    )
    drain_s: float = Field(10, ge=0, description="Seconds open streams get to finish after SIGTERM")

    endpoint_silence_ms: int = Field(600, ge=100, le=10000, description="Silence that ends an utterance")
    min_utterance_ms: int = Field(120, ge=0, le=2000, description="Shorter bursts of sound are no utterance")
    max_utterance_s: float = Field(30, ge=1, le=300, description="An utterance is ended after this long")
    vad_mode: int = Field(2, ge=0, le=3, description="How readily webrtcvad calls sound no speech: 0 least, 3 most")

    decoder: Literal["auto", "greedy", "native", "reference"] = Field(
        "auto", description="Search: `auto` is what the model wants, `native` for one that wants beam and LM"
    )
    beam: int = Field(0, ge=0, le=1000, description="Hypotheses kept by the search; 0 is the bundle's own number")
    lag_notice_ms: int = Field(500, ge=0, description="A stream this far behind is told so")

    train_dataset: str = Field("everyday", description="Dataset that training by itself learns from")
    train_at: str = Field(
        "",
        description="When training begins by itself, in UTC: `03:00` every day or `sun 03:00`; empty: not by the clock",
    )
    train_after_clips: int = Field(
        0, ge=0, description="New validated clips of that dataset after which training begins; 0: not by clips"
    )
    train_promote: Literal["never", "gated"] = Field(
        "never", description="What becomes of a model trained by itself that passed the gate; `gated`: it goes live"
    )
    webhook_url: str = Field("", description="URL that is told by POST how a training job ended; empty: none")
    webhook_secret: str = Field("", repr=False, description="Secret that signs what the webhook is told")
    smtp_url: str = Field(
        "",
        repr=False,
        description="Mail server that tells how a training job ended: `smtp://user:password@host:587`, with TLS where "
        "it offers that, or `smtps://…`; empty: none",
    )
    mail_from: str = Field("", description="Address that those mails come from")
    mail_to: str = Field("", description="Addresses that they go to, with commas between")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe event to log")
    log_json: bool = Field(False, description="Log JSON lines instead of text")
    corpora: Path | None = Field(None, description="Folder in which training recipes find corpora by name")

    @field_validator("data", "consent_words", "corpora", "tls_certificate", "tls_key", "wyoming_socket")
    @classmethod
    def _expand_home(cls, path: Path | None) -> Path | None:
        return None if path is None else _at_home(path)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature; we read no .env
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, environment, TOML file; no `.env` and no secrets folder."""
        return init_settings, env_settings, _TomlFile(settings_cls, data=init_settings().get("data"))


class _TomlFile(PydanticBaseSettingsSource):
    """The values of the TOML file, where there is one."""

    def __init__(self, settings_cls: type[BaseSettings], *, data: str | Path | None) -> None:
        super().__init__(settings_cls)
        self._data = data

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the interface
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        path = _toml_path(os.environ, self._data)
        return {} if path is None else _read_toml(path)


def load_settings(**given: object) -> Settings:
    """The settings of this process; `given` is what the command line said, where None stands for not said.

    Raises BadOption for a name that is no setting or a value it cannot take, NotFound for an EARLOOP_CONFIG that names
    no file.
    """
    _refuse_unknown(_our_variables(), _known_variables(), "the environment")
    _refuse_unknown(given, Settings.model_fields, "the command line", as_written=True)
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise _as_bad_option(error) from error


def _toml_path(environ: Mapping[str, str], data: str | Path | None) -> Path | None:
    """The settings file to read. One that was asked for must exist; the one in the data folder may."""
    named = environ.get(CONFIG_VARIABLE)
    folder = data or environ.get(f"{PREFIX}DATA") or DEFAULT_DATA
    try:
        path = _at_home(Path(named)) if named else _at_home(Path(folder)) / "earloop.toml"
        is_there = path.is_file()
    except (OSError, ValueError) as error:  # nobody's home, a name longer than names may be, a folder that is closed
        shown, field = (named, CONFIG_VARIABLE) if named else (str(folder), "data")
        raise BadOption(f"{field} cannot be {shown[:200]!r}: {error}.", field=field) from error
    if named and not is_there:
        raise NotFound(f"{CONFIG_VARIABLE} names {path}, which is no file; correct the path or unset the variable.")
    return path if is_there else None


def _at_home(path: Path) -> Path:
    """The path with `~` as the folder it stands for. Raises ValueError where there is none."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path.parts[0]} is nobody's home") from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadOption(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # no TOML or UTF-8, a number or brackets without end
        raise BadOption(f"{path} is no valid TOML ({error}); correct it or move it away.") from error
    _refuse_unknown(values, Settings.model_fields, str(path), as_written=True)
    if "data" in values and CONFIG_VARIABLE not in os.environ:
        raise BadOption(f"{path} lies in the data folder and cannot move it; set EARLOOP_DATA instead.", field="data")
    return values


def _our_variables() -> list[str]:
    return [name for name in os.environ if name.upper().startswith(PREFIX)]


def _known_variables() -> list[str]:
    return [CONFIG_VARIABLE, *(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)]


def _refuse_unknown(names: Iterable[str], known: Iterable[str], where: str, *, as_written: bool = False) -> None:
    """Raise BadOption for the first name that is not known, with the nearest that is; variables may be in any case."""
    choices = {_bare(name): name for name in known}
    for name in names:
        if _bare(name) in choices and (not as_written or name in choices.values()):
            continue
        near = difflib.get_close_matches(_bare(name), choices, n=1, cutoff=0.5)
        hint = f"did you mean {choices[near[0]]}?" if near else f"the settings are {', '.join(choices.values())}."
        raise BadOption(f"{name} in {where} is no setting of Earloop: {hint}", field=name)


def _bare(name: str) -> str:
    """A name as it is compared: the prefix that all variables share would make any two of them look alike."""
    return name.casefold().removeprefix(PREFIX.casefold())


def _as_bad_option(error: ValidationError) -> BadOption:
    """The first complaint of pydantic as one sentence that names the setting, the value and what it takes."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    takes = accepts(Settings.model_fields[name])
    return BadOption(f"Setting {name} cannot be {first['input']!r}; it takes: {takes}.", field=name)


def accepts(field: FieldInfo) -> str:
    """What a setting takes, in words: `whole number from 0 to 65535`, `true or false`, `auto, greedy or reference`."""
    if getattr(field.annotation, "__origin__", None) is Literal:
        *others, last = field.annotation.__args__  # type: ignore[union-attr]
        return f"{', '.join(others)} or {last}"
    kinds = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    kind = kinds.get(field.annotation, "path") if isinstance(field.annotation, type) else "path"
    return " ".join([kind, *_bounds(field)])


def _bounds(field: FieldInfo) -> list[str]:
    words = {"ge": "from", "gt": "above", "le": "to", "min_length": "of at least"}
    found = [(words[key], getattr(rule, key)) for rule in field.metadata for key in words if hasattr(rule, key)]
    return [f"{word} {bound:g}" + (" letters" if word == "of at least" else "") for word, bound in found]


def readme_table() -> str:
    """The settings as README.md shows them, kept equal by a test; `python -m stt_server.settings` prints it."""
    head = ["| setting | default | takes | what it does |", "| --- | --- | --- | --- |"]
    rows = [_row(name, field) for name, field in Settings.model_fields.items()]
    return "\n".join([*head, *rows])


def _row(name: str, field: FieldInfo) -> str:
    default = field.default
    shown = {"": "empty", None: "none"}.get(default) or f"`{str(default).lower() if default is False else default}`"
    return f"| `{name}` | {shown} | {accepts(field)} | {field.description} |"


if __name__ == "__main__":
    sys.stdout.write(f"{readme_table()}\n")
