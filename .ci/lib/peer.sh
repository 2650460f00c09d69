# shellcheck shell=bash
#
# Sourced by .ci/setup: what the benchmarks compare with, libfuse's own passthrough_hp.

readonly bench=$root/.build-bench

# Builds libfuse's example passthrough_hp of the version that DevFS is linked with, which no package
# has, into .build-bench/. On failure prints why.
build_peer() {
    local log=$work/log version linked source
    end_when_interrupted
    linked=$(library_version)
    at_least "$linked" "$wanted_fuse" || {
        echo "the libfuse at hand, $linked, has no passthrough"
        return 1
    }
    install_packages dpkg-dev || {
        echo 'dpkg-dev, which unpacks its source, cannot be installed'
        return 1
    }
    know_sources "$work" || return 1
    while read -r version; do
        [[ ${version#*:} == "$linked"* ]] || continue
        libfuse_source "$work" "$version" "$work/source" >>"$log" 2>&1 || continue
        source=$(find "$work/source" -name passthrough_hp.cc)
        # Its one library beside libfuse reads the command line; ours needs nothing of it.
        # shellcheck disable=SC2046 # the flags are words
        if g++ -std=c++17 -O2 -o "$work/passthrough_hp" \
            -I"$(dirname "$source")" \
            $(library_includes) -DHAVE_STRUCT_STAT_ST_ATIM \
            "$source" $(peer_libraries) -lpthread >>"$log" 2>&1; then
            mv "$work/passthrough_hp" "$bench/passthrough_hp"
            return 0
        fi
    done < <(libfuse_versions "$work")
    tail -n 20 "$log" >&2
    echo "the source of libfuse $linked could not be had, or its example did not build"
    return 1
}

peer_libraries() {
    local library
    if [[ -s $deps/lib/libs ]]; then
        printf -- '-L%s\n' "$deps/lib"
        while read -r library; do printf -- '-l%s\n' "$library"; done <"$deps/lib/libs"
        echo -ldl
    else
        echo -lfuse3
    fi
}

peer_is_settled() {
    [[ -x $bench/passthrough_hp || -n $(find "$bench/unavailable" -mmin -60 2>/dev/null) ]]
}

settle_peer() {
    local reason
    mkdir -p "$bench"
    rm -f "$bench/unavailable"
    work=$(mktemp -d "$bench/new.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    say "building libfuse's passthrough_hp into .build-bench/"
    reason=$(build_peer) || printf '%s\n' "$reason" >"$bench/unavailable"
    rm -rf "$work"
}
