"""What supervisor and child say to each other arrives, the last of it, too."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from gateway.supervisor.channel import Channel, Done

LAST: Done = {"kind": "done", "number": 7, "error": None}


async def pair() -> tuple[Channel, Channel]:
    supervisor, child = socket.socketpair()
    return await Channel.over(supervisor), await Channel.over(child)


async def a_question_at_the_end() -> None:
    supervisor, child = await pair()
    child.send(LAST)
    ending = asyncio.create_task(child.end())
    for _ in range(20):  # whatever the loops do first, one of them comes after the child has said all
        supervisor.send({"kind": "snapshot?"})
        await asyncio.sleep(0.001)
    assert await supervisor.receive() == LAST
    assert await supervisor.receive() is None
    assert not ending.done()
    await supervisor.close()
    await ending


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_the_last_message_arrives_though_the_other_end_asks_at_that_moment(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(a_question_at_the_end())


async def test_an_end_that_is_gone_already_is_not_waited_for() -> None:
    supervisor, child = await pair()
    await supervisor.close()
    await child.end()
    assert await child.receive() is None
