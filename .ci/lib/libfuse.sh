# shellcheck shell=bash
#
# Sourced by .ci/setup: a libfuse with passthrough in .deps/, built from the distribution's source
# where its own has none.

# Raise this when the way the library is built changes: every .deps/ is then built again.
readonly recipe=1

readonly library_packages=(meson ninja-build dpkg-dev liburing-dev libnuma-dev)

# What a library in .deps/ has been built for and how. Another answer means: build it again.
library_key() {
    printf 'recipe=%s system=%s arch=%s\n' "$recipe" "$system" "$(dpkg --print-architecture)"
}

library_is_current() {
    [[ -s $deps/lib/libs && -f $deps/stamp && $(<"$deps/stamp") == "$(library_key)" ]]
}

# What meson and ninja make of Ctrl-C looks like a failed build, after which another version would
# have its turn. A trap of the shell's own ends it. Subshells do not inherit it.
end_when_interrupted() { trap 'exit 130' INT TERM; }

# Unpacks, builds and stages one version of the source package into $work/stage.
build_version() {
    local version=$1 source build=$work/build library path
    rm -rf "$work/source" "$work/stage" "$build"
    libfuse_source "$work" "$version" "$work/source" || return 1
    source=$(find "$work/source" -mindepth 1 -maxdepth 1 -type d)

    # Without the static archives libfuse would need a shared library that other machines lack.
    local -a uring=() libraries=(fuse3)
    for library in uring numa; do
        path=$(gcc -print-file-name="lib$library.a")
        [[ $path != /* ]] || uring+=("$path")
    done

    # libfuse runs fusermount3 by the path it was built with; it must be the distribution's, which
    # is setuid root and reads /etc/fuse.conf.
    local -a options=(
        --prefix="$deps" --libdir=lib --sysconfdir=/etc
        --bindir="$(dirname "$(command -v fusermount3)")"
        --buildtype=release -Ddefault_library=static -Db_staticpic=true
        -Dpkgconfig.relocatable=true
        -Dexamples=false -Dutils=false -Dtests=false -Duseroot=false
    )
    if ((${#uring[@]} < 2)) && grep -q enable-io-uring "$source/meson_options.txt"; then
        options+=(-Denable-io-uring=false)
    fi
    meson setup "$build" "$source" "${options[@]}" || return 1
    ninja -C "$build" || return 1
    DESTDIR=$work/stage meson install -C "$build" --no-rebuild || return 1

    # What has to be linked, in order. The archives lie beside libfuse with no .so among them, so
    # that the linker takes them and the finished program needs neither library.
    if grep -q 'define HAVE_URING' "$build/fuse_config.h"; then
        cp "${uring[@]}" "$work/stage$deps/lib/" || return 1
        libraries+=(uring numa)
    fi
    printf '%s\n' "${libraries[@]}" >"$work/stage$deps/lib/libs"
    library_key >"$work/stage$deps/stamp"
}

# Builds the newest libfuse that the distribution has in any suite. On failure prints why.
build_library() {
    local log=$work/log version
    end_when_interrupted
    install_packages "${library_packages[@]}" || {
        echo 'what builds it cannot be installed'
        return 1
    }
    know_sources "$work" || return 1
    local -a versions
    mapfile -t versions < <(libfuse_versions "$work")
    if ((${#versions[@]} == 0)); then
        if grep -q NO_PUBKEY "$log"; then
            echo "the newer suites' keys are not in this machine's keyring: upgrade that package"
        else
            echo "none offered by the suites $newer_suites; is there a network?"
        fi
        return 1
    fi
    # A newer one can ask for tools that this release has not got, so the next best has its turn.
    for version in "${versions[@]}"; do
        say "building libfuse $version into .deps/"
        if (end_when_interrupted && build_version "$version") >>"$log" 2>&1; then
            # Two renames: what is interrupted between them leaves no library, never half of one.
            [[ ! -e $deps ]] || mv "$deps" "$work/old"
            mv "$work/stage$deps" "$deps"
            return 0
        fi
    done
    tail -n 20 "$log" >&2
    echo 'it did not build'
    return 1
}

# Whether there is nothing to do for libfuse.
library_is_settled() {
    if $library_is_own; then
        library_is_current
    elif at_least "$(pkg-config --modversion fuse3)" "$wanted_fuse"; then
        [[ ! -e $deps ]]
    else
        library_is_current || is_given_up
    fi
}

# A library that could not be had is asked for again after an hour (or when .deps/ is removed), not
# at each `make`: without a network every try takes as long as the time limits allow.
is_given_up() {
    [[ -n $(find "$deps/unavailable" -mmin -60 2>/dev/null) ]]
}

settle_library() {
    local version reason
    version=$(pkg-config --modversion fuse3)
    if ! $library_is_own && at_least "$version" "$wanted_fuse"; then
        # One that was built before the system was upgraded.
        rm -rf "$deps"
        return
    fi
    rm -rf "$deps".new.*
    work=$(mktemp -d "$deps.new.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    end_when_interrupted
    if ! reason=$(build_library); then
        # The library of another release or recipe is no use, and Package.swift would take it.
        rm -rf "$deps"
        mkdir "$deps"
        printf '%s\n' "$reason" >"$deps/unavailable"
    fi
}

# Of the library that DevFS is linked with. A copy of .deps/ may be older than this system, which then
# has not got what pkg-config wants to see beside it: liburing-dev, libnuma-dev.
library_version() {
    if [[ -s $deps/lib/libs ]]; then
        sed -n 's/^Version: *//p' "$deps/lib/pkgconfig/fuse3.pc"
    else
        pkg-config --modversion fuse3
    fi
}
library_includes() {
    if [[ -s $deps/lib/libs ]]; then
        printf -- '-I%s\n' "$deps/include/fuse3"
    else
        pkg-config --cflags fuse3
    fi
}
