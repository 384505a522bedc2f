"""`python image/archive.py`: one packed layer becomes an OCI archive, the image that podman, containerd and K3s load.

Owns the image's configuration: user, entry point, variables, labels. Follows the OCI Image Format Specification 1.1:
image layout (`oci-layout`, `index.json`), image manifest, image configuration. Needs the standard library only.

Invariant: the same layer and the same arguments give the same bytes. No clock, no random name, entries in a set order.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

__all__ = ["configuration", "main", "write_archive"]

NAME: Final = "localhost/tidegate"
USER: Final = "65532:65532"
_CHUNK_BYTES: Final = 1 << 20

_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+zstd"


def configuration(*, layer_digest: str, architecture: str, version: str, revision: str, created: str) -> dict[str, Any]:
    """The image configuration.

    Args:
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
            "User": USER,
            "Entrypoint": ["/usr/bin/tidegate"],
            "Cmd": ["run"],
            "WorkingDir": "/data",
            "Volumes": {"/data": {}},
            "StopSignal": "SIGTERM",
            "Env": ["PATH=/usr/bin", "LANG=C.UTF-8", "TIDEGATE_CONFIG=/etc/tidegate/config.json"],
            "Labels": {
                "org.opencontainers.image.title": "tidegate",
                "org.opencontainers.image.description": "OPC UA and Modbus to MQTT, kept safe while the broker is away",
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
    out: Path, *, layer: Path, packed: Path, architecture: str, version: str, revision: str, created_s: int
) -> None:
    """Writes the archive beside `out` and renames it, so that a half-written one never has the name.

    Args:
        out: the archive.
        layer: the layer as tar.
        packed: the same, packed by zstd.
        architecture: in Go's words: amd64, arm64.
        version: the product's.
        revision: the commit it was built from.
        created_s: seconds since 1970, for every entry.

    Raises:
        OSError: a file cannot be read or written.
    """
    created = datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = _json(
        configuration(
            layer_digest=_digest_of(layer),
            architecture=architecture,
            version=version,
            revision=revision,
            created=created,
        )
    )
    packed_digest = _digest_of(packed)
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [{"mediaType": _LAYER, "digest": packed_digest, "size": packed.stat().st_size}],
        }
    )
    index = _json(
        {
            "schemaVersion": 2,
            "mediaType": _INDEX,
            "manifests": [
                {
                    **_descriptor(_MANIFEST, manifest),
                    "platform": {"architecture": architecture, "os": "linux"},
                    "annotations": {
                        # podman and skopeo read the second, containerd (ctr, K3s's image folder) the first.
                        "io.containerd.image.name": f"{NAME}:{version}",
                        "org.opencontainers.image.ref.name": f"{NAME}:{version}",
                    },
                }
            ],
        }
    )
    partial = out.with_name(f"{out.name}.partial")
    with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}), created_s)
        _add(archive, "index.json", index, created_s)
        for blob in (manifest, config):
            _add(archive, _blob_name(_digest(blob)), blob, created_s)
        with packed.open("rb") as source:
            archive.addfile(_entry(_blob_name(packed_digest), packed.stat().st_size, created_s), source)
    partial.rename(out)


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
    parser.add_argument("--layer", type=Path, required=True, help="the layer as tar")
    parser.add_argument("--packed", type=Path, required=True, help="the same, packed by zstd")
    parser.add_argument("--out", type=Path, required=True, help="the archive to write")
    parser.add_argument("--architecture", choices=["amd64", "arm64"], required=True)
    parser.add_argument("--version", required=True, help="the product's version")
    parser.add_argument("--revision", required=True, help="the commit it was built from")
    parser.add_argument("--created-s", type=int, required=True, help="seconds since 1970")
    arguments = parser.parse_args()
    write_archive(
        arguments.out,
        layer=arguments.layer,
        packed=arguments.packed,
        architecture=arguments.architecture,
        version=arguments.version,
        revision=arguments.revision,
        created_s=arguments.created_s,
    )


if __name__ == "__main__":
    main()
