"""The K3s manifests: valid for Kubernetes 1.30, and run for real, as a pod that is killed in an outage."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from gateway.demo.broker import Broker
from tests.image_build.container import Podman
from tests.image_build.pod import BASE, Pod, documents
from tests.image_build.story import killed_in_an_outage
from tests.image_build.tools import Tools
from tests.web import fetch

KUBERNETES = "1.30"


def validate(objects: list[dict[str, Any]]) -> None:
    """Fails on a field that Kubernetes does not know, as well as on one that is missing or of another type."""
    for one in objects:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


@pytest.mark.parametrize("folder", ["base", "cluster", "wasmedge-check"])
async def test_what_ships_is_valid(folder: str, tmp_path: Path) -> None:
    shutil.copytree(BASE.parent, tmp_path / "k3s")
    async with Tools() as tools:
        objects = documents(await tools("kubectl", "kustomize", str(tmp_path / "k3s" / folder)))
    assert objects
    validate(objects)


def test_the_validation_would_tell() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}}
    validate([pod])
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([pod | {"spec": {"containers": [{"name": "a", "imagePolicy": "Never"}]}}])


@pytest.mark.timeout(500)
@pytest.mark.asyncio(loop_scope="session")
async def test_the_pod_is_killed_in_an_outage_and_comes_back_with_its_spool(tmp_path: Path, podman: Podman) -> None:
    secrets = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", secrets, "tidegate", "pass word"], check=True, capture_output=True)
    secrets.chmod(0o644)
    # The subscriber has no name; the gateway has one, and needs the password that the Secret holds.
    settings = ["allow_anonymous true", f"password_file {secrets}"]
    async with Broker(folder=tmp_path / "broker", extra_config=settings) as broker:
        pods: list[Pod] = []

        def make(config: dict[str, Any]) -> Pod:
            pods.append(Pod(podman, config=config, port=broker.port, password="pass word"))
            return pods[0]

        async def look() -> None:
            [pod] = pods
            objects = await pod.render()
            validate(objects)
            [deployment] = [one for one in objects if one["kind"] == "Deployment"]
            [container] = deployment["spec"]["template"]["spec"]["containers"]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                code, out, err = await pod.execute(*container[probe]["exec"]["command"])
                assert (code, err) == (0, ""), out
            # As Prometheus finds it: by the pod's annotations.
            annotations = deployment["spec"]["template"]["metadata"]["annotations"]
            assert annotations["prometheus.io/scrape"] == "true"
            url = f"http://127.0.0.1:{annotations['prometheus.io/port']}"
            ready = json.loads(await fetch(f"{url}/readyz"))
            assert ready["ready"] is True
            assert b'tidegate_gateway_info{gateway="edge-1"' in await fetch(f"{url}/metrics")
            assert await pod.inspect("{{.HostConfig.Memory}} {{.HostConfig.CpuQuota}}") == f"{128 << 20} 20000"
            assert await pod.inspect("{{.HostConfig.ReadonlyRootfs}} {{.Config.User}}") == "true 65532:65532"

        await killed_in_an_outage(
            make, broker=broker, folder=tmp_path, database="", tags=100, live_s=5, down_s=8, look=look
        )
