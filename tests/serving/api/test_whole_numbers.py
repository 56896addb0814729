"""A whole number is one however it is written: 2, 2.0, 20e-1; in JSON as in forms."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from tests.asking import PICTURE, caption, check

URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
JSON = {"Content-Type": "application/json"}


def at(client: httpx.Client, members: str) -> httpx.Response:
    """Ask with a JSON body that is written by hand."""
    return client.post("/caption_url", content=f'{{"url": "{URL}", {members}}}', headers=JSON)


def chat(client: httpx.Client, members: str) -> httpx.Response:
    content = f'[{{"type": "image_url", "image_url": {{"url": "{URL}"}}}}]'
    messages = f'[{{"role": "user", "content": {content}}}]'
    body = f'{{"model": "compact", "messages": {messages}, {members}}}'
    return client.post("/v1/chat/completions", content=body, headers=JSON)


@pytest.mark.parametrize("two", ["2", "2.0", "2.00", "20e-1", "0.2E1"])
def test_two(client: httpx.Client, two: str) -> None:
    assert len(at(client, f'"num_captions": {two}').json()["captions"]) == 2
    assert len(chat(client, f'"n": {two}').json()["choices"]) == 2
    if "e" not in two.lower():  # a form's text is read by Python's rules, where these are floats
        assert len(caption(client, num_captions=two).json()["captions"]) == 2


@pytest.mark.parametrize(
    "members",
    [
        '"num_beams": 3.0',
        '"max_length": 20.0',
        '"temperature": 1, "seed": 7.0',
        '"temperature": 1, "seed": -0.0',
        '"length_penalty": 1, "num_beams": 1e0',
    ],
)
def test_every_whole_option(client: httpx.Client, members: str) -> None:
    response = at(client, members)
    assert response.status_code == 200, response.text


def test_a_float_means_the_same_as_its_integer(client: httpx.Client) -> None:
    texts = [
        [one["text"] for one in at(client, members).json()["captions"]]
        for members in (
            '"temperature": 3, "seed": 5, "num_captions": 3',
            '"temperature": 3.0, "seed": 5.0, "num_captions": 3.0',
        )
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "members",
    ['"max_tokens": 100.0', '"max_completion_tokens": 1e2', '"seed": 1.0', '"seed": -3e0'],
)
def test_chat(client: httpx.Client, members: str) -> None:
    response = chat(client, members)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("value", ["2.5", "2.0000001", "1e400", "1e300", '"2"', '"2.0"', "true"])
def test_what_is_no_whole_number_in_range(client: httpx.Client, value: str) -> None:
    details = check(at(client, f'"num_captions": {value}'), 422, "invalid-request")
    assert details.errors and details.errors[0].field == "num_captions"
    response = chat(client, f'"n": {value}')
    assert response.status_code == 400 and response.json()["error"]["param"] == "n"


def test_more_places_than_a_float_has(client: httpx.Client) -> None:
    """Integers stay exact; no way leads through a float."""
    refused: Any = at(client, '"temperature": 1, "seed": 9223372036854775808').json()
    assert "9223372036854775808" in refused["detail"]
    assert at(client, '"temperature": 1, "seed": 9223372036854775807').status_code == 200
