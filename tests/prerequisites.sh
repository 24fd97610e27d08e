#!/bin/sh
# What the tests need beside Python packages: mosquitto, a real broker; openssl, for its certificates; PostgreSQL, for
# the history; Chromium, for the dashboard; systemd, whose tools judge the unit. Installed through apt where that is permitted.
set -eu
PATH="$PATH:/usr/sbin"
missing=""
for program in mosquitto openssl; do
  command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
done
# Debian keeps the server's programs off the path.
command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || missing="$missing chromium"
command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd"
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then as_root="sudo -n"; fi
if command -v apt-get >/dev/null 2>&1 && { [ -z "$as_root" ] || sudo -n true 2>/dev/null; }; then
  echo "installing$missing with apt ..."
  export DEBIAN_FRONTEND=noninteractive
  $as_root apt-get update -qq
  # shellcheck disable=SC2086 # a list of packages
  $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
fi
echo "The tests need$missing: install it (Debian: apt install$missing; Fedora: dnf install$missing)." >&2
exit 1
