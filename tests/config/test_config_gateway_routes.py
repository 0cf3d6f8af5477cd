"""Every fault of a route, and of routes towards each other, at its place."""

import pytest

from gateway.policy.routes import METHODS

from .gateway_samples import LEAST, UP_TO_ROUTES, faults

ALL = "write one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
NEITHER = "says neither scopes nor public: true: list the scopes that a token must carry, or write public: true"
NO_EFFECT = "has no effect on a public route"
ROUTES = [
    ("{path: /, public: true, upstream: api}", "7:5: routes[1].id: is required and missing: add it"),
    (
        "{id: one, path: /, public: true, upstream: api}",
        "7:10: routes[1].id: is the same as that of routes[0]: each route needs its own",
    ),
    (
        "{id: a b, path: /, public: true, upstream: api}",
        "7:10: routes[1].id: 'a b' does not have the form ^[A-Za-z0-9._-]{1,64}$",
    ),
    (
        "{id: a, path: /, scopes: [x], upstream: api, token_from: {}}",
        "7:50: routes[1].token_from: must name exactly one place: write {header: X-Api-Token} or {cookie: NAME}",
    ),
    (
        "{id: a, path: /, scopes: [x], upstream: api, token_from: {header: A, cookie: b}}",
        "7:50: routes[1].token_from: must name exactly one place: write {header: X-Api-Token} or {cookie: NAME}",
    ),
    (
        "{id: a, path: /, scopes: [x], upstream: api, token_from: {header: Via}}",
        (
            "7:71: routes[1].token_from.header: 'Via' means something else already: "
            "write another name, such as X-Api-Token"
        ),
    ),
    (
        "{id: a, path: /, scopes: [x], upstream: api, token_from: {header: Origin}}",
        (
            "7:71: routes[1].token_from.header: 'Origin' means something else already: "
            "write another name, such as X-Api-Token"
        ),
    ),
    (
        "{id: a, path: /, scopes: [x], upstream: api, token_from: {header: Cookie}}",
        "7:71: routes[1].token_from.header: holds all cookies: write {cookie: NAME} for the one with the token",
    ),
    (
        "{id: a, path: /, scopes: [x], upstream: api, token_from: {header: authorization}}",
        "7:71: routes[1].token_from.header: is where a token is looked for anyway: remove token_from",
    ),
    (
        "{id: a, path: /, scopes: [x], upstream: api, token_from: {header: 'X Y'}}",
        "7:71: routes[1].token_from.header: 'X Y' is no name of a field: write one such as X-Api-Token",
    ),
    (
        "{id: a, path: /, scopes: [x], upstream: api, token_from: {cookie: 'a;b'}}",
        "7:71: routes[1].token_from.cookie: 'a;b' is no name of a cookie: write one such as __Host-token",
    ),
    (
        "{id: a, path: /, scopes: [x], upstream: api, require_proof: dpop, token_from: {header: X-T}}",
        (
            "7:71: routes[1].token_from: DPoP tokens come in Authorization only (RFC 9449 §7.1): "
            "remove token_from, or demand mtls"
        ),
    ),
    (
        "{id: a, path: /, public: true, upstream: api, token_from: {header: X-T}}",
        f"7:51: routes[1].token_from: {NO_EFFECT}: remove token_from, or remove public: true",
    ),
    ("{id: a, path: /, upstream: api}", f"7:5: routes[1]: {NEITHER}"),
    ("{id: a, path: /, upstream: api, public: false}", f"7:5: routes[1]: {NEITHER}"),
    ("{id: a, path: /, upstream: api, scope: [x]}", "7:37: routes[1].scope: unknown key: did you mean 'scopes'?"),
    (
        "{id: a, path: /, upstream: api, scopes: []}",
        "7:37: routes[1].scopes: must not be empty: list at least one scope, or write public: true instead",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: {}}",
        "7:37: routes[1].scopes: must not be empty: list at least one scope, or write public: true instead",
    ),
    ("{id: a, path: /, upstream: api, scopes: {any: []}}", "7:46: routes[1].scopes.any: must not be empty"),
    (
        "{id: a, path: /, upstream: api, scopes: {one: [x]}}",
        "7:46: routes[1].scopes.one: unknown key: known keys are: all, any",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: x}",
        "7:45: routes[1].scopes: must be a list, not 'x': write one such as [jobs.read]",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: [x y]}",
        "7:46: routes[1].scopes[0]: 'x y' holds a blank: write each scope as its own item of the list",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: [é]}",
        "7:46: routes[1].scopes[0]: 'é' is no scope: visible ASCII without '\"' and '\\' (RFC 6749 §3.3)",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: ['']}",
        "7:46: routes[1].scopes[0]: '' is no scope: visible ASCII without '\"' and '\\' (RFC 6749 §3.3)",
    ),
    ("{id: a, path: /, upstream: api, scopes: [x, x]}", "7:37: routes[1].scopes: 'x' is listed twice: keep one"),
    (
        "{id: a, path: /, upstream: api, scopes: [010]}",
        "7:46: routes[1].scopes[0]: '010' is octal to some readers of YAML: write it in decimal, or quote it",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: [on]}",
        "7:46: routes[1].scopes[0]: 'on' is true to some readers of YAML and a word to others: write true, or quote it",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: [x], scopes: [y]}",
        "7:50: routes[1].scopes: is written twice, first on line 7: keep one",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: }",
        "7:44: routes[1].scopes: is empty: give it a value, or remove the key",
    ),
    (
        "{id: a, path: /, upstream: api, public: yes}",
        "7:45: routes[1].public: 'yes' is true to some readers of YAML and a word to others: write true, or quote it",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, scopes: [x]}",
        f"7:51: routes[1].scopes: {NO_EFFECT}: remove scopes, or remove public: true",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, issuers: [main]}",
        f"7:51: routes[1].issuers: {NO_EFFECT}: remove issuers, or remove public: true",
    ),
    (
        "{id: a, path: /, upstream: ap, public: true}",
        "7:32: routes[1].upstream: 'ap' is no upstream: did you mean 'api'?",
    ),
    (
        "{id: a, path: /, upstream: zzz, public: true}",
        "7:32: routes[1].upstream: 'zzz' is no upstream: upstreams are: api",
    ),
    (
        "{id: a, path: /, upstream: api, scopes: [x], issuers: [man]}",
        "7:60: routes[1].issuers[0]: 'man' is no issuer: did you mean 'main'?",
    ),
    ("{id: a, path: /, upstream: api, scopes: [x], issuers: []}", "7:50: routes[1].issuers: must not be empty"),
    (
        "{id: a, path: /, upstream: api, scopes: [x], issuers:}",
        "7:58: routes[1].issuers: is empty: give it a value, or remove the key",
    ),
    ("{id: a, path: x, upstream: api, public: true}", "7:19: routes[1].path: a path begins with '/': write '/x'"),
    (
        "{id: a, path: /a//b, upstream: api, public: true}",
        "7:19: routes[1].path: an empty segment ('//'): remove one slash",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, host: 'a.example:80'}",
        (
            "7:57: routes[1].host: 'a.example:80' is more than a host: "
            "write it without scheme, port and path, an IPv6 one in [ ]"
        ),
    ),
    (
        "{id: a, path: /, upstream: api, public: true, host: [a.example, A.Example]}",
        "7:51: routes[1].host: 'a.example' is listed twice: keep one",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, host: []}",
        "7:51: routes[1].host: must not be empty",
    ),
    (
        "{id: a, path: /one, upstream: api, public: true, host: a.example}",
        (
            "7:19: routes[1].path: never matches, because all goes to 'one' above, such as GET /one at a.example: "
            "move this route up, or remove it"
        ),
    ),
    (
        "{id: a, path: '/{x:integer}', upstream: api, public: true}",
        (
            "7:19: routes[1].path: '{x:integer}': 'integer' is no type: "
            "write one of int, uuid, or an expression such as [a-z]+"
        ),
    ),
    ("{id: a, path: /, upstream: api, public: true, methods: []}", "7:51: routes[1].methods: must not be empty"),
    (
        "{id: a, path: /, upstream: api, public: true, methods: [get]}",
        "7:61: routes[1].methods[0]: 'get' is not known: did you mean 'GET'?",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, methods: [FROB]}",
        f"7:61: routes[1].methods[0]: 'FROB' is not known: {ALL}",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, methods: [TRACE]}",
        "7:61: routes[1].methods[0]: 'TRACE' is never forwarded, because it echoes credentials: remove it",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, methods: [CONNECT]}",
        "7:61: routes[1].methods[0]: 'CONNECT' is never forwarded, because it opens a blind tunnel: remove it",
    ),
    (
        "{id: a, path: /, upstream: api, public: true, allow_in_path: [encoded-slash]}",
        "7:67: routes[1].allow_in_path[0]: 'encoded-slash' is not known: did you mean 'encoded_slash'?",
    ),
    (
        "{id: a, path: /one, upstream: api, public: true}",
        (
            "7:19: routes[1].path: never matches, because all goes to 'one' above, such as GET /one: "
            "move this route up, or remove it"
        ),
    ),
    ("x", "7:5: routes[1]: must be a mapping of keys, not 'x'"),
]


