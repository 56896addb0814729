"""Asks a server through LiteLLM: `python by_litellm.py URL DATA_URL`; writes JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import litellm

url, picture = sys.argv[1:]
litellm.telemetry = False
server: dict[str, Any] = {
    "model": "openai/compact",
    "api_base": f"{url}/v1",
    "api_key": "none",
    "num_retries": 0,
}
part = {"type": "image_url", "image_url": {"url": picture, "format": "image/png"}}
text = {"type": "text", "text": "Describe it.", "cache_control": {"type": "ephemeral"}}
messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [text, part]}]
schema = {"type": "object", "properties": {"description": {"type": "string"}}}
form = {"type": "json_schema", "json_schema": {"name": "about", "schema": schema}}
items = [
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Describe it."},
            {"type": "input_image", "image_url": picture},
        ],
    }
]


def content(answer: Any) -> str:
    return str(answer.choices[0].message.content)


async def asynchronous() -> str:
    return content(await litellm.acompletion(messages=messages, **server))


stream = litellm.completion(messages=messages, stream=True, temperature=1, top_p=1, **server)
answers = {
    "chat": content(litellm.completion(messages=messages, max_tokens=200, **server)),
    "async": asyncio.run(asynchronous()),
    "stream": "".join(chunk.choices[0].delta.content or "" for chunk in stream),
    "json": json.loads(
        content(litellm.completion(messages=messages, response_format=form, **server))
    )["description"],
    "responses": litellm.responses(input=items, **server).output[0].content[0].text,
}
sys.stdout.write(json.dumps(answers))
