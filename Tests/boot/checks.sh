# shellcheck shell=bash
# Sourced by Tests/boot/guest: what it looks at in a booted system, a function each.

dma=/mnt/dma
as_lab() { runuser -u lab -- bash -euc "$1"; }

# Usage: eventually COMMAND...; for two minutes of a machine that is emulated
eventually() {
    local - try
    set +x
    for ((try = 0; try < 600; try++)); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.2
    done
    "$@"
}
# `set -e` passes over a command with a `!` before it.
not() { ! "$@"; }
is_mounted() { findmnt -n -t fuse.devfs "$1" >/dev/null; }
server() { sed -n 's/^server.* pid //p' "$1/status"; }
size() { stat -f -c '%b %S' "$1" | { read -r blocks unit && echo $((blocks * unit >> 20)); }; }
state_is() { [[ $(systemctl is-active "$2") = "$1" ]]; }
is_active() { [[ $(systemctl is-active "$1") = active ]]; }

# --- the packages --------------------------------------------------------------------------------

installs() { DEBIAN_FRONTEND=noninteractive dpkg -i "$@"; }
needs_libc_alone() {
    ldd /usr/bin/devfs
    not grep -vE 'linux-vdso|ld-linux|/lib(c|m|pthread|dl|rt)\.so' < <(ldd /usr/bin/devfs)
}
has_files() {
    [[ $(man -w devfs) = /usr/share/man/man1/devfs.1.gz ]]
    man -w mount.fuse.devfs
    [[ $(devfs --version) = "devfs $(dpkg-query -W -f '${Version}' devfs)" ]]
    getent group dma
    systemctl cat devfs@.service | grep '^ExecStart=/usr/bin/devfs'
    [[ -s /usr/share/bash-completion/completions/devfs && -d /etc/devfs ]]
    [[ -s /usr/share/doc/devfs-doc/html/index.html ]]
    [[ $(cd / && python3 -c 'import devfs; print(devfs.__version__, devfs.__file__)') = \
        "$(dpkg-query -W -f '${Version}' python3-devfs) /usr/lib/python3/dist-packages/devfs/__init__.py" ]]
}
finds_nothing_missing() {
    devfs doctor --json >/tmp/doctor || true
    cat /tmp/doctor
    not grep '"state" *: *"fail"' /tmp/doctor
}

# --- dkms ----------------------------------------------------------------------------------------

kernel_of() { basename "$(echo /usr/lib/modules/*)"; }
has_module() {
    dkms status
    dkms status | grep "^devfs-dma/$1, $(kernel_of), .*: installed"
    [[ $(modinfo -k "$(kernel_of)" -F version devfs_dma) = "$1" ]]
    [[ $(ls -d /usr/src/devfs-dma-*) = /usr/src/devfs-dma-$1 ]]
}
has_no_module() {
    not grep devfs < <(dkms status)
    not compgen -G '/usr/src/devfs-dma-*'
    not test -e /var/lib/dkms/devfs-dma
    not grep . < <(find /usr/lib/modules -name 'devfs_dma*')
    not modinfo -k "$(kernel_of)" devfs_dma
}

# --- lines of fstab, and units -------------------------------------------------------------------

# The block below `# FILE` in the manual.
documented() { sed -n "\\,^# $1\$,,/^\`\`\`/{/^\`\`\`/!p}" /boot-test/boot.md; }
types_the_manual() {
    documented /etc/fstab >>/etc/fstab
    documented /etc/udev/rules.d/61-devfs-bind.rules |
        sed 's,/usr/local/bin,/usr/bin,' >/etc/udev/rules.d/61-devfs-bind.rules
    [[ $(grep -c ' devfs ' /etc/fstab) = 4 && -s /etc/udev/rules.d/61-devfs-bind.rules ]]
    # What the block of `sh` that has the unit says.
    sed -n '/^mkdir -p \/etc\/devfs/,/^```/{/^```/!p}' /boot-test/boot.md >/tmp/unit
    [[ -s /tmp/unit ]]
    bash -eu /tmp/unit
    is_active devfs@adc
}
# What cannot be had, each in another way.
adds_bad_lines() {
    touch /mnt/file
    cat >>/etc/fstab <<'END'
memory:wrong /mnt/wrong devfs sizze=64M,nofail 0 0
memory:lab /mnt/again devfs nofail,x-systemd.after=mnt-dma.mount 0 0
memory:file /mnt/file devfs nofail 0 0
memory:full /mnt/full devfs noauto,nofail 0 0
/dev/devfs/pci-0000:00:1e.7 /mnt/missing devfs nofail,x-systemd.device-timeout=240s 0 0
END
}

