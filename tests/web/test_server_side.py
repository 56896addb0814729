"""What the page makes of the server: one that is away, far off, starting, without a matcher."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.web.browsing import await_captions, choose, expect, problem
from tests.web.conftest import Opener
from tests.web.test_access import PHONE

Picture = Callable[..., Path]


def test_a_server_that_is_away(open_page: Opener, picture: Picture) -> None:
    page = open_page(refusals=True)
    page.context.set_offline(True)
    choose(page, picture("red ring"))
    failed = page.locator(".failure")
    expect(failed).to_contain_text("The server cannot be reached")
    expect(failed).to_contain_text("Check your connection")
    page.context.set_offline(False)
    failed.get_by_role("button", name="Try again").click()
    await_captions(page, 1)


def test_a_slow_connection(open_page: Opener, tmp_path: Path) -> None:
    """A telephone far from the next mast: photographs are shrunk, and shown while they are sent."""
    photo = tmp_path / "photo.jpg"
    Image.effect_noise((3000, 2000), 25).convert("RGB").save(photo, quality=90)
    assert photo.stat().st_size > 2_500_000
    page = open_page(**PHONE)
    session = page.context.new_cdp_session(page)
    speeds = {"downloadThroughput": 100_000, "uploadThroughput": 100_000}  # bytes a second
    session.send("Network.enable")
    conditions = {"offline": False, "latency": 150, **speeds}
    session.send("Network.emulateNetworkConditions", conditions)
    page.reload()
    with page.expect_request("**/caption") as request:
        choose(page, photo)
    # The upload takes seconds; the picture is there already, and something says that it goes on.
    expect(page.locator(".card img")).to_be_visible()
    expect(page.locator("[data-state=working]")).to_have_count(1)
    expect(page.locator("#toolbar")).to_contain_text("Captioned 0 of 1")
    await_captions(page, 1)
    assert request.value.sizes()["requestBodySize"] < 500_000


def test_pictures_wait_for_a_server_that_is_starting(open_page: Opener, picture: Picture) -> None:
    page = open_page(refusals=True)
    page.route(
        "**/v1/models", lambda route: route.fulfill(**problem("not-ready", "Not ready", 503))
    )
    page.reload()
    expect(page.locator("#banner")).to_contain_text("The server is starting up")
    choose(page, picture("red ring"))
    expect(page.locator("#banner")).to_contain_text("Waiting for the server")
    page.unroute("**/v1/models")
    await_captions(page, 1)
    expect(page.locator("#banner")).to_be_hidden()


def test_no_matching_tab_where_the_server_does_not_match(open_page: Opener) -> None:
    page = open_page()
    expect(page.get_by_role("tab")).to_have_count(0)
    page.get_by_role("button", name="More options").click()
    expect(page.get_by_label("Have the captions checked")).to_have_count(0)
