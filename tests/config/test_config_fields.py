"""The field types that configuration files share."""

from typing import Any

import pytest

from gateway.config import Address, ByteSize, Duration, HostPort, Section, StringOrList, UniqueStrings, load, written


class Sample(Section):
    duration: Duration = written("1s", "")
    size: ByteSize = written("1KiB", "")
    address: Address = written("localhost:0", "")
    strings: StringOrList = written("x", "")
    unique: UniqueStrings = ()
    count: int = 0
    flag: bool = False


def test_a_default_is_spelt_as_in_yaml() -> None:
    sample = load(Sample, "{}", "f", {})
    assert isinstance(sample, Sample)
    assert (sample.duration, sample.size, sample.address) == (1.0, 1024, HostPort("localhost", 0))
    assert sample.strings == ("x",)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("duration: 500ms", 0.5),
        ("duration: 30s", 30.0),
        ("duration: 1.5m", 90.0),
        ("duration: 1h", 3600.0),
        ("duration: 2d", 172800.0),
        ("duration: 0s", 0.0),
        ("size: 32KiB", 32768),
        ("size: 10MiB", 10485760),
        ("size: 1GiB", 1073741824),
        ("size: 7B", 7),
        ("size: 4096", 4096),
        ("size: '4096'", 4096),
        ("address: 127.0.0.1:8080", HostPort("127.0.0.1", 8080)),
        ("address: api.internal:0", HostPort("api.internal", 0)),
        ("address: '[::1]:80'", HostPort("::1", 80)),
        ("address: 0.0.0.0:65535", HostPort("0.0.0.0", 65535)),
        ("strings: one", ("one",)),
        ("strings: [one, two]", ("one", "two")),
        ("unique: []", ()),
        ("count: 3", 3),
        ("count: ${THREE}", 3),
        ("flag: ${YES}", True),
    ],
)
def test_a_value_is_read(line: str, value: object) -> None:
    sample = load(Sample, line, "f", {"THREE": "3", "YES": "true"})
    assert isinstance(sample, Sample)
    assert getattr(sample, line.partition(":")[0]) == value


DURATION = "is no duration: write a number and a unit, such as 500ms, 30s, 5m, 1h or 2d"
SIZE = "is no size: write bytes, or a number with KiB, MiB or GiB, such as 32KiB"
ADDRESS = "is no address: write host:port, such as 127.0.0.1:8080 or [::1]:8080"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("duration: 30", "1:11: duration: 30 has no unit: write 30s, or use ms, m, h or d"),
        ("duration: 1.5", "1:11: duration: 1.5 has no unit: write 1.5s, or use ms, m, h or d"),
        ("duration: -1s", f"1:11: duration: '-1s' {DURATION}"),
        ("duration: 5 minutes", f"1:11: duration: '5 minutes' {DURATION}"),
        ("duration: true", f"1:11: duration: true {DURATION}"),
        ("duration: [1s]", f"1:1: duration: a list {DURATION}"),
        ("duration: 367d", "1:11: duration: '367d' is longer than 366d: write a shorter time"),
        ("size: 32KB", f"1:7: size: '32KB' {SIZE}"),
        ("size: -1", f"1:7: size: -1 {SIZE}"),
        ("size: true", f"1:7: size: true {SIZE}"),
        ("address: localhost", f"1:10: address: 'localhost' {ADDRESS}"),
        ("address: ::1:80", f"1:10: address: '::1:80' {ADDRESS}"),
        ("address: 8080", f"1:10: address: 8080 {ADDRESS}"),
        ("address: h:65536", "1:10: address: port 65536 does not exist: ports end at 65535"),
        (
            "address: '[::g]:80'",
            f"1:10: address: '[::g]:80' {ADDRESS}",
        ),
        (
            "address: '[1::2::3]:80'",
            "1:10: address: '1::2::3' is no IPv6 address: inside brackets write one such as [::1]",
        ),
        ("address: a/b:80", "1:10: address: 'a/b' is no host name or IPv4 address"),
        ("strings: []", "1:1: strings: must not be empty"),
        ("strings: ''", "1:10: strings: must not be empty"),
        ("strings: [a, '']", "1:14: strings[1]: must not be empty"),
        ("strings: [a, 1]", "1:14: strings[1]: must be a string, not 1: quote it"),
        ("strings: [a, a]", "1:1: strings: 'a' is listed twice"),
        ("strings: {a: b}", "1:1: strings: must be a list, not a mapping"),
        ("strings:", "1:9: strings: is empty: give it a value, or remove the key"),
        ("unique: a", "1:9: unique: must be a list, not 'a'"),
        ("count: '3'", "1:8: count: must be a whole number, not '3'"),
        ("count: 3.0", "1:8: count: must be a whole number, not 3.0"),
        ("count: true", "1:8: count: must be a whole number, not true"),
        ("count: ${WORD}", "1:8: count: must be a whole number, not ***"),
        ("flag: 1", "1:7: flag: must be true or false, not 1"),
        ("flag: 'true'", "1:7: flag: must be true or false, not 'true'"),
        ("flag: ${NUMBER}", "1:7: flag: must be true or false, not ***"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_at_its_place(line: str, expected: str) -> None:
    found: Any = load(Sample, line, "f", {"WORD": "hunter2", "NUMBER": "0123"})
    assert [str(error) for error in found] == [f"f:{expected}"]


@pytest.mark.parametrize(
    ("address", "text"), [(HostPort("::1", 80), "[::1]:80"), (HostPort("a.example", 0), "a.example:0")]
)
def test_an_address_is_shown_as_it_is_written(address: HostPort, text: str) -> None:
    assert str(address) == text
