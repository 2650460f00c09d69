# DevFS. `make help` lists what there is.

MOUNT ?= ./mnt
PREFIX ?= /usr/local
DESTDIR ?=

SWIFT ?= swift
SWIFT_FLAGS ?=
TEST_FLAGS ?=
# Seconds after which a test run that hangs is ended.
TEST_TIMEOUT ?= 3000
# The kernels that the module is tested on, in QEMU: 6.1, 6.12, 7, arm64. `test` leaves out 7 and
# arm64, which take long, unless they are asked for; `none` leaves all of them out of `test`.
KERNEL ?= $(shell . /etc/os-release; \
    [ "$$VERSION_CODENAME" = bookworm ] && echo 6.1 6.12 7 arm64 || echo 6.12 7 arm64)
test_kernels := $(if $(filter file,$(origin KERNEL)),$(filter-out 7 arm64,$(KERNEL)),$(KERNEL))
# sparse wants headers that are used as they are: those of 7 need a newer C library in Debian 12.
lint_kernels := $(or $(filter 6.1 6.12,$(KERNEL)),$(filter-out arm64,$(KERNEL)))

# BOOT=none builds what the guests of vm-test want and boots none of them.
BOOT ?=
# The releases that fresh-test makes new systems of.
RELEASE ?= bookworm trixie

# What `bench` is given: groups of workloads, --rounds=N, --record, ... QUICK=1 is the quick mode.
BENCH_FLAGS ?=
QUICK ?=
# The kernel of vm-bench: 6.1 or 6.12.
BENCH_KERNEL ?= 6.12

# mount(8) looks for helpers in /sbin, which is /usr/sbin wherever /usr is merged.
HELPER_DIR ?= $(if $(shell test -L /sbin && echo merged),/usr/sbin,/sbin)
MAN_DIR ?= $(PREFIX)/share/man
BASH_COMPLETION_DIR ?= $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETION_DIR ?= $(PREFIX)/share/zsh/site-functions
FISH_COMPLETION_DIR ?= $(PREFIX)/share/fish/vendor_completions.d
# Where dkms(8), udev(7) and systemd look, whatever PREFIX is.
MODULE_SOURCE_DIR ?= /usr/src
UDEV_RULES_DIR ?= /usr/lib/udev/rules.d
SYSUSERS_DIR ?= /usr/lib/sysusers.d
MODULES_LOAD_DIR ?= /usr/lib/modules-load.d
SYSTEMD_UNIT_DIR ?= /usr/lib/systemd/system
# Builds the module for the kernels that are installed; empty leaves that out.
DKMS ?= $(shell command -v dkms)

# Package.swift looks for the libfuse in .deps/ when it is read, so a cached reading would be stale.
swift_flags := --manifest-cache none $(SWIFT_FLAGS)
# With Swift's own libraries inside, the program runs where there is no tool chain, and with the
# empty environment that mount(8) and sudo give it.
release_flags := $(swift_flags) -c release --product devfs --static-swift-stdlib
release := .build/release/devfs
version := $(shell sed -n 's/^.define DEVFS_VERSION.*"\(.*\)"/\1/p' kmod/version.h)
# Where the module's sources are, below kmod/.
module_rooms := bus node buffer dmabuf heap region signal core
module_source := $(MODULE_SOURCE_DIR)/devfs-dma-$(version)
# Where `dist` and `deb` put what they make, and where the packages are built.
dist := dist
deb_tree := .build-deb/devfs-$(version)
scripts := .ci/run .ci/setup docs/demo.sh debian/write-changelog debian/devfs.postinst \
    debian/devfs.prerm debian/devfs.postrm examples/edu/edu.sh examples/edu/registers.sh \
    mount-helpers/mount.devfs python/make-dist python/tests/run \
    mount-helpers/install-module mount-helpers/devfs-completion.bash Tests/packaging \
    Tests/Fuzz/run Tests/Fuzz/sanitize $(addprefix Tests/fresh/,run enter checks sources.sh) $(addprefix Tests/boot/,run guest image) \
    $(addprefix Tests/VM/,all run dkms tree root bench compare kexec init init-tree init-overlay init-root init-bench init-kexec \
        tree-tests tree-signals vfio vfio-tests init-vfio root-tests python-tests example-tests fetch-kernel fetch-arm64 \
        build-in-trixie build-debug-kernel lint-kmod)

