# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Sourced by run, tree, root and bench: the command line of QEMU, a boot, and what is made of its
# console. All is told by arguments; what a function leaves is said beside it. Of a script that starts
# processes for its guest this wants two names: `companions` and `restart_companions`.

passed=0
failed=0

# Processes that end with a guest, and that Ctrl-C ends too: pids, as words.
companions=
# Starts them again.
restart_companions() { :; }
# How fast the counter of an emulated processor counts, which is this machine's. A kernel that finds out by
# itself on a busy one may be wrong by a factor: time then runs as much too fast, for tests' alarms, too.
clock_argument() {
	clock=$(mktemp)
	if gcc -O2 -o "$clock" "$here/../VM/clock.c" 2> /dev/null; then
		"$clock" | sed -n 's/^[0-9][0-9]*$/tsc_early_khz=&/p'
	fi
	rm -f "$clock"
}

# What the guest with KASAN is told. A complaint of the kernel is a panic. On a machine that is busy the timer
# does not tick as the kernel wants to see it at boot.
# A clock that is found wanting on a busy machine would have running code patched: an emulated processor may
# die of the breakpoint (see the test of tracepoints).
plain_arguments="console=ttyS0 no_timer_check tsc=reliable $(clock_argument) quiet loglevel=4 panic=-1 panic_on_warn=1 oops=panic"
# The others have what finds faults without it. Stacks of all allocations (U) and checks of all free lists (F)
# made each walk of ACPI through its interrupt table take seconds, once a device is bound.
kernel_arguments="$plain_arguments slub_debug=ZP kfence.sample_interval=10 init_on_free=1"

# Usage: find_qemu CACHE; sourced after apt.sh
# Prints the words of a command: version 8 or newer, as Swift's runtime needs cmpxchg16b,
# which corrupts the flags in QEMU 7.2. Where the machine's is older, a newer one of the release's
# backports is unpacked into the cache.
find_qemu() {
	major=$(qemu-system-x86_64 --version 2> /dev/null | sed -nE '1s/.*version ([0-9]+).*/\1/p')
	if [ "${major:-0}" -ge 8 ]; then
		echo qemu-system-x86_64
		return
	fi
	unpacked=$1/qemu
	if [ ! -x "$unpacked/usr/bin/qemu-system-x86_64" ]; then
		codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
		apt_setup "$1/apt-qemu" "$codename-backports"
		rm -rf "$unpacked" "$unpacked.new"
		mkdir -p "$unpacked.new/debs"
		(
			cd "$unpacked.new/debs"
			apt_private apt-get -t "$codename-backports" download qemu-system-x86 \
				qemu-system-common qemu-system-data seabios >&2
			for deb in ./*.deb; do
				dpkg -x "$deb" ..
			done
		)
		rm -rf "$unpacked.new/debs"
		mv "$unpacked.new" "$unpacked"
	fi
	# The machine's own QEMU may have modules, which end one of another version: this one does not see them.
	cat > "$unpacked/start" <<- 'END'
		#!/bin/sh
		modules=/usr/lib/x86_64-linux-gnu/qemu
		[ -d "$modules" ] && [ "$(id -u)" = 0 ] || exec "$@"
		exec unshare -m sh -c 'mount -t tmpfs none "$0" 2> /dev/null; exec "$@"' "$modules" "$@"
	END
	chmod +x "$unpacked/start"
	echo "$unpacked/start $unpacked/usr/bin/qemu-system-x86_64 -L $unpacked/usr/share/qemu -L $unpacked/usr/share/seabios"
}

# Usage: copy_ordered KERNEL_ROOT RELEASE DIRECTORY MODULE...
#
# Modules of an unpacked kernel with those that they need, numbered in the order to load them in.
copy_ordered() {
	modules_of=$1
	modules_release=$2
	modules_to=$3
	shift 3
	depmod -b "$modules_of" "$modules_release"
	number=10
	for module; do
		modprobe -d "$modules_of" -S "$modules_release" --show-depends "$module"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
		name=${file##*/}
		case $file in
		*.xz)	xz -dc "$file" > "$modules_to/$number-${name%.xz}" ;;
		*.zst)	zstd -qdc "$file" > "$modules_to/$number-${name%.zst}" ;;
		*)	cp "$file" "$modules_to/$number-$name" ;;
		esac
		number=$((number + 1))
	done
}

