"""docs/reasons.md has a section a reason, with the status and the words that a client gets."""

import pytest

from gateway.policy.denial import MEANINGS, Reason

from .pages import read, sections


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_section_with_its_status_and_words(reason: Reason) -> None:
    section = sections(read("reasons.md"), 2).get(reason.value)
    assert section is not None, f"docs/reasons.md: add a section '## {reason}'"
    words, meaning = " ".join(section.split()), MEANINGS[reason]
    assert f"**Status:** {meaning.status} " in words
    assert f"“{meaning.title}. {meaning.hint}”" in words
    assert ("WWW-Authenticate" in words) == meaning.challenge
    assert meaning.error is None or f'error="{meaning.error}"' in words
    assert meaning.retry_after is None or f"`Retry-After: {meaning.retry_after}`" in words


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_that_can_arise_has_a_log_line_and_a_remedy(reason: Reason) -> None:
    section = sections(read("reasons.md"), 2)[reason.value]
    reserved = "This version never answers so" in " ".join(section.split())
    assert reserved or ("**Log:**" in section and "**Remedy:**" in section)


def test_the_table_lists_every_reason_with_its_status() -> None:
    listed = {
        line.split("`")[1]: int(line.split("|")[2]) for line in read("reasons.md").splitlines() if line[:4] == "| [`"
    }
    assert listed == {reason.value: MEANINGS[reason].status for reason in Reason}


def test_no_section_describes_a_reason_that_does_not_exist() -> None:
    assert set(sections(read("reasons.md"), 2)) == {reason.value for reason in Reason}