# The manual: its site and its manual pages. A warning is an error.
docs_built := .build/docs
sphinx := sphinx-build -q -W --keep-going -d $(docs_built)/doctrees
# By the Python that sphinx-build is of: another may come first in PATH.
has_sphinx := command -v sphinx-build >/dev/null && \
    $$(sed '1s/^..//;q' "$$(command -v sphinx-build)") -c 'import myst_parser' 2>/dev/null

# Builds and tests the Python package: the one that Debian's packages are for.
PYTHON ?= /usr/bin/python3

# How long `fuzz` runs, half of it with passthrough and half without, and from where it starts.
MINUTES ?= 60
SEED ?=
# What `sanitize` runs under: address, thread.
SANITIZE ?= address thread

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := build
.PHONY: help setup build debug kmod run test host-test vm-test fresh-test fresh-quick kasan fuzz \
    sanitize bench bench-quick bench-tools vm-bench lint lint-kmod docs site man python python-test unmount install \
    uninstall clean distclean program dist deb boot-test

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12
	echo
	echo 'MOUNT=DIR     where run mounts (now $(MOUNT))'
	echo 'KERNEL="6.1 7" what vm-test boots (now $(KERNEL))'
	echo 'PREFIX=DIR    where install installs (now $(PREFIX)); DESTDIR=DIR is put before it'

setup: ## install what building needs, and a libfuse with passthrough in .deps/
	@.ci/setup build

build: setup program ## build the program for release (the default)
	@if $(has_sphinx); then $(MAKE) -s --no-print-directory man; fi

# The linker warns of a function of Foundation's that nothing calls.
program:
	$(SWIFT) build $(release_flags) | sed -u "/the use of .mktemp. is dangerous/d"

debug: setup ## build everything for debugging, tests included
	$(SWIFT) build --build-tests $(swift_flags)

kmod: ## build the kernel module, for the running kernel or against KDIR
	@$(MAKE) -C kmod $(if $(KDIR),KDIR='$(KDIR)')

run: build ## mount the memory device at MOUNT and show what it can do
	@docs/demo.sh "$(abspath $(MOUNT))"

# The new ones among the mounts and processes of this checkout are what the tests left behind.
define leftovers
leftovers() {
    awk '$$3 == "fuse.devfs" && (index($$2, "$(CURDIR)/") == 1 ||
        index($$2, "/tmp/devfs-test") == 1) { print "mount " $$2 }' /proc/mounts
    local process program
    for process in /proc/[0-9]*; do
        program=$$(readlink "$$process/exe") || continue
        [[ $$program != "$(CURDIR)/.build/"*/devfs?( (deleted)) ]] ||
             echo "process $${process#/proc/} $$program"
    done
}
endef

test: host-test ## run every test that this machine can run
	@if [[ '$(test_kernels)' = none ]]; then
	    echo 'skipped: the tests of the kernel module, as KERNEL=none'
	elif .ci/setup vm; then
	    $(MAKE) vm-test KERNEL='$(test_kernels)'
	else
	    echo 'skipped: the tests of the kernel module, for want of the packages'
	fi

vm-test: build debug ## build the kernel module and test it and devfs on it in QEMU, on each KERNEL
	@.ci/setup $(if $(filter arm64,$(KERNEL)),arm64,vm)
	DEVFS_VM_BOOT='$(BOOT)' Tests/VM/all $(KERNEL)

fresh-test: ## build and test in new systems of Debian 12 and 13 (RELEASE), about an hour
	@.ci/setup fresh
	Tests/fresh/run --full $(RELEASE)

fresh-quick: ## the same without a Swift build of the project
	@.ci/setup fresh
	Tests/fresh/run $(RELEASE)

kasan: ## the same on a kernel with KASAN, lockdep and fault injection, built first
	@.ci/setup kasan
	Tests/VM/run debug

