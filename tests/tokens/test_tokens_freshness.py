"""How long an answer stays fresh, and what its sender's clock shows."""

import pytest

from gateway.tokens.freshness import clock_ahead, fresh_for


@pytest.mark.parametrize(
    ("cache_control", "age", "seconds"),
    [
        (None, None, 300),
        ("public", None, 300),
        ("max-age=120", None, 120),
        ("public, max-age=120, must-revalidate", None, 120),
        ('max-age="120"', None, 120),
        ("MAX-AGE=120", None, 120),
        ("max-age=120", "20", 100),
        ("max-age=120", "x", 120),
        ("max-age=120", "500", 30),
        ("max-age=1", None, 30),
        ("max-age=86400", None, 300),
        ("max-age=9999999999", None, 300),
        ("max-age=-1", None, 300),
        ("max-age=soon", None, 300),
        ("no-store", None, 30),
        ("no-cache, max-age=120", None, 30),
    ],
)
def test_an_answer_is_fresh_for_what_it_says_within_bounds(
    cache_control: str | None, age: str | None, seconds: float
) -> None:
    told = {"Cache-Control": cache_control, "Age": age}
    headers = {name: value for name, value in told.items() if value is not None}
    assert fresh_for(headers, 30, 300) == seconds


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", 0),
        ("Fri, 15 Jan 2027 08:00:07 GMT", 7),
        ("Fri, 15 Jan 2027 07:59:00 -0000", -60),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_the_senders_clock_is_read_off_its_date(date: str | None, ahead: float | None) -> None:
    assert clock_ahead({} if date is None else {"Date": date}, 1_800_000_000) == ahead
