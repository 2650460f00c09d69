# shellcheck shell=bash
# Sourced by Tests/fresh/run and Tests/boot/run: where packages of another release come from.

# Writes this machine's own apt sources as they are for another release: only entries that serve its
# own release, with their options, keys and suites like -updates.
write_sources() {
    local own=$1 release=$2 directory=$3 file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [[ ! -r $file ]] || sed -nE "/^deb .*\<main\>/s/ $own(-updates|-security)? / $release\1 /p" "$file"
    done >"$directory/sources.list"
    for file in /etc/apt/sources.list.d/*.sources; do
        [[ ! -r $file ]] || grep -v '^#' "$file" | awk -v RS= -v own="$own" -v new="$release" '
            !/(^|\n)Types:([^\n]*[ \t])?deb([ \t\n]|$)/ ||
                !/(^|\n)Components:([^\n]*[ \t])?main([ \t\n]|$)/ ||
                /(^|\n)Enabled: *no/ { next }
            match($0, /(^|\n)Suites:[^\n]*/) {
                suites = " " substr($0, RSTART, RLENGTH) " "
                rest = substr($0, RSTART + RLENGTH)
                first = substr($0, 1, RSTART - 1)
                if (suites !~ "[ \t]" own "(-updates|-security)?[ \t]") next
                gsub("[ \t]" own, " " new, suites)
                sub(/^ \n?/, "\n", suites)
                print first suites rest "\n"
            }'
    done >"$directory/debian.sources"
}

# The proxies, time limits and the like of this machine's apt; not what lists there are.
write_apt_settings() {
    apt-config dump | grep -E '^Acquire::' |
        grep -vE '^Acquire::(IndexTargets|Changelogs|CompressionTypes|cdrom)' >"$1" || true
}
