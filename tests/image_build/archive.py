"""Reads an OCI archive, and holds every blob to its name."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

__all__ = ["Archive"]

_INDEX = "application/vnd.oci.image.index.v1+json"


class Archive:
    """An archive, as a context."""

    def __init__(self, path: Path) -> None:
        self._file = tarfile.open(path)  # noqa: SIM115 - closed as the context ends

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def names(self) -> list[str]:
        """Every entry."""
        return self._file.getnames()

    def read(self, name: str) -> bytes:
        """What an entry holds."""
        source = self._file.extractfile(name)
        assert source is not None
        return source.read()

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        """What a descriptor names; checked against its digest and size."""
        content = self.read(f"blobs/{descriptor['digest'].replace(':', '/')}")
        assert len(content) == descriptor["size"]
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == descriptor["digest"]
        return content

    def manifests(self) -> list[dict[str, Any]]:
        """Descriptors of the images, one for each platform."""
        [top] = json.loads(self.read("index.json"))["manifests"]
        if top["mediaType"] == _INDEX:
            found: list[dict[str, Any]] = json.loads(self.blob(top))["manifests"]
            return found
        return [top]

    def manifest(self, descriptor: dict[str, Any]) -> dict[str, Any]:
        """An image's manifest."""
        found: dict[str, Any] = json.loads(self.blob(descriptor))
        return found

    def unpack_layer(self, manifest: dict[str, Any], folder: Path) -> Path:
        """The image's only layer as tar; checked against the digest in the image's configuration."""
        [layer] = manifest["layers"]
        packed = folder / "layer.tar.zst"
        packed.write_bytes(self.blob(layer))
        subprocess.run(["zstd", "--quiet", "--decompress", "--rm", packed], check=True)
        with (folder / "layer.tar").open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        [told] = json.loads(self.blob(manifest["config"]))["rootfs"]["diff_ids"]
        assert told == f"sha256:{digest}"
        return folder / "layer.tar"
