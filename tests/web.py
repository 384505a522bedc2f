"""What a scraper or a probe gets."""

from __future__ import annotations

import asyncio
import urllib.request

__all__ = ["fetch"]


async def fetch(url: str) -> bytes:
    """The body at an address. OSError, urllib.error.HTTPError among them, where there is none."""
    return await asyncio.to_thread(_fetch, url)


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
        return body
