#!/bin/sh
here="$(cd "$(dirname "$0")" && pwd)"
if [ ! -x "$here/.venv/bin/thinkport" ]; then
    echo "Not installed yet: sh install.sh" >&2
    exit 2
fi
exec "$here/.venv/bin/thinkport" serve "$here/artifact" "$@"