is_up_already() {
    eventually is_active multi-user.target
    # It has not waited for the device that never comes.
    systemctl list-jobs | grep 'mnt-missing\.mount'
}
# Usage: is_there DIRECTORY
is_there() { eventually is_mounted "$1" && [[ -s $1/version ]]; }
serves_lab() {
    as_lab "cd $1
        echo 'rx 64K' > control/alloc
        echo bytes | dd of=buffers/rx conv=notrunc status=none
        [[ \$(head -c 5 buffers/rx) = bytes ]]
        rm buffers/rx"
}
reads_registers() {
    as_lab "[[ \$(dd if=/mnt/dev/regions/bar0 bs=4 count=1 status=none | od -An -tx4) = ' 010000ed' ]]"
}
mounts_on_demand() {
    is_active mnt-big.automount
    not is_mounted /mnt/big
    [[ -s /mnt/big/version ]]
    is_mounted /mnt/big
    not bash -c 'echo "rx 4K" >/mnt/big/control/alloc'
}
# Usage: tells UNIT TEXT; the status of a unit that failed is a failure, too
tells() {
    systemctl status --no-pager --full "$1" >/tmp/status || true
    cat /tmp/status
    grep -F "$2" /tmp/status
}
# Usage: fails_clearly UNIT STATUS TEXT: one line of ours, and where people look
fails_clearly() {
    eventually state_is failed "$1"
    tells "$1" "$3"
    grep "exited, code=exited, status=$2/" /tmp/status
    [[ $(journalctl -b -u "$1" -p err -o cat --no-pager | grep -c '^devfs: ') = 1 ]]
}
# Usage: waits_in_vain UNIT: a device that does not come
waits_in_vain() {
    eventually state_is inactive "$1"
    tells "$1" Dependency
}
# Directories and locks take no page, but an inode each.
fails_on_full_tmpfs() {
    local status=0
    mount -o "remount,nr_inodes=$(($(df --output=iused /run | tail -n 1)))" /run
    systemctl start mnt-full.mount || status=1
    mount -o remount,nr_inodes=100000 /run
    ((status == 1))
    tells mnt-full.mount 'No space left on device'
    systemctl reset-failed mnt-full.mount
    dd if=/dev/zero of=/run/fill bs=1M status=none || true
    dd if=/dev/zero of=/run/fill2 bs=1 status=none || true
    systemctl start mnt-full.mount || status=2
    rm /run/fill /run/fill2
    ((status == 1))
    [[ -s /mnt/full/version ]]
    systemctl stop mnt-full.mount
}

tells_its_state() {
    tells devfs@adc 'Status: "Serving memory:adc on /mnt/devfs/adc'
    [[ $(systemctl show -P Type devfs@adc) = notify ]]
}
# Usage: tells_refusals UNIT DIRECTORY
tells_refusals() {
    as_lab "for n in {1..40}; do ! echo nonsense > $2/control/alloc; done" 2>/dev/null
    sleep 1
    journalctl -b -u "$1" -o json --no-pager | grep '"DEVFS_UID":"1000"' >/tmp/refusals
    head -n 1 /tmp/refusals
    [[ $(wc -l </tmp/refusals) = 10 ]]
    grep -q '"PRIORITY":"5"' /tmp/refusals
    grep -q '"DEVFS_ERRNO":"EINVAL"' /tmp/refusals
    grep -q '"DEVFS_COMMAND":"nonsense"' /tmp/refusals
}
reloads_unit() {
    sed 's/size=64M/size=32M/' -i /etc/devfs/adc.conf
    systemctl reload devfs@adc
    [[ $(size /mnt/devfs/adc) = 32 ]]
    sed 's/umask=007/umask=077/' -i /etc/devfs/adc.conf
    not systemctl reload devfs@adc
    journalctl -b -u devfs@adc -o cat --no-pager | grep "umask can't be changed"
    is_active devfs@adc
    sed 's/umask=077/umask=007/' -i /etc/devfs/adc.conf
    systemctl reload devfs@adc
}
remounts() {
    mount -o remount,size=96M $dma
    [[ $(size $dma) = 96 ]]
    mount -o remount,ro $dma
    not as_lab "echo 'rx 4K' > $dma/control/alloc"
    mount -o remount,rw $dma
    as_lab "echo 'rx 4K' > $dma/control/alloc; rm $dma/buffers/rx"
    not mount -o remount,umask=000 $dma 2>/tmp/why
    grep "umask can't be changed" /tmp/why
}

