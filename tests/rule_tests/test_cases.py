"""What a case says is what is judged: who asks, for what, when, and what came of it."""

from pathlib import Path

import pytest

from .rules_on_trial import GATEWAY, Trial


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


@pytest.mark.parametrize(
    ("case", "reason", "route"),
    [
        ("GET /healthz none -> allow", None, "health"),
        ("GET /jobs jobs.read -> allow list-jobs", None, "list-jobs"),
        ("GET    /jobs?page=2    jobs.read  other   -> allow   list-jobs", None, "list-jobs"),
        ("GET /jobs none -> token_missing list-jobs", "token_missing", "list-jobs"),
        ("GET /jobs jobs.run -> scope_insufficient", "scope_insufficient", "list-jobs"),
        ("GET /jobs client=batch -> scope_insufficient", "scope_insufficient", "list-jobs"),
        ("GET /jobs jobs.run -> deny", "scope_insufficient", "list-jobs"),
        ("GET /nowhere none -> no_route", "no_route", None),
        ("PATCH /jobs none -> method_not_allowed", "method_not_allowed", None),
        ("GET //jobs none -> target_invalid", "target_invalid", None),
        ("GET /jobs/../healthz none -> target_invalid", "target_invalid", None),
        ("POST /jobs/7/runs jobs.run b issuer=main -> allow run-job", None, "run-job"),
        ("POST /jobs/7/runs jobs.run -> scope_insufficient", "scope_insufficient", "run-job"),
        ("GET /page page -> allow cookie", None, "cookie"),
        ("PUT /jobs jobs.run -> proof_invalid bound", "proof_invalid", "bound"),
        ("{request: PUT /jobs, scopes: jobs.run, proof: mtls, expect: allow}", None, "bound"),
        ("{request: PUT /jobs, scopes: a, proof: mtls, expect: deny}", "scope_insufficient", "bound"),
        ("{request: PUT /jobs, scopes: jobs.run, proof: dpop, expect: proof_invalid}", "proof_invalid", "bound"),
        ("{request: 'GET /jobs?a=b', scopes: jobs.read, proof: dpop, expect: allow}", None, "list-jobs"),
        ("{request: GET /jobs, scopes: jobs.read, proof: mtls, expect: allow}", None, "list-jobs"),
        (
            "{request: GET /jobs, claims: {cnf: {jkt: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8}}, expect: deny}",
            "proof_invalid",
            "list-jobs",
        ),
        ("DELETE /jobs jobs.run -> authentication_insufficient", "authentication_insufficient", "strong"),
        (
            "{request: DELETE /jobs, scopes: jobs.run, claims: {acr: gold, auth_time: 1767787200}, expect: allow}",
            None,
            "strong",
        ),
        (
            "{request: DELETE /jobs, scopes: jobs.run, claims: {acr: gold, auth_time: 1767786000}, expect: deny}",
            "authentication_insufficient",
            "strong",
        ),
        ("{request: GET /jobs, scopes: [], expect: scope_insufficient}", "scope_insufficient", "list-jobs"),
        ("{request: GET /jobs, claims: {exp: 1000}, expect: token_expired}", "token_expired", "list-jobs"),
        ("{request: GET /jobs, claims: {nbf: 1900000000}, expect: deny}", "token_not_yet_valid", "list-jobs"),
        ("{request: GET /jobs, claims: {aud: mine}, expect: audience_mismatch}", "audience_mismatch", "list-jobs"),
        ("{request: GET /jobs, claims: {iss: mine}, expect: issuer_untrusted}", "issuer_untrusted", "list-jobs"),
        ("{request: GET /jobs, claims: {sub: 7}, expect: claim_invalid}", "claim_invalid", "list-jobs"),
        ("{request: GET /jobs, scopes: jobs.read, claims: {aud: [other, x]}, expect: allow}", None, "list-jobs"),
        (
            "{request: GET /jobs, token: none, headers: {Host: 'a b'}, expect: request_malformed}",
            "request_malformed",
            None,
        ),
    ],
)
def test_a_case_comes_out_as_the_gateway_would_decide(
    trial: Trial, case: str, reason: str | None, route: str | None
) -> None:
    (told,) = trial.judged(case)
    assert told["passed"], told
    assert (told["found"]["reason"], told["found"]["route"]) == (reason, route)


