"""Cases may ask what becomes of a browser's preflight."""

from pathlib import Path

from .rules_on_trial import GATEWAY, Trial

WITH_PAGES = (
    GATEWAY
    + """\
  - id: console
    methods: [GET]
    path: /console
    scopes: [console]
    cors: { origins: [https://app.example], headers: [Authorization] }
    upstream: api
"""
)
ASKING = "{request: OPTIONS /console, token: none, headers: {Origin: 'ORIGIN', Access-Control-Request-Method: GET}, "


def asking(origin: str, expect: str) -> str:
    return ASKING.replace("ORIGIN", origin) + f"expect: {expect}, route: console}}"


def test_a_preflight_is_granted_or_refused_by_the_route_that_it_asks_about(tmp_path: Path) -> None:
    trial = Trial(tmp_path, WITH_PAGES)
    cases = [asking("https://app.example", "allow"), asking("https://evil.example", "origin_untrusted")]
    assert [case["passed"] for case in trial.judged(*cases)] == [True, True]


def test_a_case_that_fails_tells_what_to_list(tmp_path: Path) -> None:
    (case,) = Trial(tmp_path, WITH_PAGES).judged(asking("https://evil.example", "allow"))
    assert case["found"]["detail"] == "preflight origin: expected https://app.example, found https://evil.example"
    assert "add https://evil.example to cors.origins of route console" in case["changes"][0]
