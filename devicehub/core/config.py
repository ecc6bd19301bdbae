"""Settings: read once from the environment and `.env`, typed, and refused with a sentence when wrong."""

import json
import os
import re
import secrets
from email.headerregistry import Address
from email.utils import getaddresses
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from devicehub.core import running

SHORTEST_SECRET = 32
SAMPLE_SECRETS = re.compile(r"change[-_ ]?me|secret[-_ ]?key|example|your[-_ ]|sample|password|default", re.I)


class ConfigurationError(Exception):
    """The settings are wrong; the message is one sentence a person can act on."""


def _size(value: Any) -> Any:
    """`10mb`, `512 KB` or a plain number of bytes."""
    match = re.fullmatch(r"(\d+)\s*(b|kb|mb|gb)?", str(value).strip().lower())
    if not match:
        raise ValueError("write a size such as 10mb, 512kb or 1048576")
    return int(match[1]) * {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}[match[2] or "b"]


def _duration(value: Any) -> Any:
    """`90`, `90s`, `15m`, `24h` or `7d`, in seconds."""
    match = re.fullmatch(r"(\d+)\s*([smhd])?", str(value).strip().lower())
    if not match:
        raise ValueError("write a time such as 90s, 15m, 24h or 7d")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2] or "s"]


def _words(value: Any) -> Any:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _origin(value: str) -> str:
    """`*` or what a browser sends as `Origin`; one written otherwise would match no page, and say nothing.

    Nor a pattern: Flask-CORS takes what looks like one for the beginning of a regular expression.
    """
    if value != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[\w.:\[\]-]+", value):
        raise ValueError("write origins such as https://app.example.org, without a path or a pattern")
    return value


def _address(*schemes: str) -> AfterValidator:
    """The URL of a server; empty when there is none."""

    def check(value: str) -> str:
        if value and not value.startswith(schemes):
            raise ValueError(f"write an address that begins with {' or '.join(schemes)}")
        return value

    return AfterValidator(check)


def _has_host(value: str) -> str:
    """A URL whose host and port can be connected to, or none."""
    parts = urlsplit(value)
    if value and (not parts.hostname or parts.port == 0):
        raise ValueError("write an address such as smtp://user:password@mail.example.org:587")
    return value


def _sender(value: str) -> str:
    """Whom mails come from, as a header may say it."""
    try:
        [(name, address)] = getaddresses([value])
        Address(display_name=name, addr_spec=address)
        if not value.isprintable():
            raise ValueError
    except Exception as error:  # the parser of the standard library has many ways to say no
        raise ValueError("write a sender such as DeviceHub <no-reply@example.org>") from error
    return value


def _limit(window: str) -> BeforeValidator:
    """`5` (of the class's own window) or `5 per minute`."""

    def parse(value: Any) -> str:
        match = re.fullmatch(r"(\d+)(?:\s*(?:per|/)\s*(second|minute|hour|day))?", str(value).strip())
        if not match or int(match[1]) < 1:
            raise ValueError(f"write a limit such as 5 (per {window}) or 5 per minute")
        return f"{int(match[1])} per {match[2] or window}"

    return BeforeValidator(parse)


Size = Annotated[int, BeforeValidator(_size)]
Duration = Annotated[int, BeforeValidator(_duration), Field(ge=1)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_words)]
MongoAddress = Annotated[str, _address("mongodb://", "mongodb+srv://")]
RedisAddress = Annotated[str, _address("redis://", "rediss://", "unix://")]
SmtpAddress = Annotated[str, _address("smtp://", "smtps://"), AfterValidator(_has_host)]
WebAddress = Annotated[str, _address("http://", "https://")]
Sender = Annotated[str, AfterValidator(_sender)]
PerMinute = Annotated[str, _limit("minute")]
PerHour = Annotated[str, _limit("hour")]


