#!/usr/bin/env bash
# debian13.sh FOLDER: a Debian 13 system in FOLDER, for what an older Debian's packages can't run, about 1.5 GB:
# lavapipe, a Vulkan device in software that computes in float16, and an emulator of ARM64 with an ARM64 system for it in
# FOLDER/arm64. Needs root, who alone may make such a folder, and the network. A folder that is whole is left as it is.
set -euo pipefail
folder=${1:?"expected the folder to make"}
whole=$folder/.whole

if [ -e "$whole" ]; then exit 0; fi
if [ "$(id -u)" != 0 ]; then
    echo "a Debian 13 folder can be made by root only" >&2
    exit 1
fi
if ! command -v debootstrap >/dev/null; then
    apt-get update -qq
    apt-get install -qq -y debootstrap
fi
rm -rf "$folder"
mkdir -p "$folder"
debootstrap --variant=minbase \
    --include=ca-certificates,libvulkan1,mesa-vulkan-drivers,python3,python3-venv,qemu-user trixie "$folder"
# The first stage alone, which runs no ARM64 program: it fetches packages, of which dpkg-deb unpacks each.
debootstrap --foreign --arch=arm64 --variant=minbase --include=libstdc++6,python3 trixie "$folder/arm64"
for package in "$folder"/arm64/var/cache/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$folder/arm64"
done
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/arm64/var/cache/apt/archives/*.deb
touch "$whole"
