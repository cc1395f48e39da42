"""Where files are fetched from, in tests: nowhere, unless a test says so."""

from urllib.error import URLError

import pytest

from helpers.data import fetch


@pytest.fixture
def no_address(may_download, monkeypatch):
    """Downloads are allowed, and no address answers."""

    def offline(url, **_):
        raise URLError("offline")

    monkeypatch.setattr(fetch, "download_url", offline)
