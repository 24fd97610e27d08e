#!/bin/sh
# What the tests need beside Python packages: mosquitto, a real broker. Installed through apt where that is permitted.
set -eu
PATH="$PATH:/usr/sbin"
if command -v mosquitto >/dev/null 2>&1; then exit 0; fi
if command -v apt-get >/dev/null 2>&1; then
  sudo=""
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then sudo="sudo -n"; else sudo="denied"; fi
  fi
  if [ "$sudo" != denied ]; then
    echo "installing mosquitto with apt ..."
    export DEBIAN_FRONTEND=noninteractive
    $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends mosquitto >/dev/null && exit 0
  fi
fi
echo "The tests need a real MQTT broker: install mosquitto (Debian: apt install mosquitto; Fedora: dnf install mosquitto)." >&2
exit 1
