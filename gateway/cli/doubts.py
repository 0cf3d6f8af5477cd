"""What `scopegate check` proves about a table as a whole, at the places of the file that it is about."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from gateway.config import ConfigError
from gateway.config.gateway_file import GatewayFile
from gateway.explain.grounds import Grounds, lay
from gateway.policy.claims import granted_scopes
from gateway.prove.granted import Grants, never_granted
from gateway.prove.modes import mode_doubts
from gateway.prove.proofs import Doubt, prove
from gateway.prove.telling import doubt_as_json
from gateway.prove.verdicts import Policy
from gateway.rule_tests.cases import Cases, resolve
from gateway.rule_tests.reading import file_beside, read_cases
from gateway.tokens.verify import issuer_of

_PLAIN: Final = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTIES: Final = _PLAIN | {":": "%3A", ",": "%2C"}


@dataclass(frozen=True)
class Doubts:
    """All doubts about a sound configuration.

    Attributes:
        found: each with its place.
        unproven: where nothing can be claimed, and why.
    """

    found: tuple[tuple[Doubt, ConfigError], ...]
    unproven: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.found or self.unproven)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        now = time.time()
        placed = [
            doubt_as_json(doubt, now) | {name: value for name, value in asdict(place).items() if name != "message"}
            for doubt, place in self.found
        ]
        return {"doubts": placed, "unproven": list(self.unproven)}

    def lines(self) -> Iterator[str]:
        """For people."""
        for doubt, place in self.found:
            yield str(replace(place, message=f"{place.message} [{doubt.kind}]"))
        for line in self.unproven:
            yield f"not proven: {line}"

    def annotations(self) -> Iterator[str]:
        """For GitHub's workflows."""
        for doubt, place in self.found:
            yield annotation("warning", place, title=doubt.kind)
        for line in self.unproven:
            yield f"::notice title=not proven::{_escaped(line, _PLAIN)}"


def doubts(file: Path, examined: GatewayFile, environ: Mapping[str, str]) -> Doubts:
    """Prove what can be proven about a configuration that was examined."""
    grounds = lay(file, examined.config, environ)
    policy = Policy(grounds.table, grounds.issuers)
    proofs = prove(policy)
    found = [
        *proofs.doubts,
        *never_granted(policy, {**_tested(grounds, _cases(file, examined, environ)), **_grants(grounds)}),
        *mode_doubts(policy, time.time()),
    ]
    return Doubts(tuple(_placed(found, examined)), proofs.unproven)


def annotation(level: str, place: ConfigError, title: str) -> str:
    """A line that GitHub shows at its place in the file."""
    told = {"file": place.file, "line": place.line, "col": place.column, "title": title}
    properties = ",".join(f"{name}={_escaped(str(value), _IN_PROPERTIES)}" for name, value in told.items())
    key = f"{place.key}: " if place.key else ""
    return f"::{level} {properties}::{_escaped(key + place.message, _PLAIN)}"


def _cases(file: Path, examined: GatewayFile, environ: Mapping[str, str]) -> list[Cases]:
    """Those of the file itself, and of the file of cases beside it; what is wrong with that one, `test` tells."""
    beside = file_beside(file)
    read = read_cases(beside, environ) if beside.exists() else None
    return [Cases(examined.document, examined.config.tests), *([read] if isinstance(read, Cases) else [])]


def _tested(grounds: Grounds, gathered: list[Cases]) -> dict[str, Grants]:
    """What the tokens of cases carry, by issuer: all that is known of one whose roles are not."""
    found: dict[str, set[str]] = {}
    for case in (case for cases in gathered for case in resolve(cases, grounds)[0]):
        payload = json.loads(json.dumps(case.claims or {}))
        issuer = issuer_of(payload, grounds.by_iss)
        if issuer is not None:
            found.setdefault(issuer.name, set()).update(granted_scopes(payload, issuer))
    prefixes = {issuer.name: issuer.scope_prefix for issuer in grounds.issuers}
    return {
        name: Grants(frozenset(prefixes[name] + scope for scope in scopes), by_tests=True)
        for name, scopes in found.items()
        if scopes
    }


def _grants(grounds: Grounds) -> dict[str, Grants]:
    return {
        name: Grants(
            frozenset(scope for scopes in one.settings.roles.values() for scope in scopes),
            frozenset(scope for resource in one.settings.resources.values() for scope in resource),
        )
        for name, one in grounds.embedded.items()
    }


def _placed(found: list[Doubt], examined: GatewayFile) -> Iterator[tuple[Doubt, ConfigError]]:
    order = {route.id: index for index, route in enumerate(examined.config.routes)}
    for doubt in sorted(found, key=lambda doubt: order[doubt.route.id]):
        path = ("routes", order[doubt.route.id], doubt.key)
        yield doubt, examined.document.error(path, doubt.message)


def _escaped(text: str, characters: Mapping[str, str]) -> str:
    pattern = "|".join(map(re.escape, characters))
    return re.sub(pattern, lambda found: characters[found[0]], text)
