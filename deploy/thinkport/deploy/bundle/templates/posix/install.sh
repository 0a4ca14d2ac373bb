#!/bin/sh
# Installs this bundle beside itself, without a network: sh install.sh
set -eu
cd "$(dirname "$0")"

wanted="@PYTHON@ @MACHINE@"
probe='import platform, sys; print("%d.%d %s" % (*sys.version_info[:2], platform.machine()))'
python=""
for candidate in "${PYTHON:-}" python@PYTHON@ python3 python; do
    if [ -n "$candidate" ] && [ "$("$candidate" -c "$probe" 2>/dev/null)" = "$wanted" ]; then
        python="$candidate"
        break
    fi
done
if [ -z "$python" ]; then
    echo "No Python @PYTHON@ for @MACHINE@ found: install it, or name it: PYTHON=/path/to/python@PYTHON@ sh install.sh" >&2
    exit 2
fi

if ! "$python" -m venv .venv; then
    echo "$python can't make a virtual environment: on Debian and Ubuntu, install python@PYTHON@-venv" >&2
    exit 2
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-index --find-links wheels \
    --require-hashes -r requirements.txt

status=0
.venv/bin/thinkport doctor artifact || status=$?
if [ "$status" -gt 1 ]; then  # 1 is a warning: it runs
    exit "$status"
fi
echo "Installed. Next: sh chat.sh, or sh serve.sh"
