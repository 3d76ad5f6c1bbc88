"""Keys: shown once, kept hashed, refused once revoked, safe with several writers."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve.keys import Keys, KeysError, Scope, hash_of


def test_a_key_is_found_by_its_token_alone_and_kept_hashed(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    key, token = keys.create("laptop", ["infer"])
    assert keys.find(token) == key
    assert keys.find(token[:-1]) is None and keys.find("") is None and keys.find("rk-") is None
    content = (tmp_path / "keys.json").read_text()
    assert token not in content and token.removeprefix("rk-") not in content and hash_of(token) in content
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_admin_may_also_ask_and_infer_may_not_look(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    asks, looks = keys.create("a", ["infer"])[0], keys.create("b", ["admin"])[0]
    assert (asks.may(Scope.INFER), asks.may(Scope.ADMIN)) == (True, False)
    assert (looks.may(Scope.INFER), looks.may(Scope.ADMIN)) == (True, True)


def test_a_revoked_key_is_refused_by_a_server_that_had_read_it(tmp_path: Path) -> None:
    server, command = Keys(tmp_path), Keys(tmp_path)
    _, token = command.create("laptop", ["infer"])
    assert server.find(token)
    command.revoke("laptop")
    assert server.find(token) is None
    command.create("laptop", ["infer"])
    assert server.find(token) is None, "the name is free again, but the old token stays revoked"


def test_what_cannot_be_created_or_revoked_is_refused(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.create("laptop", ["infer"])
    with pytest.raises(KeysError, match="a key named laptop already exists"):
        keys.create("laptop", ["infer"])
    with pytest.raises(KeysError, match="got 'a b'"):
        keys.create("a b", ["infer"])
    with pytest.raises(KeysError, match="a scope must be infer or feedback or admin, got root"):
        keys.create("other", ["infer", "root"])
    with pytest.raises(KeysError, match="there is no active key 'nobody'; active keys: laptop"):
        keys.revoke("nobody")
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(KeysError, match="damaged"):
        Keys(tmp_path).all()
    (tmp_path / "keys.json").unlink()
    (tmp_path / "keys.json").mkdir()
    with pytest.raises(KeysError, match=r"keys.json cannot be read: Is a directory"):
        Keys(tmp_path).all()


def test_keys_created_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: Keys(tmp_path).create(f"key{i}", ["infer"]), range(24)))
    assert {key.name for key in Keys(tmp_path).all()} == {f"key{i}" for i in range(24)}


def test_a_home_that_cannot_be_written_to_is_one_sentence() -> None:
    with pytest.raises(KeysError, match="^RATCHET_HOME /proc/ratchet cannot be written to: "):
        Keys(Path("/proc/ratchet")).create("laptop", ["infer"], None, None)
