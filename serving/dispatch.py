"""How the engine's batches form: whoever waits when the model becomes free goes together.

BentoML's own rule learns a waiting time from the traffic, looks at its queue every millisecond, and
lets some of the first requests wait for company that may not come. Here nobody waits while the
model is idle, and under load a batch is what arrived while the one before was computed. Who has
waited too long is judged by `serving.admission`, not here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from bentoml._internal.marshal import dispatcher

logger = logging.getLogger(__name__)


def dispatch_at_once() -> None:
    """Have BentoML's dispatchers follow our rule; in every process that serves batches."""
    found: Any = getattr(dispatcher, "CorkDispatcher", None)
    parts = ("controller", "outbound_call", "_get_inputs", "_wake_event")
    if all(hasattr(found, part) for part in parts):
        found.controller = _controller
    else:
        logger.warning("this BentoML's dispatcher is built otherwise; it keeps its own rule")


async def _controller(self: Any) -> None:
    """Run batches one after the other, for ever; takes the place of `CorkDispatcher.controller`."""
    while True:
        async with self._wake_event:
            await self._wake_event.wait_for(lambda: len(self._queue) > 0)
        # Requests that have come in together are all in the queue one turn of the loop later.
        await asyncio.sleep(0)
        try:
            # Nobody waits any more for what was cancelled.
            batch = tuple(job for job in self._get_inputs() if not job.future.done())
            if not batch:
                continue
            self._sema.acquire()  # `outbound_call` gives it back
            # Fails its requests by itself, whatever happens.
            await self.outbound_call(batch)
        except Exception:
            logger.exception("a batch was lost")
