#!/usr/bin/env bash
# What `make run` shows: a memory device mounted at the directory that is given, three buffers, a
# file copied in and compared, a signal caught. Leaves it mounted; may be run again.
set -euo pipefail

mnt=${1:?usage: demo.sh DIRECTORY}
here=$(cd "$(dirname "$0")/.." && pwd)
devfs=${DEVFS:-$here/.build/release/devfs}

bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
run() { printf '  $ %s\n' "$*"; "$@" | sed 's/^/    /'; }
command_to() { # FILE COMMAND: a line written to a control file
    printf '  $ echo "%s" > %s\n' "$2" "$1"
    echo "$2" >"$mnt/$1"
}

mkdir -p "$mnt" 2>/dev/null || true # a dead mount is cleaned up by the next line
if [ "$(findmnt -nro SOURCE "$mnt" 2>/dev/null)" = memory:demo ] && [ -e "$mnt/version" ]; then
    say "memory:demo is mounted at $mnt already"
else
    say "Mounting the memory device 'demo' at $mnt"
    printf '  $ devfs mount memory:demo %s -o size=128M\n' "$mnt"
    "$devfs" mount memory:demo "$mnt" -o size=128M
fi

# What an earlier run left.
for old in rx frame ring tx; do rm -f "$mnt/buffers/$old"; done
[ ! -e "$mnt/signals/tick" ] || echo "tick remove" >"$mnt/control/signal"

say "One buffer in each of three ways: a command, truncate, fallocate"
command_to control/alloc "rx 4M heap=contiguous direction=from_device"
run truncate -s 4M "$mnt/buffers/frame"
run fallocate -l 4M "$mnt/buffers/ring"
run cat "$mnt/control/alloc"

say "A real file in with dd, and back"
size=$(stat -c %s "$devfs")
run dd if="$devfs" of="$mnt/buffers/tx" bs=1M status=none
sum_in=$(sha256sum <"$devfs")
sum_out=$(dd if="$mnt/buffers/tx" bs=1M status=none | sha256sum)
printf '    file    %s (%s bytes)\n    buffer  %s\n' "${sum_in%% *}" "$size" "${sum_out%% *}"
if [ "$sum_in" != "$sum_out" ]; then
    echo "the buffer differs from the file" >&2
    exit 1
fi
echo "    equal"

say "The tree (every buffer has a directory in attributes/; one is shown)"
(cd "$mnt" && find . -path './attributes/*' ! -path './attributes/rx*' -prune -o -print) |
    sort | sed -e '1d' -e 's|[^/]*/|    |g' 

say "A timer signal, caught twice: by reading its file, and as a POSIX signal"
command_to control/signal "tick timer period=50ms"
run head -n 3 "$mnt/signals/tick/wait"
trap 'caught=yes' USR1
caught=no
command_to signals/tick/notify "$$ SIGUSR1"
for _ in $(seq 100); do
    [ "$caught" = no ] || break
    sleep 0.05 || true
done
command_to control/signal "tick remove"
[ "$caught" = yes ] || { echo "no SIGUSR1 came in 5 s" >&2; exit 1; }
echo "    SIGUSR1 caught"

say "It stays mounted. Try:"
cat <<END
    ls -l $mnt/buffers
    cat $mnt/status
    echo "mine 1M" > $mnt/control/alloc
    cat $mnt/control/log
    $devfs --help
docs/get-started.md has a five-minute tour. Unmount with the first line; the buffers stay, and the next
mount shows them again, until the second line deletes them:
    make unmount MOUNT=$mnt
    $devfs device remove memory:demo
END