@pytest.mark.parametrize(("text", "expected"), ROUTES, ids=[text for text, _ in ROUTES])
def test_a_faulty_route_is_refused(text: str, expected: str) -> None:
    found = faults(f"{LEAST}  - {text}\n")
    assert expected in found
    assert set(found) <= {expected, f"7:5: routes[1]: {NEITHER}"}


@pytest.mark.parametrize(
    ("earlier", "later", "witness"),
    [
        ("/a/{x}", "/a/{y}", "/a/any"),
        ("/a/{x}", "/a/b", "/a/b"),
        ("/a/{x}", "/a/", None),
        ("/a/b", "/a/{x}", None),
        ("/a/{x...}", "/a/b/c", "/a/b/c"),
        ("/a/{x...}", "/a/", "/a/"),
        ("/a/{x...}", "/a", None),
        ("/a/{x...}", "/a/{y...}", "/a/"),
        ("/a/{x}", "/a/{y...}", None),
        ("/{x}/b", "/a/{y}", None),
        ("/{x...}", "/a/{y}/c", "/a/any/c"),
        ("/a", "/A", None),
        ("/{x}", "/{y:int}", "/0"),
        ("/{x:int}", "/{y:int}", "/0"),
        ("/{x:int}", "/7", "/7"),
        ("/{x:int}", "/a", None),
        ("/{x:int}", "/", None),
        ("/{x:int}", "/{y}", None),
        ("/{x:int}", "/{y...}", None),
        ("/{x:int}/b", "/{y:[0-4]{2}}/b", "/00/b"),
        ("/{x:[0-4]{2}}", "/{y:int}", None),
        ("/{x...}", "/{y:int}", "/0"),
        ("/{x:7}", "/7", "/7"),
        ("/{x}", "/{y:[.]{2,4}}", "/..."),
        ("/{x}", "/{y:[.a]{1,2}}", "/a"),
        ("/{x}", "/{y:[.]{1,2}}", ""),
    ],
)
def test_a_route_that_an_earlier_one_covers_is_refused_with_a_request_that_shows_it(
    earlier: str, later: str, witness: str | None
) -> None:
    head = UP_TO_ROUTES
    routes = "".join(
        f"  - {{id: r{index}, path: '{path}', public: true, upstream: api}}\n"
        for index, path in enumerate((earlier, later))
    )
    shown = f", such as GET {witness}" if witness else ""
    message = f"never matches, because all goes to 'r0' above{shown}: move this route up, or remove it"
    assert faults(head + routes) == ([] if witness is None else [f"7:20: routes[1].path: {message}"])


