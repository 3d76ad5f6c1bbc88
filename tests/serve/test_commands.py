"""The `ratchet keys` commands."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serve.commands import app
from serve.keys import Keys


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path))
    return tmp_path


def keys(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_key_is_created_listed_and_revoked(home: Path) -> None:
    token = keys("create", "laptop").strip()
    key = Keys(home).find(token)
    assert key and (key.name, key.scopes) == ("laptop", ("infer",))
    listed = keys("list")
    assert f"{key.id}  laptop  infer  (created {key.created})" in listed and token not in listed
    assert keys("revoke", "laptop") == "revoked laptop\n"
    assert Keys(home).find(token) is None
    assert f"{key.id}  laptop  revoked " in keys("list")


def test_programs_get_json_and_no_hash(home: Path) -> None:
    created = json.loads(keys("create", "me", "--scope", "admin", "--requests-per-minute", "5", "--json"))
    key = Keys(home).find(created["key"])
    assert key and (key.id, key.name) == (created["id"], created["name"])
    assert (key.requests_per_minute, key.tokens_per_minute) == (5, None)
    (listed,) = json.loads(keys("list", "--json"))["keys"]
    assert listed["id"] == key.id and key.sha256 not in json.dumps(listed)
