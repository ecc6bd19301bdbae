"""Settings: what is read, what is refused and with which sentence, and the secrets of a first run."""

import json
import multiprocessing
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from devicehub.core import config, running
from devicehub.core.config import ConfigurationError, Settings
from tests.conftest import ROOT
from tests.core import racers

ONE, OTHER = "kT7vPq2ZxN4mR8wLs5JdYh3FbGc9Ue6A", "Xb3Wn6Qe9Tz2Kp5Vr8Mj4Hs7Lf1Dg0Cy"
SERVERS = {"MONGODB_URI": "mongodb://127.0.0.1:1/devicehub", "REDIS_URL": "redis://127.0.0.1:1/0"}
PRODUCTION = SERVERS | {"APP_ENV": "production", "JWT_SECRET": ONE, "JWT_REFRESH_SECRET": OTHER}

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Load the settings of a process with this environment, and no other, standing in an empty folder."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)

    def start(**environment: str) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return config.load()

    return start


def test_what_is_set_is_read_typed_and_frozen(load: Load) -> None:
    settings = load(**PRODUCTION, PORT="8080", DB_MAX_POOL_SIZE="7", LOG_FILE="logs/api.log")
    assert (settings.port, settings.db_max_pool_size, settings.log_file) == (8080, 7, Path("logs/api.log"))
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


def test_what_is_not_set_has_the_value_the_contract_names(load: Load) -> None:
    settings = load(**PRODUCTION)
    assert (settings.port, settings.db_max_pool_size, settings.db_min_pool_size) == (5000, 10, 2)
    assert (settings.cache_devices_ttl, settings.cache_profile_ttl) == (1800, 900)
    assert settings.max_request_size == 10 << 20
    assert (settings.trusted_proxies, settings.allowed_origins) == (0, ())
    assert settings.auth_rate_limit == "5 per minute"
    assert settings.refresh_rate_limit == "30 per minute"
    assert settings.device_rate_limit == "100 per minute"
    assert settings.ingest_rate_limit == "120 per minute"
    assert settings.general_rate_limit == "200 per minute"


def test_an_environment_that_names_none_is_production(load: Load) -> None:
    assert load(**(PRODUCTION | {"APP_ENV": ""})).app_env == "production"


def test_the_file_is_read_and_the_environment_goes_before_it(load: Load, tmp_path: Path) -> None:
    tmp_path.joinpath(".env").write_text("PORT=7000\nSLOW_REQUEST_MS=50\nSOMEBODY_ELSES=1\n")
    settings = load(**PRODUCTION, PORT="7001")
    assert (settings.port, settings.slow_request_ms) == (7001, 50)


def test_an_empty_value_is_none_at_all(load: Load) -> None:
    assert load(**PRODUCTION, PORT="", ALLOWED_ORIGINS="", AUTH_RATE_LIMIT="").port == 5000


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("5", "5 per minute"),
        ("5 per minute", "5 per minute"),
        ("7/hour", "7 per hour"),
        (" 9 per second ", "9 per second"),
    ],
)
def test_a_limit_is_a_number_of_its_own_window_or_names_one(load: Load, written: str, read: str) -> None:
    assert load(**PRODUCTION, AUTH_RATE_LIMIT=written).auth_rate_limit == read


@pytest.mark.parametrize(
    ("written", "read"),
    [("10mb", 10 << 20), ("10 MB", 10 << 20), ("512kb", 512 << 10), ("1gb", 1 << 30), ("77", 77), ("77b", 77)],
)
def test_a_size_is_bytes_or_names_its_unit(load: Load, written: str, read: int) -> None:
    assert load(**PRODUCTION, MAX_REQUEST_SIZE=written).max_request_size == read


def test_lists_are_separated_by_commas_and_blanks_do_not_matter(load: Load) -> None:
    settings = load(**PRODUCTION, ALLOWED_ORIGINS=" https://a.example.org, http://localhost:3000 ,")
    assert settings.allowed_origins == ("https://a.example.org", "http://localhost:3000")


def test_redis_may_be_spelled_in_parts_with_any_password(load: Load) -> None:
    parts = {
        "REDIS_URL": "",
        "REDIS_HOST": "cache",
        "REDIS_PORT": "6380",
        "REDIS_PASSWORD": "p@ss/w:rd",
        "REDIS_DB": "2",
    }
    assert load(**(PRODUCTION | parts)).redis_address == "redis://:p%40ss%2Fw%3Ard@cache:6380/2"


def test_a_redis_url_goes_before_its_parts(load: Load) -> None:
    assert load(**PRODUCTION, REDIS_HOST="elsewhere").redis_address == PRODUCTION["REDIS_URL"]


def test_production_that_mails_says_where_the_links_lead(load: Load) -> None:
    through = PRODUCTION | {"SMTP_URL": "smtp://mail.example.org"}
    with pytest.raises(ConfigurationError, match=r"^PUBLIC_URL is not set"):
        load(**through)
    assert load(**through, PUBLIC_URL="https://hub.example.org/").public_address == "https://hub.example.org"


