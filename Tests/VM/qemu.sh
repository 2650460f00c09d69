# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # for the scripts that read this, after apt.sh and with $cache
#
# QEMU 8 or newer: Swift's runtime needs cmpxchg16b, which corrupts the flags in QEMU 7.2. Where the
# machine's is older, a newer one of the release's backports is unpacked into the cache.

# Sets `qemu` to the words of a command.
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
			cd "$unpacked.new/debs" || exit
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
