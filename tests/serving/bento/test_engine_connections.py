"""Which calls to several engine processes make a connection of their own."""

from __future__ import annotations

import asyncio
from typing import Any

from serving.bento.framework import share_out_calls


class Client:
    """BentoML's client of an engine, as far as we hook into it; notes the headers of its calls."""

    def __init__(self) -> None:
        self.headers: list[Any] = []
        self.to_async = self
        self.go = asyncio.Event()

    async def _call(
        self, endpoint: str, args: Any, kwargs: Any, *, headers: dict[str, str] | None = None
    ) -> str:
        self.headers.append(headers)
        await self.go.wait()
        if endpoint == "broken":
            raise ConnectionError
        return f"{endpoint}{args}{kwargs}"


def test_calls_beside_others_have_a_connection_of_their_own() -> None:
    async def main() -> None:
        client = Client()
        share_out_calls(client)
        calls = [asyncio.create_task(client._call(name, 1, {})) for name in ("broken", "b", "c")]
        await asyncio.sleep(0)
        client.go.set()
        lost, *answers = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(lost, ConnectionError) and answers == ["b1{}", "c1{}"]
        assert client.headers == [None, {"Connection": "close"}, {"Connection": "close"}]
        # Nothing is out any more, whatever became of it.
        assert await client._call("d", 1, {}, headers={"A": "b"}) == "d1{}"
        assert client.headers[-1] == {"A": "b"}

    asyncio.run(main())


def test_an_engine_in_this_process_needs_no_connections() -> None:
    share_out_calls(object())
