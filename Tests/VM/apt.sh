# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Sourced: packages of suites that this machine does not use (backports, the
# next release), through a private apt configuration derived from its own
# sources. Nothing is installed.

# Usage: apt_setup DIRECTORY SUITE...
apt_setup() {
	apt=$1
	shift
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/archives/partial"
	# The archive's own stanza is the one that serves this release's codename.
	for suite; do
		for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
			[ -f "$list" ] || continue
			sed -nE "s/^(deb( +\[[^]]*\])? +[^ ]+) +$codename +(.*)/\1 $suite \3/p" "$list"
		done > "$apt/parts/$suite.list"
		for list in /etc/apt/sources.list.d/*.sources; do
			[ -f "$list" ] || continue
			awk -v RS= -v ORS='\n\n' -v own="$codename" -v want="$suite" '
				match($0, /(^|\n)Suites:[^\n]*/) {
					line = substr($0, RSTART, RLENGTH)
					if ((line " ") !~ "[: \t]" own "[ \t]")
						next
					sub(/(^|\n)Suites:[^\n]*/, "\nSuites: " want)
					print
				}' "$list"
		done > "$apt/parts/$suite.sources"
	done
	apt_private apt-get update >&2
}

# Usage: apt_private TOOL ARGUMENT...; dpkg's state is apt_status if set
apt_private() {
	tool=$1
	shift
	"$tool" -qq \
		-o Dir::Etc::sourcelist=/dev/null \
		-o Dir::Etc::sourceparts="$apt/parts" \
		-o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State::lists="$apt/lists" \
		-o Dir::State::status="${apt_status:-/var/lib/dpkg/status}" \
		-o Dir::Cache="$apt" \
		-o Dir::Cache::archives="$apt/archives" \
		-o APT::Sandbox::User=root "$@"
}