def test_a_route_further_up_that_takes_the_request_which_shows_it_is_named() -> None:
    routes = [
        "{id: zero, path: /0, methods: [POST], host: a.example, fields: {A: x}, public: true, upstream: api}",
        "{id: many, path: '/{x:int}', methods: [POST], public: true, upstream: api}",
        "{id: none, path: /0, methods: [POST, PUT], host: ['*.example'], public: true, upstream: api}",
        "{id: late, path: '/{y:[0-7]}', host: a.example, methods: [POST], fields: {A: [x, y]}, deny: true}",
        "{id: last, path: '/{y:[0-7]}', methods: [POST], host: '*.x.example', fields: {B: false}, deny: true}",
    ]
    told = faults(UP_TO_ROUTES + "".join(f"  - {route}\n" for route in routes))
    assert [fault.partition("all goes to ")[2].partition(": move")[0] for fault in told] == [
        "'many' above (POST /0 at a.example (A: x) goes to 'zero')",
        "'many' above, such as POST /0 at any.x.example",
    ]


@pytest.mark.parametrize(
    ("earlier", "later", "shadowed"),
    [
        ("*.example", "a.example", True),
        ("*.example", "[a.example, '*.b.example']", True),
        ("*.example", "[a.example, other]", False),
        ("a.example", "'*.example'", False),
        ("a.example", "A.EXAMPLE", True),
    ],
)
def test_a_route_is_covered_by_one_for_all_of_its_hosts(earlier: str, later: str, *, shadowed: bool) -> None:
    rest = "path: /x, public: true, upstream: api}\n"
    text = f"{UP_TO_ROUTES}  - {{id: a, host: '{earlier}', {rest}  - {{id: b, host: {later}, {rest}"
    assert [fault.partition(": never")[0].partition(" ")[2] for fault in faults(text)] == ["routes[1].path"] * shadowed


def test_routes_of_one_path_share_it_by_method() -> None:
    head = UP_TO_ROUTES
    rest = "public: true, upstream: api}\n"
    routes = [
        f"  - {{id: a, path: '/x/{{y}}', methods: [GET], {rest}",
        f"  - {{id: b, path: '/x/{{z}}', methods: [POST], {rest}",
    ]
    assert faults(head + "".join(routes)) == []
    routes.append(f"  - {{id: c, path: '/x/y', methods: [POST, GET], {rest}")
    asked = "(GET /x/y goes to 'a')"
    message = f"never matches, because all goes to 'a' and 'b' above {asked}: move this route up, or remove it"
    assert faults(head + "".join(routes)) == [f"8:19: routes[2].path: {message}"]


def test_a_route_without_methods_takes_every_method_that_is_forwarded() -> None:
    head = UP_TO_ROUTES
    rest = "public: true, upstream: api}\n"
    text = f"{head}  - {{id: a, path: /x, methods: [{', '.join(METHODS)}], {rest}  - {{id: b, path: /x, {rest}"
    assert [fault.partition(", because")[0] for fault in faults(text)] == ["7:19: routes[1].path: never matches"]


@pytest.mark.parametrize("issuers", ["", "issuers: {}\n"])
def test_a_route_that_needs_a_token_needs_an_issuer(issuers: str) -> None:
    text = issuers + LEAST[LEAST.index("upstreams:") :]
    message = "demands a token, but no issuer is trusted: add one under issuers"
    assert [fault.partition(": ")[2] for fault in faults(text)] == [f"routes[0]: {message}"]
