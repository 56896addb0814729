"""Asks a server through the Python client that openapi-generator makes of its document.

Run with that client on the path: `python by_openapi_generator.py URL PICTURE DATA_URL`. Writes what
each route answered as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import openapi_client as made

url, path, data_url = sys.argv[1:]
content = Path(path).read_bytes()
client = made.ApiClient(made.Configuration(host=url))
captions, models = made.CaptionsApi(client), made.ModelsApi(client)

picture = made.ImagePart(type="image_url", image_url=made.ImageUrl(url=data_url))
text = made.TextPart(type="text", text="Describe this image.")
parts = [made.ContentAnyOfInner(text), made.ContentAnyOfInner(picture)]
message = made.Message(role="user", content=made.Content(parts))
chat = captions.chat_completions(made.ChatCompletionsRequest(messages=[message], n=2))
batch = captions.caption_batch([content, path])
by_url = captions.caption_url(made.CaptionUrlRequest(url=data_url, num_beams=3))
matched = captions.match(content, ["a dog", "a cat"])
try:
    # A value that the document allows, but not with the other.
    captions.caption(content, num_captions=3, num_beams=2)
except made.ApiException as error:
    refused = error.status
answers = {
    "chat": [choice.message.content for choice in chat.choices],
    "caption": [one.text for one in captions.caption(content, num_captions=2).captions],
    "nameless": [one.text for one in captions.caption(("", content)).captions],
    "caption_batch": [one.actual_instance.captions[0].text for one in batch.results],
    "caption_url": [one.text for one in by_url.captions],
    "match": sorted(one.text for one in matched.matches),
    "refused": refused,
    "models": [one.id for one in models.list_models().data],
    "model": models.get_model("compact").id,
    "ready": made.OperationApi(client).readyz_with_http_info().status_code,
}
sys.stdout.write(json.dumps(answers))
