#!/bin/sh
# A stand-in for the official image python:3.11-slim-bookworm, under its name, made from Debian's packages by debootstrap.
#
# Only for machines that cannot pull from a registry. Where they can, do not run this: `make images` pulls the official one.
# Debian 12 has the same Python minor version. What the official image promises is kept: python, python3 and python3.11 in
# /usr/local/bin, `python -m venv` with pip, CA certificates, the same environment and command. What differs: Python's patch
# level, its standard library is in /usr/lib, there is no pip outside a venv, and the size is a little larger.
#
# Needs root, debootstrap and buildah. BUILDAH is the command with its storage options; MIRROR is a Debian mirror.
set -eu

name=docker.io/library/python:3.11-slim-bookworm
buildah=${BUILDAH:-buildah --storage-driver vfs}
mirror=${MIRROR:-http://deb.debian.org/debian}

container=$($buildah from scratch)
trap '$buildah rm "$container" >/dev/null' EXIT
root=$($buildah mount "$container")

debootstrap --variant=minbase --include=ca-certificates,netbase,tzdata,python3.11-venv,python3-distutils bookworm "$root" "$mirror"

for command in python python3 python3.11; do
    ln -s ../../bin/python3.11 "$root/usr/local/bin/$command"
done
# A venv of a venv's making is what is wanted here; Debian's notice about its own packages would only stand in the way.
rm -f "$root/usr/lib/python3.11/EXTERNALLY-MANAGED"
# The official slim image drops the same.
rm -rf "$root/var/cache/apt" "$root/var/lib/apt/lists" "$root/var/log/bootstrap.log" \
    "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/info" "$root/usr/share/locale"
mkdir -p "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial"

$buildah config --cmd python3 --env LANG=C.UTF-8 \
    --env PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    --label org.opencontainers.image.title="stand-in for $name made by docker/base-image.sh" "$container"
$buildah unmount "$container" >/dev/null
$buildah commit --squash "$container" "$name"
