#!/bin/bash
# The unit under a real systemd: provision, health, kill -9, a pipeline that hangs, deprovision. Not part of the tests,
# since it needs root, overlayfs and systemd-nspawn (Debian: apt install systemd-container mosquitto). About four minutes.
#
#   sudo tests/bench/real_systemd.sh
#
# It boots this very machine's file system in a container, with an overlay above it: nothing on the machine changes.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d /var/tmp/roomtone-systemd.XXXXXX)
mkdir "$work"/{upper,work,root}
leader=""

clean() {
  [ -z "$leader" ] || kill -9 "$leader" 2>/dev/null || true
  [ -z "${broker:-}" ] || kill "$broker" 2>/dev/null || true
  sleep 1
  umount "$work/root/proc" 2>/dev/null || true
  umount "$work/root" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT

mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
echo "installing roomtone into the container's /opt ..."
mount --bind /proc "$work/root/proc"
chroot "$work/root" sh -c "/usr/bin/python3 -m venv /opt/roomtone &&
  /opt/roomtone/bin/pip install -q --disable-pip-version-check '$repository[provision]'"
umount "$work/root/proc"

port=18899
printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\n' $port > "$work/mosquitto.conf"
PATH="$PATH:/usr/sbin" mosquitto -c "$work/mosquitto.conf" 2>/dev/null &
broker=$!

for unit in mosquitto.service postgresql.service; do ln -sf /dev/null "$work/root/etc/systemd/system/$unit"; done
: > "$work/root/etc/machine-id"
systemd-nspawn -q -D "$work/root" --register=no --keep-unit --link-journal=no -b > "$work/console" 2>&1 < /dev/null &
nspawn=$!
for _ in $(seq 30); do
  sleep 1
  leader=$(pgrep -P "$nspawn" -x systemd || true)
  [ -n "$leader" ] && inside=(nsenter -t "$leader" -m -u -i -p -n timeout 100) || continue
  case $("${inside[@]}" systemctl is-system-running 2>/dev/null || true) in running | degraded) break ;; esac
done
roomtone=(/opt/roomtone/bin/roomtone)
main() { "${inside[@]}" systemctl show roomtone -p MainPID --value; }
expect() { # what, wanted, got
  if [ "$2" = "$3" ]; then echo "ok    $1"; else echo "FAIL  $1: $3 instead of $2"; exit 1; fi
}

"${inside[@]}" "${roomtone[@]}" provision --yes --site "Grundschule Köln" --room "R 1" --jurisdiction DE --window 3 \
  --camera "simulated://students=12,seed=7,width=960,height=540" --broker "mqtt://127.0.0.1:$port" < /dev/null
expect "the service runs" active "$("${inside[@]}" systemctl is-active roomtone)"
expect "a second run changes nothing" 1 \
  "$("${inside[@]}" "${roomtone[@]}" provision < /dev/null | grep -c 'nothing was changed')"
first=$(main)
expect "it has no privileges" "CapEff:	0000000000000000" "$("${inside[@]}" grep CapEff "/proc/$first/status")"

"${inside[@]}" kill -9 "$first"
sleep 12
second=$(main)
expect "kill -9: it is started again" yes "$([ "$second" -gt 1 ] && [ "$second" != "$first" ] && echo yes)"
sleep 60
expect "it is healthy" 0 "$("${inside[@]}" "${roomtone[@]}" health > /dev/null; echo $?)"

"${inside[@]}" kill -STOP "$second"
for _ in $(seq 40); do sleep 3; third=$(main); [ "$third" != "$second" ] && [ "$third" != 0 ] && break; done
expect "a pipeline that hangs is ended by the watchdog" 1 \
  "$("${inside[@]}" journalctl -u roomtone --no-pager -o cat | grep -c 'Watchdog timeout')"

"${inside[@]}" "${roomtone[@]}" deprovision --yes
expect "nothing is left on the broker" "" \
  "$(mosquitto_sub -p $port -t '#' --retained-only -W 1 -F '%t' 2> /dev/null || true)"
expect "nothing is left on the board" "" "$("${inside[@]}" sh -c 'ls -d /etc/roomtone /var/lib/roomtone /var/lib/private/roomtone \
  /etc/systemd/system/roomtone.service 2> /dev/null' || true)"
