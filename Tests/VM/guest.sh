# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# shellcheck disable=SC2154 # here, cache, work and the like are the sourcing script's
#
# Sourced by run, tree and root: the command line of QEMU, a boot, and what is made of its console.

passed=0
failed=0

# How fast the counter of an emulated processor counts, which is this machine's. A kernel that finds out by
# itself on a busy one may be wrong by a factor: time then runs as much too fast, for tests' alarms, too.
clock_argument() {
	clock=$(mktemp)
	if gcc -O2 -o "$clock" "$here/clock.c" 2> /dev/null; then
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

# Sets `qemu` to the words of a command: version 8 or newer, as Swift's runtime needs cmpxchg16b,
# which corrupts the flags in QEMU 7.2. Where the machine's is older, a newer one of the release's
# backports is unpacked into the cache.
find_qemu() {
	major=$(qemu-system-x86_64 --version 2> /dev/null | sed -nE '1s/.*version ([0-9]+).*/\1/p')
	if [ "${major:-0}" -ge 8 ]; then
		qemu="qemu-system-x86_64"
		return
	fi
	unpacked=$cache/qemu
	if [ ! -x "$unpacked/usr/bin/qemu-system-x86_64" ]; then
		codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
		apt_setup "$cache/apt-qemu" "$codename-backports"
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
	qemu="$unpacked/usr/bin/qemu-system-x86_64 -L $unpacked/usr/share/qemu -L $unpacked/usr/share/seabios"
}

# Starts again what ended with a guest; a script that has such processes has its own.
restart_companions() { :; }

# Usage: boot CONSOLE ARGUMENT...; ARGUMENTs are QEMU's, its words in $qemu. Leaves CONSOLE.txt.
# Whatever ends the script ends the guest and the processes of $companions, too.
boot() {
	console=$work/$1
	shift
	run_guest "$@"
	# QEMU's emulation with threads now and then dies of an assertion of its own while the kernel
	# starts. That says nothing of what is tested.
	if grep -q '^.*qemu-system-.*: Assertion .* failed' "$console.log" &&
		! grep -q '^\(ok\|not ok\|guest:\) ' "$console.log"; then
		echo "QEMU died before the guest began; once more" >&2
		restart_companions
		run_guest "$@"
	fi
	tr -d '\r' < "$console.log" > "$console.txt"
}

run_guest() {
	# shellcheck disable=SC2086 # words
	timeout "$seconds" nice -n 10 $qemu -accel tcg,thread=multi -smp 2 \
		-kernel "$cache/$kernel/boot/vmlinuz-$release" -nographic -no-reboot -net none "$@" \
		< /dev/null > "$console.log" 2>&1 &
	vm=$!
	# shellcheck disable=SC2086 # the companions are words
	trap 'kill "$vm" ${companions:-} 2> /dev/null' EXIT
	trap 'exit 1' INT TERM HUP
	wait "$vm" || true
	trap - EXIT INT TERM HUP
}

# Prints and counts the guest's lines; the kernel's complaints are failures.
judge() {
	grep -E '^(ok|not ok|skip) ' "$console.txt" | sed "s/\$/ [$version]/" || true
	passed=$((passed + $(grep -c '^ok ' "$console.txt" || true)))
	failed=$((failed + $(grep -c '^not ok ' "$console.txt" || true)))

	if ! grep -q '^guest: done$' "$console.txt"; then
		echo "not ok guest finished: no closing line from $release [$version]"
		failed=$((failed + 1))
		tail -40 "$console.txt" >&2
	fi
	# What a test provokes it announces: "expect: TEXT", of one line of the log.
	sed -n 's/^expect: //p' "$console.txt" > "$console.expected"
	# "guest: dmesg" prints the whole kernel log, of every level.
	if grep -nE 'WARNING|BUG:|BUG |Oops|KASAN|KFENCE: |UBSAN|DMAR:.*fault|possible circular|INFO: (task|rcu|trying)|general protection|kernel panic|Kernel panic|refcount_t|suspected memory leak|DMA-API' \
		"$console.txt" |
		grep -vE '^[0-9]+:((ok|skip) |(<3>)?DMA-API: cacheline tracking ENOMEM)' |
		grep -vF -f "$console.expected" > "$console.complaints"; then
		echo "not ok kernel log: $(head -1 "$console.complaints") [$version]"
		failed=$((failed + 1))
		head -40 "$console.complaints" >&2
	else
		echo "ok kernel log is quiet [$version]"
		passed=$((passed + 1))
	fi
	echo "log: $console.txt" >&2
}

# Usage: ! is_only_built || continue; before a boot. With DEVFS_VM_BOOT=none what a guest wants is made
# and no guest is started: that it could be made is the test.
is_only_built() {
	[ "${DEVFS_VM_BOOT:-}" = none ] || return 1
	echo "ok ${0##*/}: what would be booted is built [$version]"
	passed=$((passed + 1))
}

close_report() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}
