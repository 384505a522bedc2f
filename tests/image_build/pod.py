"""The gateway as a pod: what `kubectl kustomize` makes of image/k3s and an overlay, run by `podman kube play`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

import yaml

from tests.image_build.container import Podman, Running

__all__ = ["BASE", "Pod", "documents"]

BASE: Final = Path(__file__).parents[2] / "image" / "k3s" / "base"
_POD: Final = "tidegate-pod"
_CONTAINER: Final = "tidegate-pod-tidegate"
# What the manual shows for an edge node, and what podman needs: its own hostPath and network, and no field of a node's.
_OVERLAY: Final = """
resources: [../base]
configMapGenerator:
  - {{name: tidegate-config, behavior: replace, files: [config.json]}}
  - {{name: tidegate-site, behavior: merge, literals: [MQTT_HOST=127.0.0.1, MQTT_PORT={port}]}}
secretGenerator:
  - {{name: tidegate-mqtt, behavior: replace, files: [password]}}
patches:
  - target: {{kind: Deployment, name: tidegate}}
    patch: |
      - {{op: replace, path: /spec/template/spec/volumes/0/hostPath/path, value: {spool}}}
      - {{op: add, path: /spec/template/spec/hostNetwork, value: true}}
      - {{op: replace, path: /spec/template/spec/containers/0/env/0, value: {{name: NODE_NAME, value: edge-1}}}}
"""


def documents(text: str) -> list[dict[str, Any]]:
    """The objects that kustomize prints."""
    return [document for document in yaml.safe_load_all(text) if document]


class Pod(Running):
    """One gateway in a pod; what its hostPath holds is kept over all restarts.

    Args:
        podman: with the image.
        config: devices and filters are taken from it; all else is the base's.
        port: of the broker.
        password: of the base's user at the broker.
    """

    def __init__(self, podman: Podman, *, config: dict[str, Any], port: int, password: str) -> None:
        super().__init__(podman, _CONTAINER)
        self._overlay = podman.folder / "k3s" / "overlay"
        self._spool = podman.folder / "spool"  # made by podman: the base says DirectoryOrCreate
        self._manifest = podman.folder / "pod.yaml"
        shutil.copytree(BASE, podman.folder / "k3s" / "base")
        self._overlay.mkdir()
        base = json.loads((BASE / "config.json").read_text())
        base |= {"devices": config["devices"], "filters": config["filters"], "offline": config["offline"]}
        (self._overlay / "config.json").write_text(json.dumps(base))
        (self._overlay / "password").write_text(password)
        (self._overlay / "kustomization.yaml").write_text(_OVERLAY.format(port=port, spool=self._spool))

    @property
    def database(self) -> Path:
        """The spool's file."""
        return self._spool / "industrial-iot.db"

    async def render(self) -> list[dict[str, Any]]:
        """Every object that a cluster would be given."""
        text = await self.podman.tools("kubectl", "kustomize", str(self._overlay))
        self._manifest.write_text(text)
        return documents(text)

    async def start(self) -> None:
        """Makes the pod, the first time or anew."""
        await self.render()
        await self.podman("kube", "play", str(self._manifest))

    async def kill(self) -> None:
        """Ends every process of the pod without warning (SIGKILL) and removes it."""
        await self.podman("pod", "kill", "--signal=KILL", _POD)
        await self.remove()

    async def stop(self) -> int:
        """Asks it to stop (SIGTERM) as a kubelet does; gives its exit status."""
        await self.podman("stop", "--time=45", _CONTAINER)
        return int(await self.inspect("{{.State.ExitCode}}"))

    async def remove(self) -> None:
        """Removes the pod and its secrets, running or not; the hostPath stays."""
        await self.podman("kube", "down", str(self._manifest))
