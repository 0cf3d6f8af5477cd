"""The circuit by itself: no sockets, no clock."""

import pytest
from hypothesis import given, strategies as st

from gateway.upstream.circuit import TRIAL_SECONDS, Circuit
from gateway.upstream.settings import EjectionSettings

SETTINGS = EjectionSettings(failures=3, seconds=10.0, longest=60.0)


def opened(settings: EjectionSettings = SETTINGS) -> Circuit:
    circuit = Circuit(settings)
    for _ in range(settings.failures):
        circuit.fail(100.0, trial=False)
    return circuit


@pytest.mark.parametrize(("failures", "closed"), [(0, True), (2, True), (3, False)])
def test_it_opens_after_failures_in_a_row(failures: int, *, closed: bool) -> None:
    circuit = Circuit(SETTINGS)
    for _ in range(failures):
        circuit.fail(0.0, trial=False)
    assert circuit.closed is closed


def test_a_success_in_between_begins_the_count_anew() -> None:
    circuit = Circuit(SETTINGS)
    for _ in range(5):
        circuit.fail(0.0, trial=False)
        circuit.fail(0.0, trial=False)
        circuit.succeed()
    assert circuit.closed


def test_without_settings_it_never_opens() -> None:
    circuit = Circuit(None)
    for _ in range(100):
        circuit.fail(0.0, trial=False)
    assert circuit.closed


@pytest.mark.parametrize(("now", "due"), [(100.0, False), (109.9, False), (110.0, True), (500.0, True)])
def test_a_trial_is_due_when_the_time_is_up(now: float, *, due: bool) -> None:
    assert opened().trial_is_due(now) is due


def test_a_trial_under_way_keeps_others_back_for_the_same_time() -> None:
    circuit = opened()
    circuit.begin_trial(110.0)
    assert not circuit.trial_is_due(119.9)
    assert circuit.trial_is_due(120.0)


def test_a_single_unhealthy_target_is_tried_at_the_same_pace_though_its_circuit_is_closed() -> None:
    circuit = Circuit(None)
    circuit.begin_trial(100.0)
    assert not circuit.trial_is_due(100.0 + TRIAL_SECONDS / 2)


def test_after_a_success_the_time_is_as_short_as_at_first() -> None:
    circuit = opened()
    circuit.fail(110.0, trial=True)
    assert circuit.next_trial == 130.0
    circuit.succeed()
    for _ in range(3):
        circuit.fail(200.0, trial=False)
    assert circuit.next_trial == 210.0


@given(seconds=st.floats(0.001, 1000), trials=st.integers(0, 30))
def test_the_time_grows_never_beyond_its_bound(seconds: float, trials: int) -> None:
    circuit = opened(EjectionSettings(1, seconds, 60.0))
    for _ in range(trials):
        circuit.fail(100.0, trial=True)
    assert circuit.next_trial - 100.0 <= max(seconds, 60.0) + 1e-6
