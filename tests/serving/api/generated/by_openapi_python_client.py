"""Asks a server through the client that openapi-python-client makes of its document.

Run with that client on the path: `python by_openapi_python_client.py URL PICTURE DATA_URL`. Writes
what each route answered as JSON.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from captionbox_client import Client, models
from captionbox_client.api.captions import (
    caption,
    caption_batch,
    caption_url,
    chat_completions,
    match,
)
from captionbox_client.api.models import get_model, list_models
from captionbox_client.api.operation import readyz
from captionbox_client.types import File

url, path, data_url = sys.argv[1:]
content = Path(path).read_bytes()
client = Client(url, raise_on_unexpected_status=True)


def picture(name: str | None) -> File:
    return File(io.BytesIO(content), name, "image/png" if name else None)


asked = models.ChatCompletionsBody(
    messages=[
        models.Message(
            role=models.MessageRole.USER,
            content=[
                models.TextPart(type_="text", text="Describe this image."),
                models.ImagePart(type_="image_url", image_url=models.ImageUrl(url=data_url)),
            ],
        )
    ],
    n=2,
)
chat = chat_completions.sync(client=client, body=asked)
single = caption.sync(
    client=client, body=models.CaptionBody(image=picture("a.png"), num_captions=2)
)
nameless = caption.sync(client=client, body=models.CaptionBody(image=picture(None)))
batch = caption_batch.sync(
    client=client, body=models.CaptionBatchBody(images=[picture("a.png"), picture(None)])
)
by_url = caption_url.sync(client=client, body=models.CaptionUrlBody(url=data_url, num_beams=3))
texts = ["a dog", "a cat"]
matched = match.sync(client=client, body=models.MatchBody(image=picture("a.png"), texts=texts))
# A value that the document allows, but not with the other.
refused = caption.sync_detailed(
    client=client, body=models.CaptionBody(image=picture("a.png"), num_captions=3, num_beams=2)
)
listed = list_models.sync(client=client)
model = get_model.sync(models.GetModelName.COMPACT, client=client)
answers = {
    "chat": [choice.message.content for choice in chat.choices],
    "caption": [one.text for one in single.captions],
    "nameless": [one.text for one in nameless.captions],
    "caption_batch": [result.captions[0].text for result in batch.results],
    "caption_url": [one.text for one in by_url.captions],
    "match": sorted(one.text for one in matched.matches),
    "refused": refused.parsed.status,
    "models": [one.id for one in listed.data],
    "model": model.id,
    "ready": readyz.sync_detailed(client=client).status_code,
}
sys.stdout.write(json.dumps(answers))
