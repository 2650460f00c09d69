#!/usr/bin/env bash
# Drives QEMU's teaching device `edu` through its mount: registers by dd, DMA from one buffer to the
# device and back into another, with the interrupt waited for.
#
# Usage: edu.sh MOUNT
set -euo pipefail
mount=${1:?usage: edu.sh MOUNT}
bar=$mount/regions/bar0

# One read or write of dd is one bus access: bs is its width.
# Usage: read_register OFFSET [WIDTH]
read_register() {
    local width=${2:-4}
    dd if="$bar" bs="$width" skip=$(($1 / width)) count=1 status=none | od -An -tu"$width" | tr -d ' '
}
# Usage: write_register OFFSET VALUE [WIDTH]
write_register() {
    local width=${3:-4} value=$(($2)) bytes=''
    local byte
    for ((byte = 0; byte < width; byte++)); do
        bytes+=$(printf '\\x%02x' $((value >> (8 * byte) & 255)))
    done
    # shellcheck disable=SC2059 # the format is the bytes
    printf "$bytes" |
        dd of="$bar" bs="$width" seek=$(($1 / width)) count=1 iflag=fullblock conv=notrunc \
            status=none
}

# --- registers ---
printf 'identification: 0x%08x\n' "$(read_register 0x00)"
[[ $(($(read_register 0x00) & 0xff0000ff)) -eq $((0x010000ed & 0xff0000ff)) ]]
write_register 0x04 0x12345678
[[ $(read_register 0x04) -eq $((~0x12345678 & 0xffffffff)) ]]
echo 'liveness: the device answers with the complement'

# --- an interrupt at the end of a computation ---
exec {events}<"$mount/signals/irq0/wait"
# Usage: await_interrupt; acknowledges it and prints its reasons
await_interrupt() {
    local reasons
    read -r -t 20 _ <&"$events" || {
        echo 'no interrupt came' >&2
        return 1
    }
    reasons=$(read_register 0x24)
    write_register 0x64 "$reasons"
    # A shared line masks itself at each event.
    echo 1 >"$mount/signals/irq0/enable"
    echo "$reasons"
}
write_register 0x20 0x80
write_register 0x08 10
[[ $(await_interrupt) -eq 1 ]]
echo "factorial: 10! = $(read_register 0x08)"
[[ $(read_register 0x08) -eq 3628800 ]]

# --- DMA ---
# The device has 4096 bytes of its own at 0x40000.
size=4088 device=$((0x40000))
# Frees the buffers once the device is done with them; a run that was killed left some.
free_buffers() {
    local try
    for ((try = 0; try < 100; try++)); do
        (($(read_register 0x98 8) & 1)) || break
        sleep 0.01
    done
    rm -f "$mount/buffers/edu-out" "$mount/buffers/edu-in"
}
free_buffers
trap free_buffers EXIT
echo 'edu-out 4K heap=contiguous direction=to_device' >"$mount/control/alloc"
echo 'edu-in 4K heap=contiguous direction=from_device' >"$mount/control/alloc"
head -c $size /dev/urandom | dd of="$mount/buffers/edu-out" conv=notrunc status=none

# Usage: transfer SOURCE DESTINATION COMMAND; bit 0 of a command starts, bit 2 asks for the interrupt
transfer() {
    write_register 0x80 "$1" 8
    write_register 0x88 "$2" 8
    write_register 0x90 $size 8
    write_register 0x98 "$3" 8
    [[ $(await_interrupt) -eq $((0x100)) ]]
}
transfer "$(<"$mount/attributes/edu-out/dma_addr")" $device 5
transfer $device "$(<"$mount/attributes/edu-in/dma_addr")" 7
cmp -n $size "$mount/buffers/edu-out" "$mount/buffers/edu-in"
echo "DMA: $size bytes went to the device and came back the same"
