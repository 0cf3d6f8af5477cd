"""Files of secrets: written so that nobody else reads them, read only if nobody else can."""

import json
import os
import stat
from pathlib import Path

import pytest

from gateway.client import TokenResponse
from gateway.client.private_files import PrivateFileError, read_private, write_private
from gateway.client.token_file import TokenFile, token_key

from .peer import NOW

KEY = token_key("https://login.example", None, "batch", ["a"], None)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_private_file_is_its_owner_s_alone_whatever_the_umask(tmp_path: Path, open_umask: object) -> None:
    path = tmp_path / "token"
    write_private(path, b"secret")
    assert (mode(path), path.read_bytes()) == (0o600, b"secret")
    assert list(tmp_path.iterdir()) == [path]


def test_an_older_file_is_replaced_as_a_whole_and_links_are_not_followed(tmp_path: Path) -> None:
    path, victim = tmp_path / "token", tmp_path / "victim"
    victim.write_bytes(b"mine")
    path.symlink_to(victim)
    write_private(path, b"secret")
    assert (victim.read_bytes(), path.is_symlink(), mode(path)) == (b"mine", False, 0o600)


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_private(tmp_path / "token", b"secret")
    assert [path.name for path in tmp_path.iterdir()] == ["token"]
    with pytest.raises(FileNotFoundError):
        write_private(tmp_path / "none" / "token", b"secret")


@pytest.mark.parametrize("bits", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "token"
    write_private(path, b"secret")
    path.chmod(bits)
    with pytest.raises(PrivateFileError, match="is open to others: chmod 600"):
        read_private(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert read_private(tmp_path / "none") is None
    with pytest.raises(PrivateFileError, match="no regular file"):
        read_private(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(PrivateFileError, match="no regular file"):
        read_private(tmp_path / "pipe")
    write_private(tmp_path / "token", b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "token")
    with pytest.raises(PrivateFileError, match="symbolic link"):
        read_private(tmp_path / "link")
    with pytest.raises(PrivateFileError, match="Not a directory"):
        read_private(tmp_path / "token" / "beneath")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_user_s_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    write_private(path, b"secret")
    os.chown(path, 65534, 65534)
    with pytest.raises(PrivateFileError, match="belongs to another user"):
        read_private(path)


def test_a_token_is_kept_until_shortly_before_its_end(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    TokenFile(path).keep(KEY, TokenResponse("t", "Bearer", 3600, "a"), NOW)
    assert mode(path) == 0o600
    kept = TokenFile(path)
    assert kept.find(KEY, NOW + 100) == TokenResponse("t", "Bearer", 3500, "a")
    assert kept.find(KEY, NOW + 3589) is not None
    assert kept.find(KEY, NOW + 3590) is None
    assert kept.find("other", NOW) is None


def test_a_token_without_a_known_end_is_not_kept(tmp_path: Path) -> None:
    TokenFile(tmp_path / "tokens").keep(KEY, TokenResponse("opaque", "Bearer", None, None), NOW)
    assert not (tmp_path / "tokens").exists()


def test_tokens_of_several_stand_side_by_side_and_expired_ones_go(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    for key, lifetime in (("one", 10), ("two", 1000)):
        TokenFile(path).keep(key, TokenResponse(key, "Bearer", lifetime, None), NOW)
    TokenFile(path).keep("three", TokenResponse("three", "Bearer", 1000, None), NOW + 500)
    assert json.loads(path.read_text())["tokens"].keys() == {"two", "three"}


@pytest.mark.parametrize(
    "content",
    [
        "hunter2",
        "[]",
        "{}",
        '{"kind": "other", "tokens": {}}',
        '{"kind": "scopegate tokens", "tokens": []}',
        '{"kind": "scopegate tokens", "tokens": {"a": 1}}',
        '{"kind": "scopegate tokens", "tokens": {"a": {"access_token": 1, "token_type": "", "expires_at": 1}}}',
    ],
)
def test_a_file_that_holds_something_else_is_neither_used_nor_overwritten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret"
    write_private(path, content.encode())
    with pytest.raises(PrivateFileError, match="holds no tokens of ours"):
        TokenFile(path)
    assert path.read_text() == content


def test_an_empty_file_is_one_without_tokens(tmp_path: Path) -> None:
    write_private(tmp_path / "tokens", b"")
    assert TokenFile(tmp_path / "tokens").find(KEY, NOW) is None


def test_a_token_s_name_depends_on_all_that_it_was_asked_with() -> None:
    parts = ["https://login.example", None, "batch", ("a", "b"), "r", None]
    names = {token_key(*parts)}
    for at in range(len(parts)):
        names.add(token_key(*parts[:at], "x", *parts[at + 1 :]))
    assert len(names) == len(parts) + 1