@pytest.mark.parametrize(
    "case",
    [
        "GET /jobs jobs.run -> allow",
        "GET /jobs jobs.read -> deny",
        "GET /jobs jobs.read -> scope_insufficient",
        "GET /jobs jobs.run -> token_missing",
        "GET /jobs jobs.read -> allow run-job",
        "GET /jobs jobs.run -> scope_insufficient run-job",
        "GET /nowhere none -> no_route list-jobs",
    ],
)
def test_a_case_that_comes_out_otherwise_fails(trial: Trial, case: str) -> None:
    (told,) = trial.judged(case)
    assert not told["passed"]


def test_a_caller_lends_its_token_and_the_case_changes_it(trial: Trial) -> None:
    trial.write(
        "GET /jobs @reader -> allow",
        "POST /jobs/7/runs @reader jobs.run a -> allow",
        "{request: GET /jobs, as: reader, claims: {exp: 5}, expect: token_expired}",
        "{request: GET /jobs, as: late, expect: token_expired}",
        before="callers: {reader: {client: batch, scopes: jobs.read}, late: {scopes: jobs.read, claims: {exp: 5}}}",
    )
    outcome = trial.run()
    assert outcome.exit_code == 0, outcome.stdout


def test_the_time_is_that_of_the_case_else_of_the_file_else_always_the_same(trial: Trial) -> None:
    valid_then = "claims: {exp: 1800000000}, scopes: jobs.read, request: GET /jobs"
    trial.write(
        f"{{{valid_then}, expect: token_expired}}",
        f"{{{valid_then}, at: 2027-01-15T08:59:59+01:00, expect: allow}}",
        before="at: 2027-01-15T08:00:00Z",
    )
    assert trial.run().exit_code == 0
    trial.write(f"{{{valid_then}, expect: allow}}")
    assert trial.run().exit_code == 0


def test_client_and_scopes_stand_where_the_issuer_has_them(tmp_path: Path) -> None:
    terms = (
        'audience: api, client_claims: [app.id], scope_claims: [realm.roles], scope_prefix: "api/", max_lifetime: 5m, '
        "claims: {tid: [acme, other]}, required_claims: [tid]"
    )
    trial = Trial(tmp_path, GATEWAY.replace("audience: [api, other]", terms))
    told = trial.judged(
        "GET /jobs jobs.read client=batch -> allow",
        "GET /jobs api/jobs.read -> scope_insufficient",
        "{request: GET /jobs, scopes: jobs.read, claims: {tid: stranger}, expect: claim_invalid}",
    )
    assert [each["passed"] for each in told] == [True, True, True], told


def test_each_issuer_is_named_where_there_are_several(tmp_path: Path) -> None:
    both = '\n  spare: {issuer: "https://spare.example", audience: api}\nupstreams:'
    gateway = GATEWAY.replace("\nupstreams:", both).replace(
        "scopes: [jobs.read]", "scopes: [jobs.read], issuers: [spare]"
    )
    trial = Trial(tmp_path, gateway)
    told = trial.judged(
        "GET /jobs jobs.read issuer=spare -> allow", "GET /jobs jobs.read issuer=main -> issuer_untrusted"
    )
    assert all(each["passed"] for each in told), told
    assert trial.faults("GET /jobs jobs.read -> allow") == [
        "3:5: tests[0]: does not say whose token it is: write issuer: main or spare"
    ]


