#!/bin/sh
# The README's picture of the demo's page: run `dmagnet demo` first. Needs Chromium.
set -eu
cd "$(dirname "$0")/.."
profile=$(mktemp -d)
chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync \
    --hide-scrollbars --user-data-dir="$profile" --window-size=1100,1560 \
    --screenshot="$profile/page.png" "file://$PWD/${1:-demo/report.html}"
.venv/bin/python -c "import sys; from PIL import Image
Image.open(sys.argv[1]).convert('RGB').save(sys.argv[2], quality=85, optimize=True)" \
    "$profile/page.png" docs/images/demo_report.jpg
rm -rf "$profile"
