#!/bin/sh
# Chromium and npm, for the tests of the page: found, installed as root from Debian's packages, or named in an error.
set -eu
missing=""
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then found=$name; fi
done
[ -n "${found:-}" ] || missing="chromium"
command -v npm >/dev/null || missing="$missing npm"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    # shellcheck disable=SC2086  # Names of packages, one or two.
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
    exit 0
fi
echo "The tests of the page need the packages: $missing. Install them (Debian: sudo apt-get install $missing), then run make test-browser again." >&2
exit 1
