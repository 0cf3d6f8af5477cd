"""The systemd unit and the rotation of logs, as far as they can be judged without systemd; with it, it judges, too."""

import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = (DEPLOY / "scopegate.service").read_text(encoding="utf-8")
ANALYZE = shutil.which("systemd-analyze")
WORST_EXPOSURE = 2.0
"""Of 10, as `systemd-analyze security` counts it."""


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def judges_offline() -> bool:
    if ANALYZE is None:
        return False
    done = subprocess.run([ANALYZE, "--help"], capture_output=True, text=True, check=False)
    return "--offline" in done.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("CapabilityBoundingSet", ""),
        ("MemoryDenyWriteExecute", "yes"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("StateDirectory", "scopegate"),
        ("LogsDirectory", "scopegate"),
    ],
)
def test_the_service_is_denied_what_it_does_not_need(name: str, value: str) -> None:
    assert settings()[name] == [value]


def test_system_calls_are_an_allowlist() -> None:
    assert settings()["SystemCallFilter"][0] == "@system-service"


def test_stopping_waits_longer_than_requests_may_take() -> None:
    assert int(settings()["TimeoutStopSec"][0]) > 30


def test_a_bad_configuration_is_not_tried_again() -> None:
    assert settings()["RestartPreventExitStatus"] == ["3"]


def test_logs_are_rotated_by_the_signal_that_reopens_them() -> None:
    rotation = (DEPLOY / "logrotate.conf").read_text(encoding="utf-8")
    orders = [line.strip() for line in rotation.splitlines() if not line.strip().startswith("#")]
    assert "copytruncate" not in orders
    assert {"nocreate", "delaycompress"} <= set(orders)
    assert any("SIGUSR1" in order and "scopegate.service" in order for order in orders)


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    unit = tmp_path / "scopegate.service"
    unit.write_text(UNIT.replace("/opt/scopegate/bin/scopegate", "/bin/true"))
    done = subprocess.run([str(ANALYZE), "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "scopegate.service" not in done.stderr
    assert done.returncode == 0


@pytest.mark.skipif(not judges_offline(), reason="systemd-analyze is not installed, or older than 250")
def test_systemd_finds_little_exposure() -> None:
    order = [str(ANALYZE), "--no-pager", "security", "--offline=yes", str(DEPLOY / "scopegate.service")]
    done = subprocess.run(order, capture_output=True, text=True, check=False)
    exposure = done.stdout.splitlines()[-1].split(": ")[1].split()[0]
    assert float(exposure) <= WORST_EXPOSURE
