"""`scopegate replay`: which past requests would other rules have answered differently?"""

import json
from collections import Counter
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import click
from rich_click import RichCommand

from gateway.access.query import Damage, LogUnreadableError, entries, epoch, open_log, read_lines
from gateway.cli.diff import policy
from gateway.cli.plain_table import print_table
from gateway.prove.replay import Outcome, Replayed, replay as replayed
from gateway.prove.verdicts import Policy
from gateway.prove.words import verdict_in_words

FINDINGS: Final = 1
CANNOT_REACH: Final = 4
_CHANGES: Final = (Replayed.ALLOWED, Replayed.REFUSED, Replayed.UNCLEAR)
_FAILS: Final = {
    "newly-allowed": frozenset({Replayed.ALLOWED}),
    "newly-refused": frozenset({Replayed.REFUSED}),
    "any": frozenset({Replayed.ALLOWED, Replayed.REFUSED}),
}


class _Change(NamedTuple):
    """Requests of one client that would come out differently in the same way."""

    replayed: Replayed
    client: str
    before: str
    after: str


class _Result(NamedTuple):
    counts: Counter[Replayed]
    changes: Counter[_Change]
    samples: dict[_Change, str]

    @property
    def judged(self) -> int:
        return self.counts.total() - self.counts[Replayed.LEFT_OUT]


@click.command(cls=RichCommand)
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "--against", type=click.Path(path_type=Path), required=True, help="The configuration with the other rules."
)
@click.option(
    "--fail-on",
    type=click.Choice(list(_FAILS)),
    default="any",
    show_default=True,
    help="Which changes make the exit code 1.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object.")
def replay(log: Path, against: Path, *, fail_on: str, as_json: bool) -> None:
    """Judge the requests of an access log by other rules, and tell which would have come out differently.

    LOG is an access log, perhaps compressed (.gz). What a record does not have (claims, the strength of an
    authentication, proofs) is not guessed: where the decision hangs on it, the request is unclear.

    Exit codes: 0 no such change, 1 changes as asked, 2 usage, 3 bad configuration, 4 the log cannot be read,
    or nothing in it can be judged.
    """
    rules = policy(against)
    try:
        with open_log(log) as opened:
            result = _replayed(rules, opened)
    except LogUnreadableError as error:
        _cannot(str(error))
    if result.judged == 0:
        # A pipeline that names the wrong file must not pass for one in which nothing changes.
        _cannot(f"{log} holds no request that can be judged: is it an access log?")
    if as_json:
        click.echo(json.dumps(_as_json(result)))
    else:
        _show(result)
    if any(change.replayed in _FAILS[fail_on] for change in result.changes):
        raise click.exceptions.Exit(FINDINGS)


def _replayed(rules: Policy, log: BufferedIOBase) -> _Result:
    result = _Result(Counter(), Counter(), {})
    for entry in entries(read_lines(log), _damaged):
        at = epoch(entry.record.get("ts"))
        outcome = Outcome(Replayed.LEFT_OUT) if at is None else replayed(rules, entry.record, at)
        result.counts[outcome.replayed] += 1
        if outcome.replayed in _CHANGES:
            change = _change(entry.record, outcome)
            result.changes[change] += 1
            result.samples.setdefault(change, f"{entry.record['method']} {entry.record['path']}")
    return result


def _change(record: Any, outcome: Outcome) -> _Change:
    passed = f"allow, would_deny={record['would_deny']}" if record.get("would_deny") else "allow"
    said = record.get("reason") if record.get("decision") == "deny" else passed
    before = f"{record['route']}: {said}" if record.get("route") else str(said)
    after = "?" if outcome.verdict is None else verdict_in_words(outcome.verdict)
    return _Change(outcome.replayed, str(record.get("client_id") or "-"), before, after)


def _cannot(why: str) -> NoReturn:
    click.echo(f"scopegate replay: {why}", err=True)
    raise click.exceptions.Exit(CANNOT_REACH)


def _damaged(damage: Damage) -> None:
    click.echo(f"line {damage.line} {damage.why}", err=True)


def _show(result: _Result) -> None:
    rows = [
        (change.replayed, count, change.client, change.before, change.after, result.samples[change])
        for change, count in sorted(
            result.changes.items(), key=lambda each: (_CHANGES.index(each[0].replayed), -each[1])
        )
    ]
    if rows:
        print_table(("change", "requests", "client", "before", "after", "such as"), rows)
    counts = ", ".join(f"{result.counts[each]:,} {each.value.replace('-', ' ')}" for each in Replayed)
    click.echo(f"{result.counts.total():,} requests: {counts}", err=bool(rows))


def _as_json(result: _Result) -> dict[str, Any]:
    return {
        "requests": result.counts.total(),
        "counts": {each.value: result.counts[each] for each in Replayed},
        "changes": [
            {
                "change": change.replayed.value,
                "requests": count,
                "client": change.client,
                "before": change.before,
                "after": change.after,
                "such_as": result.samples[change],
            }
            for change, count in result.changes.most_common()
        ],
    }
