from __future__ import annotations

import stat
from pathlib import Path

import pytest

from service.access import required_token


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_the_loopback_needs_no_token(tmp_path: Path, host: str) -> None:
    assert required_token(host, "", allow_anonymous=False, data=tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.local"])
def test_other_machines_need_one_that_lasts(tmp_path: Path, host: str) -> None:
    data = tmp_path / "data"
    made = required_token(host, "", allow_anonymous=False, data=data)
    assert len(made) >= 32
    assert required_token(host, "", allow_anonymous=False, data=data) == made
    assert stat.S_IMODE((data / "token").stat().st_mode) == 0o600
    assert [path.name for path in data.iterdir()] == ["token"]


def test_the_user_may_say_otherwise(tmp_path: Path) -> None:
    assert required_token("0.0.0.0", "", allow_anonymous=True, data=tmp_path) == ""
    assert required_token("0.0.0.0", "mine", allow_anonymous=False, data=tmp_path) == "mine"
    assert required_token("127.0.0.1", "mine", allow_anonymous=False, data=tmp_path) == "mine"
    assert list(tmp_path.iterdir()) == []


def test_tokens_differ(tmp_path: Path) -> None:
    tokens = {
        required_token("::", "", allow_anonymous=False, data=tmp_path / name) for name in "abc"
    }
    assert len(tokens) == 3
