"""`python image/archive.py`: one packed layer becomes an OCI archive, the image that podman, containerd and K3s load.

Owns the images' configurations: user, entry point, variables, labels. Follows the OCI Image Format Specification 1.1:
image layout (`oci-layout`, `index.json`), image manifest, image configuration. Needs the standard library only.

Invariant: the same layer and the same arguments give the same bytes. No clock, no random name, entries in a set order.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

__all__ = ["IMAGES", "configuration", "main", "write_archive"]

_CHUNK_BYTES: Final = 1 << 20

_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+zstd"


@dataclass(frozen=True, slots=True)
class Image:
    """One of the images we make: its name, and how it runs."""

    name: str
    description: str
    runs: dict[str, Any]


IMAGES: Final = {
    "gateway": Image(
        name="localhost/tidegate",
        description="OPC UA and Modbus to MQTT, kept safe while the broker is away",
        runs={
            "User": "65532:65532",
            "Entrypoint": ["/usr/bin/tidegate"],
            "Cmd": ["run"],
            "WorkingDir": "/data",
            "Volumes": {"/data": {}},
            "StopSignal": "SIGTERM",
            "Env": ["PATH=/usr/bin", "LANG=C.UTF-8", "TIDEGATE_CONFIG=/etc/tidegate/config.json"],
        },
    ),
    "modules": Image(
        name="localhost/tidegate-modules",
        description="The Wasm modules of Tidegate as WASI commands: records in, records out",
        # There is no one module to run: a pod names the one it wants as its command.
        runs={"User": "65532:65532", "Entrypoint": ["/scale.wasm"], "WorkingDir": "/"},
    ),
}


def configuration(
    image: Image, *, layer_digest: str, architecture: str, version: str, revision: str, created: str
) -> dict[str, Any]:
    """The image configuration.

    Args:
        image: what it is, and how it runs.
        layer_digest: `sha256:...` of the layer before packing.
        architecture: in Go's words: amd64, arm64.
        version: the product's.
        revision: the commit it was built from.
        created: RFC 3339, UTC.
    """
    return {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            **image.runs,
            "Labels": {
                "org.opencontainers.image.title": image.name.rpartition("/")[2],
                "org.opencontainers.image.description": image.description,
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.revision": revision,
                "org.opencontainers.image.created": created,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{"created": created, "created_by": "make image"}],
    }


def write_archive(
    out: Path,
    image: Image,
    *,
    layer: Path,
    packed: Path,
    architectures: Sequence[str],
    version: str,
    revision: str,
    created_s: int,
) -> None:
    """Writes the archive beside `out` and renames it, so that a half-written one never has the name.

    Args:
        out: the archive.
        image: what it is, and how it runs.
        layer: the layer as tar.
        packed: the same, packed by zstd.
        architectures: in Go's words, amd64, arm64. With more than one, each is an image of its own with the same layer,
            below an index.
        version: the product's.
        revision: the commit it was built from.
        created_s: seconds since 1970, for every entry.

    Raises:
        OSError: a file cannot be read or written.
    """
    created = datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    layer_digest, packed_digest = _digest_of(layer), _digest_of(packed)
    blobs: list[bytes] = []
    manifests: list[dict[str, Any]] = []
    for architecture in architectures:
        config = _json(
            configuration(
                image,
                layer_digest=layer_digest,
                architecture=architecture,
                version=version,
                revision=revision,
                created=created,
            )
        )
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _descriptor(_CONFIG, config),
                "layers": [{"mediaType": _LAYER, "digest": packed_digest, "size": packed.stat().st_size}],
            }
        )
        blobs += [manifest, config]
        platform = {"architecture": architecture, "os": "linux"}
        manifests.append({**_descriptor(_MANIFEST, manifest), "platform": platform})
    top = manifests[0]
    if len(manifests) > 1:
        blobs.insert(0, _json(_index(manifests)))
        top = _descriptor(_INDEX, blobs[0])
    # podman and skopeo read the second, containerd (ctr, K3s's image folder) the first.
    names = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
    top["annotations"] = dict.fromkeys(names, f"{image.name}:{version}")
    partial = out.with_name(f"{out.name}.partial")
    with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}), created_s)
        _add(archive, "index.json", _json(_index([top])), created_s)
        for blob in blobs:
            _add(archive, _blob_name(_digest(blob)), blob, created_s)
        with packed.open("rb") as source:
            archive.addfile(_entry(_blob_name(packed_digest), packed.stat().st_size, created_s), source)
    partial.rename(out)


def _index(manifests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": _INDEX, "manifests": list(manifests)}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _blob_name(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _entry(name: str, size: int, created_s: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mtime = created_s
    entry.mode = 0o644
    return entry


def _add(archive: tarfile.TarFile, name: str, blob: bytes, created_s: int) -> None:
    archive.addfile(_entry(name, len(blob), created_s), io.BytesIO(blob))


def main() -> None:
    """Reads the arguments and writes the archive."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", choices=IMAGES, required=True, help="which of our images it is")
    parser.add_argument("--layer", type=Path, required=True, help="the layer as tar")
    parser.add_argument("--packed", type=Path, required=True, help="the same, packed by zstd")
    parser.add_argument("--out", type=Path, required=True, help="the archive to write")
    parser.add_argument("--architecture", choices=["amd64", "arm64"], action="append", required=True)
    parser.add_argument("--version", required=True, help="the product's version")
    parser.add_argument("--revision", required=True, help="the commit it was built from")
    parser.add_argument("--created-s", type=int, required=True, help="seconds since 1970")
    arguments = parser.parse_args()
    write_archive(
        arguments.out,
        IMAGES[arguments.image],
        layer=arguments.layer,
        packed=arguments.packed,
        architectures=arguments.architecture,
        version=arguments.version,
        revision=arguments.revision,
        created_s=arguments.created_s,
    )


if __name__ == "__main__":
    main()
