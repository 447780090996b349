#!/bin/sh
# The README's picture of the demo's page: run `dmagnet demo` first. Needs Chromium.
set -eu
cd "$(dirname "$0")/.."
profile=$(mktemp -d)
chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync \
    --hide-scrollbars --user-data-dir="$profile" --window-size=1100,1560 \
    --screenshot="$PWD/docs/images/demo_report.png" "file://$PWD/${1:-demo/report.html}"
rm -rf "$profile"
