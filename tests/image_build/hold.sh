#!/bin/sh
# A mount namespace whose root is the tools' folder; lives until its standard input ends.
#
#   unshare --mount --propagation private --pid --fork --kill-child sh hold.sh FOLDER TMP
#
# It is process 1 of a namespace of its own, so whatever runs in here ends with it.
# TMP is the machine's folder for temporary files, and has the same path inside. A chroot would not do: who joins a
# container joins the root of its namespace, and that has to be the container's.
set -eu

FOLDER=$1
TMP=$2
mount --bind "$FOLDER" "$FOLDER"
mount -t tmpfs tmpfs "$FOLDER/run"
mkdir -p "$FOLDER$TMP" "$FOLDER/before"
mount --bind "$TMP" "$FOLDER$TMP"
for name in sys dev; do mount --rbind "/$name" "$FOLDER/$name"; done
mount -t proc proc "$FOLDER/proc"
# crun refuses a machine on which both generations of control groups are mounted.
umount "$FOLDER/sys/fs/cgroup/unified" 2>/dev/null || :
cd "$FOLDER"
pivot_root . before
exec chroot . /usr/bin/sh -c 'umount -l /before && echo ready && exec cat >/dev/null'
