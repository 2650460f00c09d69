# shellcheck shell=bash
#
# Sourced by .ci/setup: installs packages of the distribution. "a|b" are names of one package in
# different releases: any of them will do.

# Prints those of the arguments of which nothing is installed, one a line.
missing_packages() {
    local -A installed=()
    local name item alternative
    local -a names
    IFS=' ' read -ra names <<<"${*//|/ }"
    # dpkg-query fails when it does not know one of the names, and tells of the others all the same.
    while read -r name; do
        installed[$name]=1
    done < <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${names[@]}" 2>/dev/null |
        sed -n 's/^installed //p')
    for item in "$@"; do
        for alternative in ${item//|/ }; do
            [[ -z ${installed[$alternative]:-} ]] || continue 2
        done
        printf '%s\n' "$item"
    done
}

# What apt and dpkg say is of interest only when they fail. The lock is not for what they start.
apt_get() {
    local output
    local -a sudo=()
    ((EUID == 0)) || sudo=(sudo)
    output=$("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q \
        -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold "$@" 2>&1 </dev/null 9<&-) ||
        {
            tail -n 20 <<<"$output" >&2
            return 1
        }
}

# For each argument the first of its names that apt can install; fails when it knows none.
installable() {
    local item alternative
    for item in "$@"; do
        for alternative in ${item//|/ }; do
            if apt-cache show --no-all-versions "$alternative" >/dev/null 2>&1; then
                printf '%s\n' "$alternative"
                continue 2
            fi
        done
        return 1
    done
}

# Installs what is missing of the arguments.
install_packages() {
    local -a missing names
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    if ((EUID != 0)) && ! command -v sudo >/dev/null; then
        # Names that this release has, else the newest of each, as one line to paste.
        names=$(installable "${missing[@]}") || names=$(printf '%s\n' "${missing[@]%%|*}")
        say "these packages are missing, and only root or a user with sudo can install them. As root:"
        printf '    apt-get install %s\n' "${names//$'\n'/ }" >&2
        return 1
    fi
    say "installing ${missing[*]}"
    # The package lists of a new system are empty and those of an old one are out of date, so they
    # are fetched when a name is not in them, or when what they name can no longer be downloaded.
    if names=$(installable "${missing[@]}"); then
        # shellcheck disable=SC2086 # package names have no spaces
        apt_get install -y --no-install-recommends $names && return 0
    fi
    apt_get update || return 1
    if ! names=$(installable "${missing[@]}"); then
        say "apt has not got all of these (is there a network?): ${missing[*]}"
        return 1
    fi
    # shellcheck disable=SC2086
    apt_get install -y --no-install-recommends $names
}
