"""`scopegate explain --list`: all that a client may do."""

import json
from collections.abc import Mapping

import click

from gateway.cli.plain_table import print_table
from gateway.explain.grounds import Grounds
from gateway.explain.stand_in import missing_claims
from gateway.policy.routes import METHODS
from gateway.prove.reach import Entry, entries
from gateway.prove.segments import TooManyKindsError
from gateway.prove.verdicts import Policy
from gateway.prove.words import fields_in_words

NOTHING = 1


def list_entries(grounds: Grounds, claims: Mapping[str, object] | None, now: float, *, as_json: bool) -> None:
    """Print each route that lets a token with these claims in; without claims, what needs no token."""
    payload = None if claims is None else {**claims, **missing_claims(claims, None, grounds, now)}
    try:
        found = entries(Policy(grounds.table, grounds.issuers), payload, now)
    except TooManyKindsError:
        raise click.ClickException("there are more kinds of path than can be tried: ask for single requests") from None
    if as_json:
        click.echo(json.dumps([_as_json(entry) for entry in found]))
    elif found:
        rows = [(each.route.id, _methods(each), _path(each), _such_as(each)) for each in found]
        print_table(("route", "methods", "path", "such as"), rows)
    else:
        click.echo("nothing", err=True)
    if not found:
        raise click.exceptions.Exit(NOTHING)


def _methods(entry: Entry) -> str:
    return "any" if set(METHODS) <= set(entry.methods) else ",".join(entry.methods)


def _path(entry: Entry) -> str:
    hosts = " or ".join(entry.route.hosts)
    return f"{entry.route.path} at {hosts}" if hosts else entry.route.path


def _such_as(entry: Entry) -> str:
    mode = entry.route.rule.mode.name
    passed = "" if entry.would_deny is None else f" (by {mode} alone: would_deny={entry.would_deny.reason})"
    return f"{entry.witness.method} {entry.witness.target}{fields_in_words(entry.witness)}{passed}"


def _as_json(entry: Entry) -> dict[str, object]:
    return {
        "route": entry.route.id,
        "methods": list(entry.methods),
        "path": entry.route.path,
        "hosts": list(entry.route.hosts),
        "would_deny": None if entry.would_deny is None else entry.would_deny.reason.value,
        "such_as": {
            "method": entry.witness.method,
            "host": entry.witness.host,
            "path": entry.witness.target,
            "fields": [list(field) for field in entry.witness.fields],
        },
    }