host-test: ## run the tests that need no kernel module
	@.ci/setup test
	$(leftovers)
	before=$$(leftovers)
	# On a terminal Ctrl-C must reach the tests.
	foreground=$$([[ ! -t 0 ]] || echo --foreground)
	status=0
	set -x
	$(SWIFT) build --build-tests $(swift_flags)
	if $(has_sphinx); then $(MAKE) -s --no-print-directory man; fi
	Tests/packaging
	Tests/manual .build/debug/devfs
	PYTHON='$(PYTHON)' python/tests/run || status=$$?
	$(MAKE) -s --no-print-directory -C Tests/Fuzz
	DEVFS_BINARY='$(CURDIR)/.build/debug/devfs' Tests/Fuzz/run 30 $(SEED) || status=$$?
	timeout $$foreground --kill-after=30 $(TEST_TIMEOUT) \
	    $(SWIFT) test --skip-build --disable-xctest $(swift_flags) $(TEST_FLAGS) || status=$$?
	{ set +x; } 2>/dev/null
	((status != 124)) || echo "the tests did not end within $(TEST_TIMEOUT) s" >&2
	# A server that was told to end may need a moment for it.
	for attempt in {1..50}; do
	    left=$$(comm -13 <(sort <<<"$$before") <(leftovers | sort))
	    [[ -n $$left ]] || exit $$status
	    sleep 0.1
	done
	printf 'the tests left behind:\n%s\n' "$$left" >&2
	exit 1