FAULTS = [
    ("GET /jobs jobs.read => allow", "3:5: tests[0]: 'GET /jobs jobs.read => allow' is no case: write 'METHOD /path"),
    ("GET /jobs -> allow", "3:5: tests[0]: 'GET /jobs -> allow' is no case: "),
    (
        "GET /jobs none -> allow list-jobs twice",
        "3:5: tests[0]: 'GET /jobs none -> allow list-jobs twice' is no case: ",
    ),
    ("GET /jobs none jobs.read -> allow", "3:5: tests[0].token: says that there is no token"),
    (
        "{request: GET /jobs, token: none, proof: dpop, expect: deny}",
        "tests[0].proof: proves that a token is one's own",
    ),
    ("GET /jobs client=a client=b -> allow", "3:5: tests[0]: says client twice: keep one"),
    ("GET /jobs none -> scope_insuficient", "did you mean 'scope_insufficient'?"),
    ("GET /jobs none -> allow list-job", "3:5: tests[0]: 'list-job' is no route: did you mean 'list-jobs'?"),
    ("GET /jobs @nobody -> allow", "3:5: tests[0]: 'nobody' is no caller: there are no callers"),
    ("GET /jobs issuer=mian -> allow", "3:5: tests[0]: 'mian' is no issuer: did you mean 'main'?"),
    ("GET /jobs none peer=10.0.0 -> allow", "3:5: tests[0]: '10.0.0' is no address"),
    ("{request: GET /jobs, expect: allow}", "3:5: tests[0]: does not say who calls: say scopes, client, issuer"),
    ("{request: GET /jobs, token: none}", "tests[0].expect: is required and missing"),
    ("{request: /jobs, token: none, expect: allow}", "3:15: tests[0].request: '/jobs' is no request: write the method"),
    ("{request: GET /jobs, tokn: none, expect: allow}", "3:26: tests[0].tokn: unknown key: did you mean 'token'?"),
    ("{request: GET /jobs, token: none, expect: deny, at: 2026-01-07}", "3:57: tests[0].at: '2026-01-07' is no moment"),
    ("{request: GET /jobs, token: none, expect: deny, at: 2026-13-07T12:00:00Z}", "is no moment of the calendar"),
    (
        "{request: GET /jobs, token: none, expect: deny, headers: {authorization: x}}",
        "a case brings no token of its own",
    ),
    ("{request: GET /jobs, token: none, expect: deny, headers: {'a b': x}}", "'a b' is no name of a field"),
    ('{request: GET /jobs, token: none, expect: deny, headers: {a: "b\\nc"}}', "'a' holds a line break"),
    ("{request: GET /page, token: none, expect: deny, headers: {cookie: sid=x}}", "routes take tokens from it"),
]


@pytest.mark.parametrize(("case", "fault"), FAULTS)
def test_a_case_that_cannot_be_meant_is_an_error_with_place_and_remedy(trial: Trial, case: str, fault: str) -> None:
    (told,) = trial.faults(case)
    assert fault in told


def test_proofs_by_dpop_fit_the_route_that_demands_them_and_bear_a_nonce_where_it_is_demanded(tmp_path: Path) -> None:
    gateway = GATEWAY.replace("require_proof: mtls", "require_proof: dpop").replace(
        "listen:", "public_url: https://api.example\nproofs: {nonces: true}\nlisten:"
    )
    trial = Trial(tmp_path, gateway)
    told = trial.judged(
        "{request: PUT /jobs, scopes: jobs.run, proof: dpop, expect: allow}",
        "{request: PUT /jobs, scopes: a, proof: dpop, expect: scope_insufficient}",
        "{request: PUT /jobs, scopes: jobs.run, proof: mtls, expect: proof_invalid}",
        "{request: PUT /jobs, scopes: jobs.run, proof: dpop, expect: deny}",
    )
    assert [each["passed"] for each in told] == [True, True, True, False], told


