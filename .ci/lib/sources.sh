# shellcheck shell=bash
#
# Sourced by .ci/setup, for libfuse.sh and peer.sh: source packages of all suites of the
# distribution, without a change of the machine's own apt.

os_release() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" /etc/os-release; }
system=$(os_release ID)-$(os_release VERSION_ID)
own_suites="$(os_release VERSION_CODENAME) stable oldstable oldoldstable testing unstable"
case $system in
ubuntu-*) newer_suites='devel' ;;
*) newer_suites='stable testing unstable' ;;
esac
readonly system own_suites newer_suites

# Writes a copy of the machine's own source entries into a directory: those of this release's main
# component, asking for source packages of other suites instead. Everything else in an entry stays
# as it is (URI, keys, options), so that apt trusts the answer as far as the machine's own packages.
newer_sources() {
    local directory=$1 suites=$2 file list parts
    eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
    for file in "$list" "${parts%/}"/*.list; do
        [[ -r $file ]] || continue
        awk -v own="$own_suites" -v suites="$suites" '
            $1 == "deb" {
                sub(/#.*/, "")
                options = ""
                if (match($0, /\[[^]]*\]/)) {
                    options = substr($0, RSTART, RLENGTH) " "
                    $0 = substr($0, 1, RSTART - 1) " " substr($0, RSTART + RLENGTH)
                }
                if (!index(" " own " ", " " $3 " ")) next
                main = 0
                for (i = 4; i <= NF; i++) if ($i == "main") main = 1
                if (!main) next
                n = split(suites, suite, " ")
                for (i = 1; i <= n; i++) print "deb-src", options $2, suite[i], "main"
            }' "$file" >>"$directory/newer.list"
    done
    for file in "${parts%/}"/*.sources; do
        [[ -r $file ]] || continue
        awk -v own="$own_suites" -v suites="$suites" '
            function has(field, words,    i, n, word) {
                n = split(value[field], word)
                for (i = 1; i <= n; i++) if (index(" " words " ", " " word[i] " ")) return 1
                return 0
            }
            function stanza() {
                if (has("types", "deb") && has("suites", own) && has("components", "main") &&
                    !has("enabled", "no No false 0"))
                    print kept "Types: deb-src\nSuites: " suites "\nComponents: main\n"
                kept = field = ""
                split("", value)
            }
            /^#/ { next }
            /^[ \t]*$/ { stanza(); next }
            /^[^ \t]/ {
                field = tolower($0)
                sub(/[ \t]*:.*/, "", field)
                value[field] = substr($0, index($0, ":") + 1)
            }
            /^[ \t]/ { value[field] = value[field] " " $0 }
            field !~ /^(types|suites|components|architectures|enabled)$/ { kept = kept $0 "\n" }
            END { stanza() }' "$file" >>"$directory/newer.sources"
    done
    [[ -s $directory/newer.list || -s $directory/newer.sources ]]
}

# Usage: private_apt DIRECTORY TOOL ARGUMENT...
# apt with the configuration that know_sources made in the directory, so that the machine's stays as
# it is. It needs no root.
private_apt() {
    local directory=$1 tool=$2
    shift 2
    timeout --foreground 600 "$tool" -c "$directory/apt.conf" "$@"
}

# Usage: know_sources DIRECTORY
# Makes the source packages of all suites known to private_apt. On failure prints why; what apt says
# is in DIRECTORY/log.
know_sources() {
    local directory=$1
    mkdir -p "$directory/sources" "$directory/lists/partial" "$directory/cache/archives/partial"
    newer_sources "$directory/sources" "$newer_suites" || {
        echo 'no source of packages for this release is configured'
        return 1
    }
    # The hooks of the machine's configuration are for its own lists.
    cat >"$directory/apt.conf" <<END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$directory/sources";
Dir::State::lists "$directory/lists";
Dir::Cache "$directory/cache";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END
    # A suite that a mirror does not carry is an error to apt; what counts is what the others offer.
    private_apt "$directory" apt-get -q update >>"$directory/log" 2>&1 || true
}

# Usage: libfuse_versions DIRECTORY, after know_sources
# The versions of libfuse's source package that have passthrough, the newest first.
libfuse_versions() {
    local directory=$1 version
    private_apt "$directory" apt-cache showsrc --only-source fuse3 2>>"$directory/log" |
        sed -n 's/^Version: //p' | sort -uVr |
        while read -r version; do
            ! at_least "$version" "$wanted_fuse" || printf '%s\n' "$version"
        done
}

# Usage: libfuse_source DIRECTORY VERSION TARGET
# Unpacks the source package in TARGET.
libfuse_source() {
    mkdir -p "$3" &&
        (cd "$3" && private_apt "$1" apt-get -q source --only-source "fuse3=$2")
}