class Settings(BaseSettings):
    """Every setting there is; `.env.example` and the README's table name the same ones (a test compares)."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    app_env: Literal["development", "production"] = "production"
    devicehub_role: Literal["all", "api", "realtime"] = "all"
    devicehub_var: Path = Path("var")
    devicehub_host: str = "127.0.0.1"
    port: int = Field(5000, ge=1, le=65535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_file: Path | None = None
    slow_request_ms: int = Field(200, ge=1)

    mongodb_uri: MongoAddress = ""
    db_max_pool_size: int = Field(10, ge=1)
    db_min_pool_size: int = Field(2, ge=0)
    db_timeout_ms: int = Field(2500, ge=100)

    redis_url: RedisAddress = ""
    redis_host: str = ""
    redis_port: int = Field(6379, ge=1, le=65535)
    redis_password: str = ""
    redis_db: int = Field(0, ge=0)
    redis_timeout_ms: int = Field(250, ge=10)

    jwt_secret: str = ""
    jwt_secret_previous: str = ""
    jwt_refresh_secret: str = ""
    jwt_issuer: str = "devicehub"
    access_token_ttl: int = Field(900, ge=10)
    refresh_token_ttl: int = Field(604_800, ge=60)
    session_max_age: int = Field(2_592_000, ge=60)
    sessions_per_user: int = Field(20, ge=1)
    bcrypt_rounds: int = Field(12, ge=4, le=16)
    password_hash_queue: int = Field(128, ge=1)

    allowed_origins: Origins = ()
    trusted_proxies: int = Field(0, ge=0)
    max_request_size: Size = 10 << 20
    requests_at_once: int = Field(64, ge=1)

    auth_rate_limit: PerMinute = "5 per minute"
    refresh_rate_limit: PerMinute = "30 per minute"
    device_rate_limit: PerMinute = "100 per minute"
    ingest_rate_limit: PerMinute = "120 per minute"
    analytics_rate_limit: PerMinute = "50 per minute"
    export_rate_limit: PerHour = "10 per hour"
    web_concurrency: int = Field(1, ge=1)
    invitation_rate_limit: PerHour = "30 per hour"
    webhook_rate_limit: PerMinute = "10 per minute"
    general_rate_limit: PerMinute = "200 per minute"

    cache_devices_ttl: int = Field(1800, ge=1)
    cache_profile_ttl: int = Field(900, ge=1)
    cache_analytics_ttl: int = Field(300, ge=1)
    cache_realtime_ttl: int = Field(30, ge=1)
    sockets_per_user: int = Field(10, ge=1)
    streams_per_user: int = Field(5, ge=1)
    event_window: int = Field(10_000, ge=1)
    job_lease_seconds: int = Field(30, ge=3)
    export_retention: Annotated[Duration, Field(le=30 * 86_400)] = 7 * 86_400
    storage_reserve_mb: int = Field(1024, ge=0)
    device_inactive_after: Duration = 86_400

    smtp_url: SmtpAddress = ""
    mail_from: Sender = "DeviceHub <no-reply@localhost>"
    public_url: WebAddress = ""

    webhook_allow_private: bool = False

    @model_validator(mode="after")
    def _refuse_what_is_unsafe(self) -> Self:
        if self.app_env == "production":
            for name in ("jwt_secret", "jwt_refresh_secret"):
                _refuse_weak(name.upper(), getattr(self, name))
            if self.jwt_secret_previous:  # it still opens every door
                _refuse_weak("JWT_SECRET_PREVIOUS", self.jwt_secret_previous)
            if "*" in self.allowed_origins:
                raise ValueError("ALLOWED_ORIGINS must name the origins in production; * would let any page in")
            if self.smtp_url and not self.public_url:
                raise ValueError("PUBLIC_URL is not set; the links in mails would lead nowhere")
        present = [s for s in (self.jwt_secret, self.jwt_refresh_secret, self.jwt_secret_previous) if s]
        if len(set(present)) != len(present):
            raise ValueError("JWT_SECRET, JWT_REFRESH_SECRET and JWT_SECRET_PREVIOUS must all differ")
        if self.db_min_pool_size > self.db_max_pool_size:
            raise ValueError("DB_MIN_POOL_SIZE must not be above DB_MAX_POOL_SIZE")
        return self

    @property
    def is_development(self) -> bool:
        return self.app_env == "development"

    @property
    def public_address(self) -> str:
        """Where links in mails lead, without a slash at its end."""
        return self.public_url.rstrip("/") or f"http://127.0.0.1:{self.port}"

    @property
    def redis_address(self) -> str:
        """REDIS_URL, or the URL that REDIS_HOST and its companions spell; empty when neither is set."""
        if self.redis_url or not self.redis_host:
            return self.redis_url
        password = f":{quote(self.redis_password, safe='')}@" if self.redis_password else ""
        return f"redis://{password}{self.redis_host}:{self.redis_port}/{self.redis_db}"


AnySettings = TypeVar("AnySettings", bound=BaseSettings)


def _refuse_weak(name: str, secret: str) -> None:
    if not secret:
        raise ValueError(f"{name} is not set; production needs one of at least {SHORTEST_SECRET} bytes")
    if len(secret.encode()) < SHORTEST_SECRET:
        raise ValueError(f"{name} is shorter than {SHORTEST_SECRET} bytes")
    if SAMPLE_SECRETS.search(secret) or len(set(secret)) < 8:
        raise ValueError(f"{name} looks like a sample; make a random one")


def read(kind: type[AnySettings], **overrides: Any) -> AnySettings:
    """What the environment and `.env` say, `overrides` first.

    Raises ConfigurationError with one sentence for each thing that is wrong.
    """
    try:
        return kind(**overrides)
    except ValidationError as error:
        raise ConfigurationError(_sentences(error)) from None


def load(**overrides: Any) -> Settings:
    """The settings of a process that serves: what is there, complete.

    Raises ConfigurationError when it is not. In development, secrets that are missing are made once and kept in
    the `var` folder.
    """
    settings = read(Settings, **overrides)
    if not settings.mongodb_uri or not settings.redis_address:
        missing = "REDIS_URL" if settings.mongodb_uri else "MONGODB_URI"
        raise ConfigurationError(
            f"{missing} is not set: set it, or start with `make run`, which brings a server of its own."
        )
    if settings.is_development and not (settings.jwt_secret and settings.jwt_refresh_secret):
        kept = _development_secrets(settings.devicehub_var / "secrets.json")
        missing_ones = {name: value for name, value in kept.items() if not getattr(settings, name)}
        settings = settings.model_copy(update=missing_ones)
    return settings


class _Place(BaseSettings):
    """What tells a command which DeviceHub it is for, whatever else is set or missing."""

    model_config = Settings.model_config

    app_env: str = ""
    devicehub_var: Path = Path("var")
    mongodb_uri: str = ""
    redis_url: str = ""
    redis_host: str = ""
    port: str = ""


def load_for_command() -> Settings:
    """The settings of a command: what is set here, and where a server is not, those of the `make run` beside it.

    A command says what it has to say by itself, so of its log only warnings are shown, unless LOG_LEVEL is set.
    """
    place = read(_Place)
    is_complete = place.mongodb_uri and (place.redis_url or place.redis_host)
    run = {} if is_complete else running.environment_of(place.devicehub_var)
    if not run and not place.mongodb_uri:
        raise ConfigurationError(
            f"MONGODB_URI is not set, and no `make run` goes on in {place.devicehub_var}: set it, or start one."
        )
    told = {name.lower(): value for name, value in run.items() if name.lower() not in place.model_fields_set}
    settings = load(**told)
    is_chosen = "log_level" in settings.model_fields_set
    return settings if is_chosen else settings.model_copy(update={"log_level": "WARNING"})


_current: Settings | None = None


def use(settings: Settings) -> None:
    """Make `settings` the process's own; `create_base` does, once."""
    global _current
    _current = settings


def current() -> Settings:
    """The process's settings."""
    if _current is None:
        raise RuntimeError("config.use() has not been called")
    return _current


def _sentences(error: ValidationError) -> str:
    def sentence(part: Any) -> str:
        name = ".".join(str(step) for step in part["loc"]).upper()
        reason = part["msg"].removeprefix("Value error, ")
        return f"{name}: {reason}." if name else f"{reason}."

    return " ".join(sentence(part) for part in error.errors())


def _development_secrets(path: Path) -> dict[str, str]:
    """The secrets kept at `path`, made there first by whichever process comes first."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = {name: secrets.token_urlsafe(48) for name in ("jwt_secret", "jwt_refresh_secret")}
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(made))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    kept: dict[str, str] = json.loads(path.read_text())
    return kept
