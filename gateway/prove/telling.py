"""What was found, as JSON."""

from __future__ import annotations

from typing import Any

from gateway.prove.difference import Difference, Finding
from gateway.prove.proofs import Doubt
from gateway.prove.words import request_as_json, verdict_as_json


def finding_as_json(finding: Finding, now: float) -> dict[str, Any]:
    """What changes, for whom, and a request that shows it."""
    return {
        "change": finding.change.value,
        "methods": list(finding.methods),
        "before": verdict_as_json(finding.before),
        "after": verdict_as_json(finding.after),
        "witness": request_as_json(finding.witness, now),
    }


def difference_as_json(found: Difference, now: float) -> dict[str, Any]:
    """All that was found, and what could not be."""
    return {
        "findings": [finding_as_json(finding, now) for finding in found.findings],
        "unproven": list(found.unproven),
        "kinds": found.kinds,
    }


def doubt_as_json(doubt: Doubt, now: float) -> dict[str, Any]:
    """What is doubtful, and a request that shows it."""
    return {
        "kind": doubt.kind.value,
        "route": doubt.route.id,
        "message": doubt.message,
        "witness": None if doubt.witness is None else request_as_json(doubt.witness, now),
    }
