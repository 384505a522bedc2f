"""The image at work: the plant's load under 128 MiB and one CPU, and an outage in which the container is killed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gateway.demo.broker import Broker
from tests.image_build.container import ARCHIVE, Container, Podman
from tests.image_build.story import killed_in_an_outage

pytestmark = pytest.mark.asyncio(loop_scope="session")

MOST_PSS_BYTES = 100_000_000
POLICY = Path(__file__).parents[2] / "config" / "policy.rego"


@pytest.mark.timeout(400)
async def test_nothing_is_lost_when_the_container_is_killed_in_an_outage(tmp_path: Path, podman: Podman) -> None:
    async with Broker(folder=tmp_path / "broker") as broker:
        measured = await killed_in_an_outage(
            lambda config: Container(podman, folder=tmp_path, config=config),
            broker=broker,
            folder=tmp_path,
            database="/data/spool.db",
            tags=500,
            live_s=20,
            down_s=8,
        )
    assert max(measured["pss_bytes"], measured["pss_after_outage_bytes"]) < MOST_PSS_BYTES
    # For people: nothing passes or fails by it.
    measured["archive_bytes"] = ARCHIVE.stat().st_size
    ARCHIVE.with_name("measured.json").write_text(json.dumps(measured, indent=2) + "\n")


async def test_a_root_that_is_read_only_is_enough_and_there_is_no_shell(podman: Podman) -> None:
    code, out, err = await podman.attempt("run", "--rm", "--network=none", "--read-only", podman.image, "--version")
    assert (code, err) == (0, "")
    assert out.startswith("tidegate ")
    shell = ("--entrypoint=/bin/sh", podman.image, "-c", "true")
    code, _, _ = await podman.attempt("run", "--rm", "--network=none", *shell)
    assert code != 0


@pytest.mark.parametrize(("role", "status"), [("operator", 0), ("visitor", 1)])
async def test_a_rego_policy_decides_in_it(role: str, status: int, podman: Podman) -> None:
    shutil.copy(POLICY, podman.folder)
    code, out, err = await podman.attempt(
        *("run", "--rm", "--network=none", "--read-only", f"--volume={podman.folder}/policy.rego:/policy.rego:ro"),
        *(podman.image, "policy", "eval", "/policy.rego"),
        *("--action", "write", "--device", "press", "--tag", "force", "--value", "5"),
        *("--user", "Anna", "--role", role),
    )
    assert (code, err) == (status, ""), out