# In a boot that takes modules with a known signature alone.
refuses_module() {
    not modprobe devfs_dma 2>/tmp/why
    grep -i 'key was rejected' /tmp/why
    devfs doctor >/tmp/doctor || true
    cat /tmp/doctor
    grep -A 1 '^warn module: devfs_dma is .*signed.*Secure Boot' /tmp/doctor | grep 'mokutil --import'
}

# --- a server that is killed, and a new version --------------------------------------------------

fill() { as_lab "echo 'keep 64K' > $1/control/alloc; echo $2 | dd of=$1/buffers/keep conv=notrunc status=none"; }
has_kept() { [[ $(head -n 1 "$1/buffers/keep" | tr -d '\0') = "$2" ]]; }
survives_kill_in_unit() {
    local pid
    fill /mnt/devfs/adc first
    pid=$(server /mnt/devfs/adc)
    kill -KILL "$pid"
    eventually has_kept /mnt/devfs/adc first
    [[ $(server /mnt/devfs/adc) != "$pid" ]]
    eventually is_active devfs@adc
}
survives_kill_in_fstab() {
    fill $dma second
    kill -KILL "$(server $dma)"
    systemctl restart mnt-dma.mount
    has_kept $dma second
}
# Holds a buffer open and mapped, and waits for an event, while the package changes.
start_holder() {
    cat >/tmp/holder.py <<'END'
import mmap, os, sys
root, mapped = sys.argv[1:3]
fd = os.open(root + "/buffers/keep", os.O_RDWR)
memory = mmap.mmap(fd, 65536) if mapped == "yes" else None
waiting = os.open(root + "/signals/go/wait", os.O_RDONLY)
open("/tmp/holds", "w").close()
line = os.read(waiting, 100).split()
os.pwrite(fd, b"after", 100)
assert os.pread(fd, 5, 100) == b"after"
if memory:
    assert memory[100:105] == b"after"
    memory[200:204] = b"mmap"
    assert os.pread(fd, 4, 200) == b"mmap"
print("held", line[1].decode())
END
    echo 'go software' >$dma/control/signal
    python3 /tmp/holder.py $dma "$(sed -n 's/^mmap \([a-z]*\).*/\1/p' $dma/features)" \
        >/tmp/held 2>&1 &
    eventually test -e /tmp/holds
}
goes_on_over_upgrade() {
    local before after
    before="$(server $dma) $(server /mnt/devfs/adc)"
    start_holder
    # Not the module: an emulated processor would build it for half an hour.
    installs /boot-test/next/devfs{,-doc}_*.deb
    after="$(server $dma) $(server /mnt/devfs/adc)"
    [[ $before = "$after" ]]
    echo 1 >$dma/signals/go/trigger
    eventually grep held /tmp/held
    cat /tmp/held
    grep -x 'held 1' /tmp/held
    has_kept $dma second
    has_kept /mnt/devfs/adc first
    [[ $(systemctl show -P NeedDaemonReload devfs@adc) = no ]]
    is_active devfs@adc
}
restarts_with_next() {
    systemctl restart devfs@adc
    has_kept /mnt/devfs/adc first
    [[ $(readlink "/proc/$(server /mnt/devfs/adc)/exe") = /usr/bin/devfs ]]
}

# --- the end -------------------------------------------------------------------------------------

is_removed() {
    dpkg -r $(dpkg-query -W -f '${Package} ' 'devfs*')
    not grep ' fuse.devfs ' /proc/mounts
    not pgrep -x devfs
    [[ -s /etc/devfs/adc.conf ]]
    not test -e /usr/bin/devfs
    # Nothing of the sources either.
    not compgen -G '/usr/src/devfs*'
    not grep devfs < <(dkms status)
}
# Lines of fstab, the rule and their mount points are the administrator's.
is_purged() {
    local left
    sed -i '/ devfs /d' /etc/fstab
    rm /etc/udev/rules.d/61-devfs-bind.rules
    systemctl daemon-reload
    dpkg -P $(dpkg-query -W -f '${Package} ' 'devfs*')
    left=$(find / -xdev \( -path /boot-test -o -path /proc -o -path /sys -o -path /usr/src \) -prune \
        -o -iname '*devfs*' -print
        find /run /dev -iname '*devfs*'
        compgen -G '/usr/src/devfs*' || true)
    [[ -z $left ]] || { echo "$left"; ls -lAR /run/devfs /etc/devfs /mnt/devfs; return 1; }
    not grep devfs < <(dpkg -l)
    not grep devfs < <(systemctl list-unit-files)
}
