#!/bin/sh
# What the checks run images with, from Debian trixie, unpacked into a folder of its own: podman 5, runc and crun,
# WasmEdge, kubectl. The machine's own versions, if it has any, are too old or too different to tell anything.
#
#   tools.sh FOLDER
set -eu

FOLDER=$1
cd "$(dirname "$0")/../.."
sh image/needs.sh
sh image/debian.sh "$FOLDER" \
    podman,conmon,runc,crun,catatonit,golang-github-containers-common,netavark,containerd,wasmedge,kubernetes-client,coreutils,dash,mount
# What the packages' scripts would have made, had they run.
for name in bin sbin lib lib64; do
    [ -e "$FOLDER/$name" ] || [ ! -e "$FOLDER/usr/$name" ] || ln -s "usr/$name" "$FOLDER/$name"
done
mkdir -p "$FOLDER/tmp" "$FOLDER/var/tmp" "$FOLDER/proc" "$FOLDER/sys" "$FOLDER/dev" "$FOLDER/run"