# Usage: copy_program FILE ROOT: with the libraries that it is linked with
copy_program() {
	mkdir -p "$2/bin"
	cp -L "$1" "$2/bin/"
	ldd "$1" | grep -o '/[^ ]*' | while read -r library; do
		[ ! -e "$2$library" ] || continue
		mkdir -p "$2${library%/*}"
		cp -L "$library" "$2$library"
	done
}

# Usage: boot CONSOLE SECONDS KERNEL QEMU ARGUMENT...
#
# Boots an image of a KERNEL for SECONDS at the most, by QEMU, the words of a command. Leaves
# CONSOLE.log, and CONSOLE.txt without carriage returns. Whatever ends the script ends the guest and
# its companions, too.
boot() {
	run_guest "$@"
	# QEMU's emulation with threads now and then dies of an assertion of its own while the kernel
	# starts. That says nothing of what is tested.
	if grep -q '^.*qemu-system-.*: Assertion .* failed' "$1.log" &&
		! grep -q '^\(ok\|not ok\|guest:\) ' "$1.log"; then
		echo "QEMU died before the guest began; once more" >&2
		restart_companions
		run_guest "$@"
	fi
	tr -d '\r' < "$1.log" > "$1.txt"
}

# Usage: as boot
run_guest() {
	guest_log=$1.log
	guest_seconds=$2
	guest_kernel=$3
	guest_qemu=$4
	shift 4
	# shellcheck disable=SC2086 # words
	timeout "$guest_seconds" nice -n 10 $guest_qemu -accel tcg,thread=multi -smp 2 \
		-kernel "$guest_kernel" -nographic -no-reboot -net none "$@" \
		< /dev/null > "$guest_log" 2>&1 &
	guest=$!
	# shellcheck disable=SC2086 # the companions are words
	trap 'kill "$guest" $companions 2> /dev/null' EXIT
	trap 'exit 1' INT TERM HUP
	wait "$guest" || true
	trap - EXIT INT TERM HUP
}

# Usage: report WORD TEXT VERSION; WORD is `ok` or `not ok`. Prints and counts a line of this side.
report() {
	echo "$1 $2 [$3]"
	case $1 in
	ok)	passed=$((passed + 1)) ;;
	*)	failed=$((failed + 1)) ;;
	esac
}

# Usage: judge CONSOLE VERSION, after boot CONSOLE
# Prints and counts the guest's lines; the kernel's complaints are failures.
judge() {
	grep -E '^(ok|not ok|skip) ' "$1.txt" | sed "s/\$/ [$2]/" || true
	passed=$((passed + $(grep -c '^ok ' "$1.txt" || true)))
	failed=$((failed + $(grep -c '^not ok ' "$1.txt" || true)))

	if ! grep -q '^guest: done$' "$1.txt"; then
		report 'not ok' "guest finished: no closing line" "$2"
		tail -40 "$1.txt" >&2
	fi
	# What a test provokes it announces: "expect: TEXT", of one line of the log.
	sed -n 's/^expect: //p' "$1.txt" > "$1.expected"
	# "guest: dmesg" prints the whole kernel log, of every level.
	if grep -nE 'WARNING|BUG:|BUG |Oops|KASAN|KFENCE: |UBSAN|DMAR:.*fault|possible circular|INFO: (task|rcu|trying)|general protection|kernel panic|Kernel panic|refcount_t|suspected memory leak|DMA-API' \
		"$1.txt" |
		grep -vE '^[0-9]+:((ok|skip) |(<3>)?DMA-API: cacheline tracking ENOMEM)' |
		grep -vF -f "$1.expected" > "$1.complaints"; then
		report 'not ok' "kernel log: $(head -1 "$1.complaints")" "$2"
		head -40 "$1.complaints" >&2
	else
		report ok "kernel log is quiet" "$2"
	fi
	echo "log: $1.txt" >&2
}

# Usage: ! is_only_built VERSION || continue; before a boot. With DEVFS_VM_BOOT=none what a guest
# wants is made and no guest is started: that it could be made is the test.
is_only_built() {
	[ "${DEVFS_VM_BOOT:-}" = none ] || return 1
	report ok "${0##*/}: what would be booted is built" "$1"
}

close_report() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}