def test_what_a_trusted_proxy_tells_of_the_client_counts_and_what_is_no_address_is_of_no_network(
    tmp_path: Path,
) -> None:
    route = "  - {id: inside, methods: [GET], path: /in, scopes: [a], networks: [10.0.0.0/8], upstream: api}\n"
    trial = Trial(tmp_path, f"trusted_proxies: [10.0.0.1/32]\n{GATEWAY}{route}")
    trial.write(
        "GET /in a peer=10.0.0.1 -> allow inside",
        "{request: GET /in, scopes: a, peer: 10.0.0.1, headers: {X-Forwarded-For: '10.1.2.3:4711'}, expect: allow}",
        "{request: GET /in, scopes: a, peer: 10.0.0.1, headers: {X-Forwarded-For: '192.0.2.1:4711'}, expect: deny}",
        "{request: GET /in, scopes: a, peer: 10.0.0.1, headers: {X-Forwarded-For: 'unknown'}, expect: deny}",
        "{request: GET /in, scopes: a, peer: 10.0.0.2, headers: {X-Forwarded-For: 'unknown'}, expect: allow}",
    )
    outcome = trial.run()
    assert outcome.exit_code == 0, outcome.stdout


def test_fields_of_a_case_choose_its_route_and_its_token_is_for_all_audiences_of_its_issuer(tmp_path: Path) -> None:
    routes = """\
  - {id: two, path: /v, methods: [GET], fields: {X-V: "2"}, clients: [a], audiences: [other], upstream: api}
  - {id: one, path: /v, methods: [GET], fields: {X-V: false}, clients: [a], audiences: [api], upstream: api}
"""
    trial = Trial(tmp_path, GATEWAY + routes)
    trial.write(
        "{request: GET /v, client: a, headers: {x-v: '2'}, expect: allow, route: two}",
        "{request: GET /v, client: a, expect: allow, route: one}",
        "{request: GET /v, client: a, headers: {X-V: '3'}, expect: no_route}",
        "{request: GET /v, client: a, headers: {X_V: '2'}, expect: request_malformed}",
        "{request: GET /v, client: a, claims: {aud: api}, headers: {X-V: '2'}, expect: audience_mismatch, route: two}",
    )
    outcome = trial.run()
    assert outcome.exit_code == 0, outcome.stdout


def test_conditions_on_where_when_and_who_are_judged_as_in_the_gateway(tmp_path: Path) -> None:
    routes = """\
  - {id: inside, methods: [GET], path: /in, scopes: [a], networks: [10.0.0.0/8], upstream: api}
  - {id: night, methods: [GET], path: /night, scopes: [a], hours: "22:00-06:00", upstream: api}
  - {id: hosted, host: x.example, methods: [GET], path: /h, scopes: [a], upstream: api}
  - {id: closed, path: /closed, deny: true}
  - {id: tenant, path: "/t/{tenant}", scopes: [a], claims: {tenant: "{tenant}"}, upstream: api}
  - {id: client, path: /c, scopes: [a], clients: [batch], upstream: api}
"""
    trial = Trial(tmp_path, GATEWAY + routes)
    trial.write(
        "GET /in a peer=10.1.2.3 -> allow inside",
        "GET /in a peer=11.1.2.3 -> network_not_allowed",
        "GET /night a -> outside_hours",
        "{request: GET /night, scopes: a, at: 2026-01-07T23:00:00Z, expect: allow}",
        "GET /h a host=x.example -> allow hosted",
        "GET /h a host=y.example -> no_route",
        "GET /closed a -> route_denied closed",
        "{request: GET /t/acme, scopes: a, claims: {tenant: acme}, expect: allow}",
        "{request: GET /t/acme, scopes: a, claims: {tenant: other}, expect: claim_condition_failed}",
        "GET /c a client=batch -> allow",
        "GET /c a client=other -> claim_condition_failed",
    )
    outcome = trial.run()
    assert outcome.exit_code == 0, outcome.stdout
