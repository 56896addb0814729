"""Settings from the environment, prefix `CAPTIONBOX_`. Every field here is honoured by the service.

`make docs` lists the fields, their defaults and descriptions in docs/settings.md; a test compares.
"""

from __future__ import annotations

import re
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.api.device import BackendSetting, PrecisionSetting
from serving.base.keys import ApiKey, parse_entries, read_key_file
from serving.base.logs import LogFormat
from serving.base.machine import available_cores, available_memory

PREFIX = "CAPTIONBOX_"

_SHARE_OF_MEMORY = 8

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_ORIGIN = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s?#@*]+/?")


class Settings(BaseSettings):
    """What can be set from outside. Sizes in MiB, times as the names say."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    models: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(
            description="Models to serve, separated by commas; the first is the default. Each is a "
            "name in the BentoML model store, or `name:version`.",
            examples=["compact"],
        ),
    ] = ("compact",)
    matcher: Annotated[
        str,
        Field(
            description="Model that ranks texts for a picture (`/match`, `rerank`): a name in the "
            "BentoML model store, or `name:version`.",
            examples=["bridgetower"],
        ),
    ] = ""
    max_upload_mb: Annotated[
        float,
        Field(
            gt=0,
            le=1024,
            description="Largest request body in MiB; a larger one is refused with 413.",
        ),
    ] = 20
    upload_memory_mb: Annotated[
        float | None,
        Field(
            ge=1,
            le=1_048_576,
            description="Most MiB of all bodies of requests in progress together; what comes on "
            "top is refused with 429. By default an eighth of the memory, and never less than two "
            "of the largest bodies.",
        ),
    ] = None
    upload_kb_s: Annotated[
        float,
        Field(
            gt=0,
            le=1_048_576,
            description="KiB a second that a body must come with; the time that it takes does not "
            "count as that of the request.",
        ),
    ] = 4
    upload_patience_s: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="Seconds that a body may stand still, or be behind that rate, before it is "
            "refused with 408.",
        ),
    ] = 15
    max_pixels: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000_000,
            description="Most pixels (width x height) a picture may have; checked before it is "
            "decoded. `50e6` may be written for 50 million.",
        ),
    ] = 50_000_000
    decode_s: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="Seconds that decoding a picture of the most pixels may take; smaller ones "
            "get less, down to a tenth. What takes longer is refused with 422.",
        ),
    ] = 10
    decode_workers: Annotated[
        int | None,
        Field(
            ge=1,
            le=1024,
            description="Large pictures decoded at once, each in a process of its own; one process "
            "more is kept for small ones. By default one a core, where memory allows it.",
        ),
    ] = None
    max_batch_size: Annotated[
        int,
        Field(ge=2, le=1024, description="Most pictures the engine captions in one batch."),
    ] = 16
    max_latency_ms: Annotated[
        int,
        Field(
            ge=1,
            le=3_600_000,
            description="Longest wait for the engine in milliseconds; a picture that is expected "
            "to wait longer, or has waited longer, is refused with 503.",
        ),
    ] = 10_000
    max_concurrency: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Most pictures in progress at once, those of a batch counted singly; the "
            "next request is refused with 429.",
        ),
    ] = 64
    timeout_s: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="Seconds after which a request that has had no answer gets a 504.",
        ),
    ] = 60
    allow_urls: Annotated[
        bool,
        Field(
            description="Whether pictures are fetched from http(s) URLs; `data:` URLs always are "
            "read. Only addresses of the public internet are asked."
        ),
    ] = False
    url_ports: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65535)], ...],
        NoDecode,
        Field(min_length=1, description="Ports that pictures are fetched from."),
    ] = (80, 443)
    url_networks: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(
            description="Networks that pictures are fetched from though they are not of the public "
            "internet, such as `10.1.0.0/16,fd12::/32`: for the picture server of an intranet."
        ),
    ] = ()
    url_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            le=600,
            description="Seconds that fetching a picture may take, redirects included.",
        ),
    ] = 10
    stop_s: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="Seconds that requests in progress get to finish when the server is "
            "stopped (SIGTERM, Ctrl+C); new ones are refused meanwhile.",
        ),
    ] = 20
    engine_workers: Annotated[
        int | None,
        Field(
            ge=1,
            le=64,
            description="Engine processes; each holds its own copy of the models. By default two "
            "where the models are small, and cores and memory allow it; otherwise one.",
        ),
    ] = None
    threads: Annotated[
        int | None,
        Field(
            ge=1,
            le=1024,
            description="CPU threads of one engine process; by default the cores are shared out "
            "among the engine processes.",
        ),
    ] = None
    precision: Annotated[
        PrecisionSetting,
        Field(
            description="What models compute in: `fp32` (the reference), `bf16`, `int8`, or "
            "`auto`, the fastest at start of those that the processor has; int8 only for models "
            "whose card says that their CIDEr stands it.",
        ),
    ] = "auto"
    backend: Annotated[
        BackendSetting,
        Field(
            description="What runs the networks: `openvino` for models with graphs, made by "
            "`python -m models export-openvino`, `torch`, or `auto`: graphs where a model has "
            "them, else torch.",
        ),
    ] = "auto"

    log_format: Annotated[
        LogFormat,
        Field(description="`text` for people, or `json`: one object a line, for machines."),
    ] = "text"
    api_keys: Annotated[
        tuple[ApiKey, ...],
        NoDecode,
        Field(
            description="Keys that are let in, as `name:sha256` entries separated by commas; "
            "`python -m serving.keys new NAME` makes a key and its entry. Where no key is set, "
            "everyone is let in.",
            json_schema_extra={"secret": True},
        ),
    ] = ()
    api_keys_file: Annotated[
        Path | None,
        Field(
            description="A file of such entries, one a line, such as a Docker secret; read again "
            "when it changes."
        ),
    ] = None
    proxies: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(
            description="Addresses and networks of proxies, such as `172.16.0.0/12`, whose "
            "`X-Forwarded-For` names the client in the log; others are not believed.",
        ),
    ] = ("127.0.0.0/8", "::1")
    metrics_open: Annotated[
        bool,
        Field(description="`/metrics` needs no key, even where keys are set."),
    ] = False
    cors_origins: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(
            description="Origins whose web pages may use the API from a browser, separated by "
            "commas, such as `https://app.example`; `*` for every one.",
        ),
    ] = ()

    @field_validator("api_keys", mode="before")
    @classmethod
    def _read_keys(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        keys = parse_entries(value)
        # Empty counts as unset, as compose files have it; a stray comma must not open the doors.
        if value.strip() and not keys:
            raise ValueError("names no key")
        return keys

    @field_validator(
        "api_keys_file",
        "decode_workers",
        "engine_workers",
        "threads",
        "upload_memory_mb",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("api_keys_file")
    @classmethod
    def _file_holds_keys(cls, value: Path | None) -> Path | None:
        if value is not None:
            read_key_file(value)
        return value

    @field_validator(
        "models", "url_ports", "url_networks", "proxies", "cors_origins", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("models")
    @classmethod
    def _models_are_distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [_name(model) for model in value]
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a model: a-z, 0-9, `-`, `_`, `.`")
        if not names:
            raise ValueError("name at least one model")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the model {name!r} is named more than once")
        return value

    @field_validator("url_networks", "proxies")
    @classmethod
    def _networks_are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network)  # its ValueError names the fault
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin: scheme://host or scheme://host:port, or *"
                )
        # As browsers send them.
        return tuple(origin.lower().removesuffix("/") for origin in value)

    @field_validator("matcher", mode="before")
    @classmethod
    def _strip(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value

    @field_validator("matcher")
    @classmethod
    def _matcher_is_another_model(cls, value: str, info: ValidationInfo) -> str:
        name = _name(value)
        if value and not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a model: a-z, 0-9, `-`, `_`, `.`")
        if value and name in map(_name, info.data.get("models", ())):
            raise ValueError(f"the model {name!r} is named in {PREFIX}MODELS as well")
        return value

    @field_validator("max_pixels", mode="before")
    @classmethod
    def _read_exponent(cls, value: Any) -> Any:
        # Pydantic reads "50000000" and "5e7" as floats but only the former as an int.
        if isinstance(value, str):
            try:
                number = float(value)
            except ValueError:
                return value
            return int(number) if number.is_integer() else value
        return value

    @cached_property
    def has_keys(self) -> bool:
        """Whether requests need an API key."""
        return bool(self.api_keys) or self.api_keys_file is not None

    @cached_property
    def model_names(self) -> tuple[str, ...]:
        """Names of the served captioners, without versions."""
        return tuple(map(_name, self.models))

    @cached_property
    def matcher_name(self) -> str:
        """Name of the served matcher, without version; empty where there is none."""
        return _name(self.matcher)

    @cached_property
    def served_names(self) -> tuple[str, ...]:
        """Names of all served models, without versions."""
        return tuple(filter(None, (*self.model_names, self.matcher_name)))

    @cached_property
    def max_upload_bytes(self) -> int:
        """Largest request body in bytes."""
        return int(self.max_upload_mb * 1024 * 1024)

    @cached_property
    def upload_memory_bytes(self) -> int:
        """Most bytes of all bodies of requests in progress together."""
        if self.upload_memory_mb is not None:
            return int(self.upload_memory_mb * 1024 * 1024)
        return max(available_memory() // _SHARE_OF_MEMORY, 2 * self.max_upload_bytes)

    @cached_property
    def engine_threads(self) -> int:
        """CPU threads of one engine process."""
        return self.threads or max(1, available_cores() // (self.engine_workers or 1))


def _name(tag: str) -> str:
    """Return the name of `name:version`."""
    return tag.split(":")[0]