python: ## build wheel and sdist of the Python package, .build/python
	@.ci/setup python
	rm -rf .build/python
	PYTHON='$(PYTHON)' python/make-dist .build/python
	ls .build/python/*

python-test: ## check the types of the Python package, run its tests on real mounts
	@.ci/setup python
	PYTHON='$(PYTHON)' python/tests/run

fuzz: build ## let two hostile users loose on a mount for MINUTES, in both modes (SEED)
	@.ci/setup test
	$(MAKE) -s --no-print-directory -C Tests/Fuzz
	DEVFS_BINARY='$(CURDIR)/$(release)' Tests/Fuzz/run $$(($(MINUTES) * 30)) $(SEED)

sanitize: debug ## run the host tests and the fuzzer on servers built with SANITIZE
	@.ci/setup test
	$(MAKE) -s --no-print-directory -C Tests/Fuzz
	SWIFT='$(SWIFT)' Tests/Fuzz/sanitize $(SANITIZE)

bench: build bench-tools ## measure against the memory itself and against peers (QUICK=1, BENCH_FLAGS)
	Benchmarks/bench $(if $(QUICK),--quick) $(BENCH_FLAGS)

bench-quick: ## the same, the main workloads alone, in under 2 minutes
	@$(MAKE) bench QUICK=1

vm-bench: build bench-tools ## measure the kernel module in QEMU, on BENCH_KERNEL
	@.ci/setup vm
	Benchmarks/vm $(BENCH_KERNEL) $(BENCH_FLAGS)

bench-tools:
	@.ci/setup bench
	$(MAKE) -C Benchmarks/c

lint: ## check the style of the sources, arithmetic on numbers from outside, who calls whom
	$(SWIFT) format lint --strict --recursive Sources Tests Package.swift
	Tests/lint-numbers
	Tests/lint-rooms
	Tests/lint-layers
	Tests/lint-syscalls
	Tests/lint-rights
	Tests/lint-quotes
	if command -v shellcheck >/dev/null; then
	    shellcheck -x $(scripts)
	else
	    echo 'shellcheck is not installed: the scripts are not checked' >&2
	fi

lint-kmod: ## check the kernel module with sparse and checkpatch
	@Tests/VM/lint-kmod $(lint_kernels)

docs: ## make the manual as a site, .build/docs/html/index.html, and the manual pages
	@.ci/setup docs
	$(MAKE) -s --no-print-directory site man
	echo 'the manual is $(docs_built)/html/index.html'

site:
	$(sphinx) -b html docs $(docs_built)/html

# `install` takes what is there. Pages of an earlier time that have no source any more go.
man: ## make the manual pages alone, .build/docs/man, without installing what that needs
	@rm -rf $(docs_built)/man
	$(sphinx) -b man docs $(docs_built)/man

unmount: ## unmount what run mounted
	@if awk '$$2 == "$(abspath $(MOUNT))" { found = 1 } END { exit !found }' /proc/mounts; then
	    $(release) unmount '$(abspath $(MOUNT))'
	    echo '$(abspath $(MOUNT)) is unmounted; its buffers are kept: $(release) device list'
	else
	    echo '$(abspath $(MOUNT)) is not mounted'
	fi

# What is committed, and changes of files that git knows. The date is that of the newest commit.
dist: ## pack the sources as dist/devfs-VERSION.tar.xz, which packages are built from
	@git rev-parse --git-dir >/dev/null 2>&1 || { echo 'dist: this is no checkout of git' >&2; exit 1; }
	mkdir -p $(dist)
	date=$$(git log -1 --format=%cD)
	changelog=$$(debian/write-changelog '$(version)' "$$date")
	tree=$$(git stash create)
	git archive --prefix='devfs-$(version)/' \
	    --add-virtual-file="devfs-$(version)/debian/changelog:$$changelog"$$'\n' \
	    "$${tree:-HEAD}" | xz -T1 >'$(dist)/devfs-$(version).tar.xz'
	echo '$(dist)/devfs-$(version).tar.xz'

# .build and .deps stay from one time to the next; all else is as the tarball has it.
deb: dist ## build the packages of Debian in dist/: devfs, devfs-dkms, devfs-doc, python3-devfs (RELEASE=: in clean systems)
	@.ci/setup deb
	mkdir -p '$(deb_tree)' .build-deb/new
	tar -xJf '$(dist)/devfs-$(version).tar.xz' -C .build-deb/new
	rsync -a --delete --checksum --exclude=/.build --exclude=/.deps \
	    '.build-deb/new/devfs-$(version)/' '$(deb_tree)/'
	rm -rf .build-deb/new
	[[ -e '$(deb_tree)/.deps' ]] || cp -a .deps '$(deb_tree)/.deps'
	cd '$(deb_tree)'
	# The Swift tool chain is in no package, so the build dependencies are never all met.
	dpkg-buildpackage -us -uc -b -nc -d
	cd ..
	lintian --fail-on error --info --display-info --tag-display-limit 0 ./*.changes
	mv ./*_'$(version)'_*.deb ./*.changes ./*.buildinfo '../$(dist)/'
	ls ../$(dist)

boot-test: deb ## install, upgrade, kill and remove the packages in booted systems of Debian 12 and 13
	@.ci/setup boot
	Tests/boot/run $(RELEASE)

install: ## install the program, its manual pages, mount(8) helper, completions, the module's source
	@test -x $(release) || { echo 'nothing is built yet: run make first' >&2; exit 1; }
	set -x
	install -D -m 755 $(release) '$(DESTDIR)$(PREFIX)/bin/devfs'
	install -D -m 755 mount-helpers/mount.devfs '$(DESTDIR)$(HELPER_DIR)/mount.devfs'
	ln -sf mount.devfs '$(DESTDIR)$(HELPER_DIR)/mount.fuse.devfs'
	install -d '$(DESTDIR)$(BASH_COMPLETION_DIR)' '$(DESTDIR)$(ZSH_COMPLETION_DIR)' \
	    '$(DESTDIR)$(FISH_COMPLETION_DIR)' '$(DESTDIR)$(SYSTEMD_UNIT_DIR)' \
	    '$(DESTDIR)$(module_source).new/uapi'
	{ $(release) --generate-completion-script bash | sed '1{/^#!/d}'; \
	    cat mount-helpers/devfs-completion.bash; } \
	    >'$(DESTDIR)$(BASH_COMPLETION_DIR)/devfs'
	$(release) --generate-completion-script zsh >'$(DESTDIR)$(ZSH_COMPLETION_DIR)/_devfs'
	$(release) --generate-completion-script fish >'$(DESTDIR)$(FISH_COMPLETION_DIR)/devfs.fish'
	for page in $(docs_built)/man/*.[1-8]; do
	    [[ ! -e $$page ]] ||
	        install -D -m 644 "$$page" '$(DESTDIR)$(MAN_DIR)'/"man$${page##*.}/$${page##*/}"
	done
	sed 's,/usr/local/bin/,$(PREFIX)/bin/,' mount-helpers/devfs@.service \
	    >'$(DESTDIR)$(SYSTEMD_UNIT_DIR)/devfs@.service'
	for file in kmod/Kbuild kmod/Makefile kmod/*.[ch] $(patsubst %,kmod/%/*.[ch],$(module_rooms)); do
	    install -D -m 644 "$$file" '$(DESTDIR)$(module_source).new'/"$${file#kmod/}"
	done
	install -m 644 kmod/uapi/devfs_dma.h '$(DESTDIR)$(module_source).new/uapi'
	sed 's/@VERSION@/$(version)/' kmod/dkms.conf >'$(DESTDIR)$(module_source).new/dkms.conf'
	install -D -m 644 mount-helpers/60-devfs.rules '$(DESTDIR)$(UDEV_RULES_DIR)/60-devfs.rules'
	install -D -m 644 mount-helpers/devfs-sysusers.conf '$(DESTDIR)$(SYSUSERS_DIR)/devfs.conf'
	{ set +x; } 2>/dev/null
	# At boot systemd would complain of a module that nobody builds.
	if [[ -n '$(DESTDIR)$(DKMS)' ]]; then
	    install -D -m 644 mount-helpers/devfs-modules-load.conf \
	        '$(DESTDIR)$(MODULES_LOAD_DIR)/devfs.conf'
	fi
	mount-helpers/install-module '$(DESTDIR)$(module_source)' $(if $(DESTDIR),,'$(DKMS)')
	[[ -d $(docs_built)/man ]] ||
	    echo 'install: no manual pages, as they were not made: make docs, then make install'
	[[ -z '$(DESTDIR)' ]] || exit 0
	# systemd keeps the unit that it has read.
	! [[ -d /run/systemd/system ]] || systemctl daemon-reload
	if command -v systemd-sysusers >/dev/null; then
	    systemd-sysusers '$(SYSUSERS_DIR)/devfs.conf'
	else
	    getent group dma >/dev/null || groupadd --system dma
	fi
	! command -v udevadm >/dev/null || udevadm control --reload 2>/dev/null || true
	if [[ -z '$(DKMS)' ]]; then
	    echo 'install: the kernel module is not built, as there is no dkms. Memory devices need none.'
	    echo 'For others: apt-get install dkms linux-headers-$(shell uname -r), then make install'
	fi
	echo 'install: $(release) is $(PREFIX)/bin/devfs, version $(version)'

uninstall: ## remove what install installed, but for the group dma
	@if [[ -z '$(DESTDIR)' && -n '$(DKMS)' ]]; then
	    ! $(DKMS) status devfs-dma/$(version) | grep -q . ||
	        $(DKMS) remove devfs-dma/$(version) --all
	fi
	set -x
	rm -f '$(DESTDIR)$(PREFIX)/bin/devfs' '$(DESTDIR)$(HELPER_DIR)/mount.devfs' \
	    '$(DESTDIR)$(HELPER_DIR)/mount.fuse.devfs' \
	    '$(DESTDIR)$(BASH_COMPLETION_DIR)/devfs' '$(DESTDIR)$(ZSH_COMPLETION_DIR)/_devfs' \
	    '$(DESTDIR)$(FISH_COMPLETION_DIR)/devfs.fish' \
	    '$(DESTDIR)$(SYSTEMD_UNIT_DIR)/devfs@.service' \
	    '$(DESTDIR)$(UDEV_RULES_DIR)/60-devfs.rules' \
	    '$(DESTDIR)$(SYSUSERS_DIR)/devfs.conf' '$(DESTDIR)$(MODULES_LOAD_DIR)/devfs.conf' \
	    $(patsubst docs/man/%.md,'$(DESTDIR)$(MAN_DIR)'/man?/%,$(wildcard docs/man/*.md))
	rm -rf '$(DESTDIR)$(module_source)'

clean: ## remove what was built
	rm -rf .build .build-* $(dist)

distclean: clean ## remove the libfuse in .deps/ and the empty mount point as well
	rm -rf .deps .deps.* Package.resolved
	if [[ -d mnt ]]; then rmdir mnt || echo 'mnt is left: is it still mounted?' >&2; fi