def test_links_lead_to_this_machine_unless_told_otherwise(load: Load) -> None:
    assert load(**PRODUCTION, PORT="8080").public_address == "http://127.0.0.1:8080"


@pytest.mark.parametrize("name", ["MONGODB_URI", "REDIS_URL"])
def test_a_server_without_an_address_is_said_so_with_the_way_out(load: Load, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is not set: .*make run"):
        load(**(PRODUCTION | {name: ""}))


WRONG = [
    ("APP_ENV", "staging", "'development' or 'production'"),
    ("PORT", "http", "integer"),
    ("PORT", "0", "greater than or equal to 1"),
    ("PORT", "65536", "less than or equal to 65535"),
    ("LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ("DEVICEHUB_ROLE", "everything", "'all', 'api' or 'realtime'"),
    ("SLOW_REQUEST_MS", "0", "greater than or equal to 1"),
    ("MONGODB_URI", "127.0.0.1:27017", "mongodb://"),
    ("MONGODB_URI", "http://127.0.0.1", "mongodb://"),
    ("REDIS_URL", "127.0.0.1:6379", "redis://"),
    ("REDIS_PORT", "0", "greater than or equal to 1"),
    ("REDIS_DB", "-1", "greater than or equal to 0"),
    ("DB_MIN_POOL_SIZE", "11", "DB_MAX_POOL_SIZE"),
    ("MAX_REQUEST_SIZE", "lots", "10mb"),
    ("MAX_REQUEST_SIZE", "-1", "10mb"),
    ("AUTH_RATE_LIMIT", "0", "5 per minute"),
    ("AUTH_RATE_LIMIT", "5 per fortnight", "5 per minute"),
    ("GENERAL_RATE_LIMIT", "many", "5 per minute"),
    ("SMTP_URL", "mail.example.org", "smtp://"),
    ("SMTP_URL", "smtp://", "smtp://user:password@mail.example.org:587"),
    ("SMTP_URL", "smtp://mail.example.org:70000", "SMTP_URL"),
    ("MAIL_FROM", "nobody", "DeviceHub <no-reply@example.org>"),
    ("MAIL_FROM", "a@example.org, b@example.org", "DeviceHub <no-reply@example.org>"),
    ("MAIL_FROM", "Hub\r\nBcc: b@example.org <a@example.org>", "DeviceHub <no-reply@example.org>"),
    ("PUBLIC_URL", "hub.example.org", "https://"),
    ("TRUSTED_PROXIES", "-1", "greater than or equal to 0"),
    ("BCRYPT_ROUNDS", "99", "less than or equal to 16"),
    ("ALLOWED_ORIGINS", "app.example.org", "https://"),
    ("ALLOWED_ORIGINS", "https://app.example.org/", "https://"),
    ("ALLOWED_ORIGINS", "https://ok.example.org,null", "https://"),
    ("ALLOWED_ORIGINS", "https://*.example.org", "pattern"),
    ("ALLOWED_ORIGINS", "https://.+", "pattern"),
    ("ALLOWED_ORIGINS", "*", "production"),
    ("JWT_SECRET", "", "not set"),
    ("JWT_REFRESH_SECRET", "", "not set"),
    ("JWT_SECRET", "kT7vPq2ZxN4mR8wLs5JdYh3FbGc9Ue6", "shorter than 32 bytes"),
    ("JWT_SECRET", OTHER, "differ"),
    ("JWT_SECRET", "change-me-kT7vPq2ZxN4mR8wLs5JdYh3FbGc9", "sample"),
    ("JWT_SECRET", "your-secret-key-kT7vPq2ZxN4mR8wLs5JdYh", "sample"),
    ("JWT_REFRESH_SECRET", "a" * 64, "sample"),
    ("JWT_SECRET_PREVIOUS", ONE, "differ"),
    ("JWT_SECRET_PREVIOUS", "short", "shorter than 32 bytes"),
    ("JWT_SECRET_PREVIOUS", "change-me-kT7vPq2ZxN4mR8wLs5JdYh3FbGc9", "sample"),
]


@pytest.mark.parametrize(
    ("name", "value", "says"), WRONG, ids=[f"{name}={value[:24]}" for name, value, _ in WRONG]
)
def test_a_wrong_value_is_refused_in_one_sentence_that_names_it(
    load: Load, name: str, value: str, says: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(**(PRODUCTION | {name: value}))
    sentence = str(refused.value)
    assert name in sentence and says in sentence
    assert "\n" not in sentence and sentence.endswith(".") and sentence.count(". ") == 0
    assert "Traceback" not in sentence and "pydantic" not in sentence


def test_a_refusal_never_repeats_a_secret(load: Load) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(**(PRODUCTION | {"JWT_SECRET": "hunter2hunter2", "REDIS_URL": "rediss//:hunter2@host"}))
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_whatever_starts_ends_with_the_sentence_and_nothing_else(tmp_path: Path) -> None:
    programs = {
        "the server": [
            "-m",
            "gunicorn",
            "-c",
            f"{ROOT}/devicehub/web/gunicorn.py",
            "--chdir",
            str(ROOT),
            "wsgi:app",
        ],
        "the worker": [f"{ROOT}/worker.py"],
        "a command": ["-m", "devicehub.cli", "migrate"],
    }
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | SERVERS
    started = {
        name: subprocess.Popen(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )
        for name, arguments in programs.items()
    }
    for name, program in started.items():
        said = program.communicate(timeout=30)[1]
        assert program.returncode not in (0, None), name
        assert said.splitlines() == [said.strip()], f"{name}: {said}"
        assert "JWT_SECRET is not set; production needs one of at least 32 bytes." in said, name


def test_every_wrong_value_is_named_at_once(load: Load) -> None:
    with pytest.raises(ConfigurationError, match=r"^PORT: .+\. SLOW_REQUEST_MS: .+\.$"):
        load(**PRODUCTION, PORT="x", SLOW_REQUEST_MS="y")


def test_development_makes_its_secrets_once_and_keeps_them_to_itself(load: Load, tmp_path: Path) -> None:
    first = load(**SERVERS, APP_ENV="development")
    again = load()
    assert first.jwt_secret == again.jwt_secret
    assert first.jwt_refresh_secret == again.jwt_refresh_secret != first.jwt_secret
    assert min(len(first.jwt_secret), len(first.jwt_refresh_secret)) >= config.SHORTEST_SECRET
    kept = tmp_path / "var" / "secrets.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [path.name for path in kept.parent.iterdir()] == ["secrets.json"]


def test_development_keeps_the_secret_that_is_set(load: Load) -> None:
    settings = load(**SERVERS, APP_ENV="development", JWT_SECRET=ONE)
    assert settings.jwt_secret == ONE
    assert settings.jwt_refresh_secret not in ("", ONE)


def test_production_never_takes_the_secrets_of_development(load: Load) -> None:
    load(**SERVERS, APP_ENV="development")
    with pytest.raises(ConfigurationError, match="JWT_SECRET is not set"):
        load(APP_ENV="production")


def test_processes_that_start_together_get_the_same_secrets(tmp_path: Path) -> None:
    several = multiprocessing.get_context("forkserver")
    several.set_forkserver_preload([racers.__name__])
    barrier, found = several.Barrier(3), several.Queue()
    args = (str(tmp_path / "var"), SERVERS, barrier, found)
    started = [several.Process(target=racers.load_when_all_are_there, args=args) for _ in range(3)]
    for racer in started:
        racer.start()
    secrets = {found.get(timeout=30) for _ in started}
    for racer in started:
        racer.join(30)
    found.close()
    found.join_thread()
    assert len(secrets) == 1


@pytest.fixture
def load_for_command(load: Load, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load the settings of a command in the same surroundings."""

    def start(**environment: str) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return config.load_for_command()

    return start


RUN = SERVERS | {"APP_ENV": "development", "PORT": "5001"}


def test_a_command_is_for_what_is_set(load_for_command: Load, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    running.announce(tmp_path / "var", RUN)
    settings = load_for_command(**PRODUCTION | {"MONGODB_URI": "mongodb://elsewhere/devicehub"})
    assert (settings.mongodb_uri, settings.port) == ("mongodb://elsewhere/devicehub", 5000)


def test_where_nothing_is_set_it_is_for_the_run_beside_it(load_for_command: Load, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    running.announce(tmp_path / "elsewhere", RUN)
    settings = load_for_command(DEVICEHUB_VAR="elsewhere")
    assert {name: str(getattr(settings, name.lower())) for name in RUN} == RUN
    kept = json.loads((tmp_path / "elsewhere" / "secrets.json").read_text())
    assert settings.jwt_secret == kept["jwt_secret"]


def test_what_is_set_goes_before_what_the_run_was_told(load_for_command: Load, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    running.announce(tmp_path / "var", RUN)
    tmp_path.joinpath(".env").write_text("MONGODB_URI=mongodb://elsewhere/devicehub\n")
    settings = load_for_command(PORT="7000")
    assert (settings.mongodb_uri, settings.redis_url) == ("mongodb://elsewhere/devicehub", RUN["REDIS_URL"])
    assert (settings.port, settings.app_env) == (7000, "development")


def test_without_either_it_says_what_to_do(load_for_command: Load) -> None:
    with pytest.raises(ConfigurationError, match="no `make run` goes on in var: set it, or start one"):
        load_for_command()


def test_of_its_log_only_warnings_are_shown_unless_more_is_asked_for(load_for_command: Load) -> None:
    assert load_for_command(**PRODUCTION).log_level == "WARNING"
    assert load_for_command(LOG_LEVEL="INFO").log_level == "INFO"
