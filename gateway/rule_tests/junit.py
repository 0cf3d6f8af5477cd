"""The outcome of a test run as JUnit XML, which build servers read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gateway.explain.words import shown
from gateway.rule_tests.running import Result
from gateway.rule_tests.view import expected, found


def as_junit(results: Sequence[Result]) -> bytes:
    """One suite a file, one testcase a case, a failure where it is not met."""
    root = Element("testsuites", _sums(results))
    for file, group in groupby(results, key=lambda result: result.case.place.file):
        held = list(group)
        suite = SubElement(root, "testsuite", {"name": file, **_sums(held)})
        for result in held:
            _add(suite, file, result)
    indent(root)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _sums(results: Sequence[Result]) -> dict[str, str]:
    failures = sum(not result.met for result in results)
    return {"tests": str(len(results)), "failures": str(failures), "errors": "0", "skipped": "0"}


def _add(suite: Element, file: str, result: Result) -> None:
    case = result.case
    attributes = {"name": shown(case.name), "classname": file, "file": file, "line": str(case.place.line)}
    entry = SubElement(suite, "testcase", attributes)
    if not result.met:
        message = f"expected {expected(case)}, found {found(result)}"
        failure = SubElement(entry, "failure", {"type": "verdict", "message": message})
        failure.text = f"{file}:{case.place.line}:{case.place.column}: {message}"
