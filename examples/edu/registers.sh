#!/usr/bin/env bash
# What edu.sh does, by the names of the registers: mount with -o registers=edu.yaml:bar0, or edu.svd
# (then the registers are below registers/edu), or edu.xml.
#
# Usage: registers.sh MOUNT [DIRECTORY of the registers]
set -euo pipefail
mount=${1:?usage: registers.sh MOUNT [DIRECTORY]}
cd "${2:-$mount/registers}"

echo "identification: $(<id/value)"
[[ $(<id/major) -eq 1 ]]
echo 0x12345678 >liveness/value
[[ $(<liveness/value) -eq $((~0x12345678 & 0xffffffff)) ]]

exec {events}<"$mount/signals/irq0/wait"
# Usage: acknowledge: waits for an interrupt, prints its reasons
acknowledge() {
    read -r -t 20 _ <&"$events"
    cat interrupt/value && cat interrupt/value >acknowledge/value
    # A shared line masks itself at each event.
    echo 1 >"$mount/signals/irq0/enable"
}
echo on >status/irq
echo 10 >factorial/value
[[ $(acknowledge) -eq 1 && $(<factorial/value) -eq 3628800 ]]
echo "factorial: 10! = $(($(<factorial/value)))"

trap 'rm -f "$mount/buffers/edu-out" "$mount/buffers/edu-in"' EXIT
echo 'edu-out 4K heap=contiguous direction=to_device' >"$mount/control/alloc"
echo 'edu-in 4K heap=contiguous direction=from_device' >"$mount/control/alloc"
head -c 4088 /dev/urandom | dd of="$mount/buffers/edu-out" conv=notrunc status=none
# A command without its start bit is ignored, so all bits of it are one write.
# Usage: transfer COMMAND SOURCE DESTINATION: 5 is to the device, 7 from it
transfer() {
    echo "$2" >dma/source/value
    echo "$3" >dma/destination/value
    echo 4088 >dma/count/value
    echo "$1" >dma/command/value
    [[ $(acknowledge) -eq $((0x100)) ]]
}
transfer 5 "$(<"$mount/attributes/edu-out/dma_addr")" 0x40000
transfer 7 0x40000 "$(<"$mount/attributes/edu-in/dma_addr")"
cmp -n 4088 "$mount/buffers/edu-out" "$mount/buffers/edu-in"
echo 'DMA: 4088 bytes went to the device and came back the same'
