"""Asks a server through LangChain: `python by_langchain.py URL DATA_URL`; writes JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

url, picture = sys.argv[1:]
server: dict[str, Any] = {"model": "compact", "base_url": f"{url}/v1", "api_key": "none"}
part = {"type": "image_url", "image_url": {"url": picture}}
asked = HumanMessage(content=[{"type": "text", "text": "Describe it."}, part])
messages = [SystemMessage("Be brief."), asked]


class About(BaseModel):
    """What is wanted of a picture."""

    description: str
    keywords: list[str]


def text_of(message: Any) -> str:
    return str(message.text)


answers: dict[str, Any] = {}
# Its connections are shared by all models, and belong to one loop.
loop = asyncio.Runner()
for way, newer in (("chat", False), ("responses", True)):
    model = ChatOpenAI(use_responses_api=newer, temperature=0.7, max_retries=0, **server)
    first = model.invoke(messages)
    about = model.with_structured_output(About).invoke(messages)
    answers[way] = {
        "invoke": text_of(first),
        "stream": "".join(map(text_of, model.stream(messages))),
        "async": text_of(loop.run(model.ainvoke(messages))),
        "again": text_of(model.invoke([*messages, AIMessage(first.content), HumanMessage("And?")])),
        "structured": [about.description, *about.keywords],
    }
loop.close()
sys.stdout.write(json.dumps(answers))
