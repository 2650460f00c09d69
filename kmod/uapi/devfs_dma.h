/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * devfs_dma - DMA buffers handed out as files: the user-space interface.
 *
 * Rules that hold for every structure here:
 *  - fields have fixed widths and natural alignment, there is no implicit
 *    padding, and the layout is the same for 32-bit and 64-bit callers;
 *    user pointers travel as __u64;
 *  - reserved and pad fields must be zero on the way in (EINVAL) and are
 *    zero on the way out, and so are all flag bits not named here;
 *  - an unknown command is ENOTTY;
 *  - a command that changes something needs the node open for writing (EACCES);
 *    docs/reference/rights.md has what each takes;
 *  - a command that fails changes nothing;
 *  - what a node makes counts for who opened it (in a user namespace: for who
 *    made that), against the module parameters user_buffers, user_signals,
 *    user_listeners and user_period_us, unless he had CAP_SYS_RESOURCE or
 *    CAP_SYS_ADMIN then;
 *  - after the device was removed every command is ENODEV, and so are reads of
 *    the node and all operations on its buffers but close; poll gives POLLERR
 *    and POLLHUP, mappings SIGBUS.
 */
#ifndef _UAPI_DEVFS_DMA_H
#define _UAPI_DEVFS_DMA_H

#include <linux/ioctl.h>
#include <linux/types.h>

/** DEVFS_DMA_ABI_VERSION: raised when a structure or a meaning changes. */
#define DEVFS_DMA_ABI_VERSION	2

/** DEVFS_DMA_IOC_MAGIC: ioctl type of every command below. */
#define DEVFS_DMA_IOC_MAGIC	0xDF

/**
 * DEVFS_DMA_NAME_SIZE: bytes of a name field, closing NUL included.
 *
 * A name is 1 to 63 bytes of A-Za-z0-9._- and does not start with '.'; the
 * rest of the field is zero. Anything else is EINVAL.
 */
#define DEVFS_DMA_NAME_SIZE	64

/** DEVFS_DMA_MAX_SOURCES: signal sources a device can have; ids are below. */
#define DEVFS_DMA_MAX_SOURCES	64

/** DEVFS_DMA_HISTORY: event times a source remembers. */
#define DEVFS_DMA_HISTORY	256

/** DEVFS_DMA_NO_ID: "the caller's" in uid and gid fields. */
#define DEVFS_DMA_NO_ID		0xffffffffU

/* Heaps. */
#define DEVFS_DMA_HEAP_SYSTEM		0 /* cacheable pages, grows by segments */
#define DEVFS_DMA_HEAP_CONTIGUOUS	1 /* cacheable, one bus range */
#define DEVFS_DMA_HEAP_COHERENT		2 /* dma_alloc_coherent, one bus range */
#define DEVFS_DMA_HEAP_RESERVED		3 /* memory kept from the kernel, one bus range */
#define DEVFS_DMA_HEAP_USER		4 /* pinned user pages */
#define DEVFS_DMA_HEAP_IMPORTED		5 /* a foreign dma-buf */
#define DEVFS_DMA_HEAPS			6

/* Directions, numbered as enum dma_data_direction. */
#define DEVFS_DMA_BIDIRECTIONAL	0
#define DEVFS_DMA_TO_DEVICE	1
#define DEVFS_DMA_FROM_DEVICE	2

/* What keeps a buffer that nobody has open, mapped or exported. */
#define DEVFS_DMA_LEASE_USE	0 /* nothing: its last user frees it */
#define DEVFS_DMA_LEASE_PERSIST	1 /* it stays until FREE */
#define DEVFS_DMA_LEASE_PROCESS	2 /* it stays until FREE or its owner's death */

/* struct devfs_dma_info.flags */
#define DEVFS_DMA_INFO_IOMMU	0x1U /* bus addresses are translated */
#define DEVFS_DMA_INFO_COHERENT	0x2U /* the device sees the caches of the CPU, not copies */
#define DEVFS_DMA_INFO_HELPER	0x4U /* the event helper was enabled at load */
#define DEVFS_DMA_INFO_HARDWARE	0x8U /* bound to a device, not the host's memory alone */
#define DEVFS_DMA_INFO_MSIX	0x10U /* its interrupts are MSI-X vectors */
#define DEVFS_DMA_INFO_MSI	0x20U /* its interrupts are MSI vectors */
#define DEVFS_DMA_INFO_INTX	0x40U /* it has one line, maybe shared with others */
#define DEVFS_DMA_INFO_RESET	0x80U /* RESET works: it was reset when it was bound */
#define DEVFS_DMA_INFO_UNSAFE	0x100U /* no IOMMU confines it: its user reaches all memory */
#define DEVFS_DMA_INFO_SHARED	0x200U /* another driver has a device of its IOMMU group */
#define DEVFS_DMA_INFO_MSI_ISOLATED 0x400U /* it can send no interrupts but its own */

/**
 * struct devfs_dma_info - DEVFS_DMA_IOC_GET_INFO
 * @abi_version:   out: DEVFS_DMA_ABI_VERSION of the module
 * @flags:         out: DEVFS_DMA_INFO_*
 * @device:        out: name below /dev/devfs, "host" for no hardware
 * @heaps:         out: bit n is set where heap n can be used
 * @limit:         out: bytes all buffers of the device may have together, but
 *                 for those of the reserved heap
 * @used:          out: bytes they have now
 * @dma_mask:      out: highest bus address the device can reach
 * @buffers:       out: buffers listed now
 * @max_buffers:   out: how many there may be
 * @sources:       out: signal sources now
 * @regions:       out: device memory regions
 * @numa_node:     out: node of the device, -1 for none
 * @pad:           zero
 * @bounced:       out: pinned buffers that are not page aligned
 * @dma_alignment: out: bytes a mapping should be aligned to
 * @foreign:       out: names of buffers given, changed and taken so far by
 *                 others than ALLOC, PIN, IMPORT, RENAME and FREE of this open
 *                 node: whoever has a LIST needs another when this differs
 * @reserved:      zero
 */
struct devfs_dma_info {
	__u32 abi_version;
	__u32 flags;
	char device[DEVFS_DMA_NAME_SIZE];
	__u64 heaps;
	__u64 limit;
	__u64 used;
	__u64 dma_mask;
	__u32 buffers;
	__u32 max_buffers;
	__u32 sources;
	__u32 regions;
	__s32 numa_node;
	__u32 pad;
	__u64 bounced;
	__u64 dma_alignment;
	__u64 foreign;
	__u64 reserved[3];
};

/**
 * struct devfs_dma_heap - DEVFS_DMA_IOC_GET_HEAP
 * @heap:     in: DEVFS_DMA_HEAP_*; EINVAL where there is none such
 * @flags:    zero
 * @name:     out: "system", "contiguous", ...
 * @size:     out: bytes the heap may hold
 * @used:     out: bytes it holds now
 * @max:      out: bytes of the largest single allocation it can promise
 * @buffers:  out: buffers that have memory from it
 * @pad:      zero
 * @reserved: zero
 */
struct devfs_dma_heap {
	__u32 heap;
	__u32 flags;
	char name[DEVFS_DMA_NAME_SIZE];
	__u64 size;
	__u64 used;
	__u64 max;
	__u32 buffers;
	__u32 pad;
	__u64 reserved[4];
};

/* Why an allocation failed: struct devfs_dma_alloc.why and its like. */
#define DEVFS_DMA_WHY_NONE	0
#define DEVFS_DMA_WHY_LIMIT	1 /* ENOSPC: module parameter limit_bytes */
#define DEVFS_DMA_WHY_BUFFERS	2 /* ENOSPC: module parameter max_buffers */
#define DEVFS_DMA_WHY_ORDER	3 /* ENOMEM: one range this long needs CMA or an IOMMU */
#define DEVFS_DMA_WHY_MEMORY	4 /* ENOMEM: no free memory */
#define DEVFS_DMA_WHY_MAPPING	5 /* EIO: the device cannot address the memory */
#define DEVFS_DMA_WHY_MEMLOCK	6 /* ENOMEM: RLIMIT_MEMLOCK of the caller */
#define DEVFS_DMA_WHY_PROCESS	7 /* ESRCH: no such owner process */
#define DEVFS_DMA_WHY_USER	8 /* EDQUOT: module parameter user_buffers */

/**
 * struct devfs_dma_alloc - DEVFS_DMA_IOC_ALLOC: make a buffer and open it
 * @name:      in: its name, EEXIST where taken
 * @size:      in: bytes; 0 is allowed in the system heap only
 * @heap:      in: SYSTEM, CONTIGUOUS, COHERENT or RESERVED
 * @direction: in: DEVFS_DMA_BIDIRECTIONAL, _TO_DEVICE, _FROM_DEVICE
 * @lease:     in: DEVFS_DMA_LEASE_*
 * @owner:     in: process id shown as owner, and watched by LEASE_PROCESS;
 *             0 is the caller; ESRCH where there is none such
 * @mode:      in: permission bits 0777
 * @uid:       in: owner, DEVFS_DMA_NO_ID for the caller; others need CAP_CHOWN
 * @gid:       in: group, likewise
 * @fd_flags:  in: O_RDONLY, O_WRONLY or O_RDWR, and O_CLOEXEC
 * @fd:        out: a descriptor of the buffer's file
 * @why:       out: DEVFS_DMA_WHY_*, written when the command fails, too
 * @id:        out: names the buffer until it is gone, never used again
 * @ino:       out: inode number of its file
 * @charge:    in: process id of whom its memory is for: what is allocated for the
 *             buffer is charged to his memory cgroup, where those are of version 2;
 *             0 is whoever needs it. Others need a node that was opened with
 *             CAP_SYS_RESOURCE or CAP_SYS_ADMIN (EPERM); ESRCH where there is
 *             none such
 * @pad:       zero
 * @reserved:  zero
 *
 * The buffer's bytes are zero. EINVAL, EEXIST, EPERM, ESRCH, ENOSPC, ENOMEM,
 * EIO, EOPNOTSUPP (the device has no such heap), EMFILE, EDQUOT.
 */
struct devfs_dma_alloc {
	char name[DEVFS_DMA_NAME_SIZE];
	__u64 size;
	__u32 heap;
	__u32 direction;
	__u32 lease;
	__u32 owner;
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 fd_flags;
	__s32 fd;
	__u32 why;
	__u64 id;
	__u64 ino;
	__u32 charge;
	__u32 pad;
	__u64 reserved[3];
};

/**
 * struct devfs_dma_open - DEVFS_DMA_IOC_OPEN: another descriptor of a buffer
 * @id:       in: its id, or 0 to use @name; out: its id
 * @name:     in: its name where @id is 0, else zero
 * @fd_flags: in: O_RDONLY, O_WRONLY or O_RDWR, and O_CLOEXEC
 * @fd:       out: the descriptor; the same inode as every other one
 * @reserved: zero
 *
 * Permission bits are checked as open(2) would, and the node must be open that
 * way, too: EACCES. ENOENT.
 */
struct devfs_dma_open {
	__u64 id;
	char name[DEVFS_DMA_NAME_SIZE];
	__u32 fd_flags;
	__s32 fd;
	__u64 reserved[2];
};

/**
 * struct devfs_dma_free - DEVFS_DMA_IOC_FREE: give up a buffer's name and id
 * @id:       in: its id; ENOENT where there is none such
 * @flags:    zero
 * @pad:      zero
 *
 * Always works while the buffer is used; the memory is freed with its last
 * user. Only its owner, or CAP_FOWNER: EPERM.
 */
struct devfs_dma_free {
	__u64 id;
	__u32 flags;
	__u32 pad;
};

/* struct devfs_dma_rename.flags; 0 refuses a name that is taken */
#define DEVFS_DMA_RENAME_REPLACE	0x1U /* frees what has the name */
#define DEVFS_DMA_RENAME_EXCHANGE	0x2U /* gives it the old name */

/**
 * struct devfs_dma_rename - DEVFS_DMA_IOC_RENAME: another name, in one step
 * @id:    in: the buffer
 * @name:  in: its new name; the one it has changes nothing
 * @flags: in: 0 or one of DEVFS_DMA_RENAME_*
 * @pad:   zero
 *
 * Without flags EEXIST where the name is taken; with EXCHANGE ENOENT where it
 * is not. ENOENT, too, where there is no such buffer. Of both buffers the
 * owner or CAP_FOWNER: EPERM.
 */
struct devfs_dma_rename {
	__u64 id;
	char name[DEVFS_DMA_NAME_SIZE];
	__u32 flags;
	__u32 pad;
};

/* struct devfs_dma_buf_info.flags */
#define DEVFS_DMA_BUF_DMA_ADDR	0x1U /* dma_addr is valid */
#define DEVFS_DMA_BUF_PHYS_ADDR	0x2U /* phys_addr is valid */
#define DEVFS_DMA_BUF_COHERENT	0x4U /* needs no sync for its device */
#define DEVFS_DMA_BUF_FIXED	0x8U /* cannot grow past capacity */
#define DEVFS_DMA_BUF_FREED	0x10U /* FREE was called, users remain */
#define DEVFS_DMA_BUF_BOUNCED	0x40U /* pinned memory, not page aligned */
#define DEVFS_DMA_BUF_MMAP	0x80U /* mmap works */

/* struct devfs_dma_buf_info.sync_owner, as u-dma-buf has it */
#define DEVFS_DMA_OWNER_CPU	0
#define DEVFS_DMA_OWNER_DEVICE	1

/**
 * struct devfs_dma_buf_info - one buffer, in BUF_INFO and LIST
 * @name:       its name, empty once freed
 * @id:         its id
 * @ino:        inode number of its file
 * @size:       bytes readable, what fstat says
 * @capacity:   bytes of memory it has
 * @dma_addr:   bus address of its only range (flag DMA_ADDR)
 * @phys_addr:  CPU address of its only range (flag PHYS_ADDR)
 * @heap:       DEVFS_DMA_HEAP_*
 * @direction:  DEVFS_DMA_BIDIRECTIONAL, _TO_DEVICE, _FROM_DEVICE
 * @lease:      DEVFS_DMA_LEASE_*
 * @flags:      DEVFS_DMA_BUF_*
 * @owner:      process id of the owner in the caller's namespace, 0 once dead
 * @numa_node:  node of its first page, -1 where unknown
 * @nents:      bus ranges it has, as BUF_GET_SG lists them
 * @segments:   allocations it has grown by
 * @opens:      open file descriptions, those of FUSE included
 * @mappings:   mapped areas
 * @exports:    dma-bufs that show it
 * @sync_owner: DEVFS_DMA_OWNER_*: whom the last sync gave it to
 * @mode:       permission bits
 * @uid:        owner in the caller's user namespace
 * @gid:        group likewise
 * @pad:        zero
 * @sync_cpu:     syncs for the CPU so far
 * @sync_device:  syncs for the device so far
 * @created_ns:   CLOCK_REALTIME of its allocation
 * @reserved:   zero
 *
 * Bus addresses that an IOMMU translates are given to everybody; all others to
 * callers who own the node, or have CAP_SYS_RAWIO. Else the flag is clear. Where
 * there is no IOMMU, the kernel's log has a warning of the first time.
 */
struct devfs_dma_buf_info {
	char name[DEVFS_DMA_NAME_SIZE];
	__u64 id;
	__u64 ino;
	__u64 size;
	__u64 capacity;
	__u64 dma_addr;
	__u64 phys_addr;
	__u32 heap;
	__u32 direction;
	__u32 lease;
	__u32 flags;
	__u32 owner;
	__s32 numa_node;
	__u32 nents;
	__u32 segments;
	__u32 opens;
	__u32 mappings;
	__u32 exports;
	__u32 sync_owner;
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 pad;
	__u64 sync_cpu;
	__u64 sync_device;
	__u64 created_ns;
	__u64 reserved[4];
};

/**
 * struct devfs_dma_list - DEVFS_DMA_IOC_LIST: the buffers, in order of id
 * @cursor:   in: 0, then what the last call returned; out: 0 at the end
 * @entries:  in: user pointer to struct devfs_dma_buf_info[@count]
 * @count:    in: room; out: entries written. 0 in counts all buffers only
 * @pad:      zero
 * @total:    out: buffers there are
 */
struct devfs_dma_list {
	__u64 cursor;
	__u64 entries;
	__u32 count;
	__u32 pad;
	__u64 total;
};

/**
 * struct devfs_dma_pin - DEVFS_DMA_IOC_PIN: the caller's memory as a buffer
 * @alloc:    as for ALLOC; heap must be USER; size is the length
 * @address:  in: start of the memory, any alignment
 * @reserved: zero
 *
 * The pages stay pinned, charged to RLIMIT_MEMLOCK (ENOMEM; what the process has
 * locked counts, too), until the buffer is gone. The file reads and writes them;
 * mmap of it is ENODEV: its owner has them mapped. Memory that the caller cannot
 * write is EFAULT, whatever the direction: the buffer's file can write it.
 */
struct devfs_dma_pin {
	struct devfs_dma_alloc alloc;
	__u64 address;
	__u64 reserved[3];
};

/**
 * struct devfs_dma_import - DEVFS_DMA_IOC_IMPORT: a foreign dma-buf as a buffer
 * @alloc:      as for ALLOC; heap must be IMPORTED; size must be 0: it is
 *              the dma-buf's
 * @dmabuf_fd:  in: the dma-buf
 * @pad:        zero
 * @reserved:   zero
 *
 * Of a dma-buf whose descriptor cannot write, devices only read: EACCES where
 * direction is not TO_DEVICE, and for writes and writable mappings.
 *
 * EBADF and EINVAL for what is no dma-buf; what its exporter says where it
 * cannot be attached or mapped: a region's file refuses a device that cannot
 * reach it by EREMOTEIO. Device memory is read and written like all other, and
 * mapped as its exporter maps it.
 *
 * Accesses of the CPU by the buffer's file wait for fences on the dma-buf, as
 * DMA_BUF_IOCTL_SYNC of it does: a read for its writers, a write for its readers,
 * too. A signal ends the wait.
 *
 * An exporter that moves its memory is asked to leave it in place; IMPORT waits
 * until it is there, holds up nobody by it, and a signal ends it. Where it
 * takes it back nevertheless, as the file of a region and coherent memory do
 * when their device is removed, the buffer stays without memory until FREE or
 * the end of its own device: it has no bus ranges, what would reach its bytes
 * is ENODEV, and its mappings are SIGBUS.
 */
struct devfs_dma_import {
	struct devfs_dma_alloc alloc;
	__s32 dmabuf_fd;
	__u32 pad;
	__u64 reserved[3];
};

/* struct devfs_dma_region.flags */
#define DEVFS_DMA_REGION_MMAP		0x1U /* mmap works */
#define DEVFS_DMA_REGION_WRITE		0x2U /* it can be written */
#define DEVFS_DMA_REGION_COMBINED	0x4U /* mmap of it is write-combined */
#define DEVFS_DMA_REGION_PORTS		0x8U /* I/O ports: no mmap */
#define DEVFS_DMA_REGION_CONFIG		0x10U /* configuration space: no mmap */

/**
 * struct devfs_dma_region - DEVFS_DMA_IOC_GET_REGION: device memory
 * @index:     in: below struct devfs_dma_info.regions, else EINVAL
 * @flags:     zero in; out: DEVFS_DMA_REGION_*
 * @name:      out: "bar0", "bar2-wc", "config", ...; of a platform device those
 *             of its reg-names, or "reg0", "reg1", ...
 * @size:      out: bytes
 * @phys_addr: out: CPU address, 0 for ports, the configuration space, and
 *             callers who neither own the node nor have CAP_SYS_RAWIO
 * @ino:       out: inode number of its file
 * @reserved:  zero
 *
 * A prefetchable memory BAR is there twice, the second time ("-wc") with a
 * write-combined mapping. Ports, the configuration space, and memory that is not
 * made of whole pages cannot be mapped.
 */
struct devfs_dma_region {
	__u32 index;
	__u32 flags;
	char name[DEVFS_DMA_NAME_SIZE];
	__u64 size;
	__u64 phys_addr;
	__u64 ino;
	__u64 reserved[2];
};

/**
 * struct devfs_dma_open_region - DEVFS_DMA_IOC_OPEN_REGION
 * @index:    in: as for GET_REGION
 * @fd_flags: in: O_RDONLY, O_WRONLY or O_RDWR, and O_CLOEXEC
 * @fd:       out: a descriptor of the region's file, a regular file
 * @pad:      zero
 * @reserved: zero
 *
 * The node must be open that way, too, and unless the caller owns it the
 * region's own mode lets him: EACCES. EINVAL: no such region. EBUSY:
 * the other file of the same BAR is open; a CPU must not have one memory mapped
 * in two ways.
 *
 * A read or write of 1, 2, 4 or 8 bytes at a multiple of its length is one bus
 * access of that width; a longer one, of a multiple of 4 bytes at a multiple of
 * 4, is a run of the widest aligned accesses. The widest is 4 for ports and the
 * configuration space. A longer read is cut at the end of the region, and a
 * read at the end is 0; all else is EINVAL, and so are writes past the end.
 * A faulting pointer gives the bytes before it, else EFAULT; what cannot be
 * given is not read from the device.
 *
 * mmap is shared and uncached; a private mapping is EINVAL. A page that has a
 * part of the MSI-X table in it is SIGBUS, and writing the table is EPERM.
 *
 * The configuration space can be read by everyone who opened it. Writing it
 * needs CAP_SYS_ADMIN, and is for the status register and the bodies of
 * vendor-specific capabilities (conventional and extended): the rest is the
 * kernel's. Both are EPERM.
 *
 * After the device was removed, calls are ENODEV and its mappings SIGBUS.
 */
struct devfs_dma_open_region {
	__u32 index;
	__u32 fd_flags;
	__s32 fd;
	__u32 pad;
	__u64 reserved[2];
};

/**
 * struct devfs_dma_region_export - DEVFS_DMA_IOC_REGION_EXPORT
 * @offset:   in: first byte, a whole page
 * @size:     in: bytes, whole pages within the region
 * @fd_flags: in: O_RDONLY or O_RDWR, and O_CLOEXEC
 * @fd:       out: a dma-buf of that memory, which keeps the region's file open
 * @reserved: zero
 *
 * For other devices to read and write without the CPU: they reach what is
 * behind the same PCI bridge or switch, or a host bridge that the kernel knows
 * to pass it on; others are refused when they attach (EREMOTEIO). Importers
 * must take memory without pages and give it back when told so, as IMPORT does
 * (EOPNOTSUPP). Of O_RDONLY devices only read: mapping it for more is EACCES.
 * mmap of the dma-buf is that of the region.
 *
 * EACCES where the descriptor is not open that way; EINVAL for a range that is
 * not whole pages of the region; EPERM for one with a part of the MSI-X table;
 * EOPNOTSUPP for regions without mmap, those of platform devices, and where the
 * kernel was built without CONFIG_PCI_P2PDMA.
 */
struct devfs_dma_region_export {
	__u64 offset;
	__u64 size;
	__u32 fd_flags;
	__s32 fd;
	__u64 reserved;
};

/*
 * DEVFS_DMA_IOC_RESET: the device's function is reset, by the way that its
 * reset_method in sysfs says first. It takes no argument.
 *
 * Its registers are as after power-on, transfers end, and what the kernel has in
 * the configuration space (addresses, interrupts, bus mastering) is restored.
 * Buffers, mappings and open regions stay; who reaches a region waits for the end.
 * Devices that import its memory are not told: they read ones meanwhile.
 *
 * The node must be open for writing: EACCES. EOPNOTSUPP where the device cannot
 * be reset (INFO_RESET). EAGAIN while it is removed, suspended or reset by others.
 *
 * Every reset, others' too, is an event of the source "error" (EVENT_RESET), as are
 * errors that PCI reports (EVENT_AER) and the end of a suspension (EVENT_POWER).
 * After an error that stopped the link reads and writes of regions are EIO and
 * their mappings SIGBUS until it was reset, which is an event of its own; where the
 * device is lost it stays so until it is unbound. The configuration space answers.
 */

/* ------------------------------------------------------------- signals -- */

/* Kinds of signal sources. */
#define DEVFS_DMA_SIGNAL_SOFTWARE	0 /* TRIGGER makes its events */
#define DEVFS_DMA_SIGNAL_TIMER		1 /* an hrtimer, every period_ns */
#define DEVFS_DMA_SIGNAL_INTERRUPT	2 /* an interrupt of the device; made by binding it */

/* struct devfs_dma_signal.flags */
#define DEVFS_DMA_SIGNAL_ENABLED	0x1U
#define DEVFS_DMA_SIGNAL_UEVENT		0x2U /* events are uevents, too */
#define DEVFS_DMA_SIGNAL_AUTOMASK	0x4U /* out: each event clears ENABLED: a line */
#define DEVFS_DMA_SIGNAL_STORM		0x8U /* out: too fast, so it was masked; SET clears it */

/* struct devfs_dma_signal.op */
#define DEVFS_DMA_SIGNAL_CREATE		0 /* name, kind, period_ns, flags -> source */
#define DEVFS_DMA_SIGNAL_REMOVE		1 /* source */
#define DEVFS_DMA_SIGNAL_SET		2 /* source, flags, period_ns */
#define DEVFS_DMA_SIGNAL_TRIGGER	3 /* source; EINVAL if not software */
#define DEVFS_DMA_SIGNAL_GET		4 /* source -> all */
#define DEVFS_DMA_SIGNAL_NEXT		5 /* first source at or after source -> all */

/** DEVFS_DMA_PERIOD_MIN: shortest period of a timer in ns, 10 us. */
#define DEVFS_DMA_PERIOD_MIN	10000ULL
/** DEVFS_DMA_PERIOD_MAX: longest one, one day. */
#define DEVFS_DMA_PERIOD_MAX	86400000000000ULL

/**
 * struct devfs_dma_signal - DEVFS_DMA_IOC_SIGNAL_CTL
 * @op:        in: what to do; the fields it does not take must be zero
 * @source:    in or out: the source's id
 * @name:      its name, EEXIST where taken
 * @kind:      DEVFS_DMA_SIGNAL_SOFTWARE, ...
 * @flags:     DEVFS_DMA_SIGNAL_*
 * @period_ns: of a timer: between DEVFS_DMA_PERIOD_MIN and _MAX
 * @count:     out: events so far
 * @missed:    out: periods a timer was too late for, events while disabled
 * @last_ns:   out: CLOCK_MONOTONIC of the last event, 0 for none
 * @listeners: out: eventfds and process signals registered
 * @told:      out: what the flags of the last event say, DEVFS_DMA_EVENT_*
 * @reserved:  zero
 *
 * CREATE: EEXIST, ENOSPC (DEVFS_DMA_MAX_SOURCES), EDQUOT (user_signals), and EPERM
 * as SET for a period below user_period_us. Others: ENOENT. Interrupts
 * can be neither created (EINVAL) nor removed (EPERM); a bound device has
 * "irq0", "irq1", ..., one a vector and 32 at most, enabled, and after them
 * "error", whose events tell what befell it: see RESET. SET masks and
 * unmasks them; what comes in the meantime is one event after unmasking. A line
 * (AUTOMASK) is masked by each event, as it would come again until the device
 * was seen to: see to it, then SET ENABLED. One that comes more often in a
 * second than the module parameter irq_storm allows (100000) is masked (STORM).
 * A new source is enabled if @flags says so. TRIGGER of a disabled source is
 * counted as missed and makes no event. SET with a @period_ns of 0 keeps it.
 * Uevents (and the helper program, where the module was loaded with one) tell
 * the latest count, ten times a second at most: faster events are one of them.
 */
struct devfs_dma_signal {
	__u32 op;
	__u32 source;
	char name[DEVFS_DMA_NAME_SIZE];
	__u32 kind;
	__u32 flags;
	__u64 period_ns;
	__u64 count;
	__u64 missed;
	__u64 last_ns;
	__u32 listeners;
	__u32 told;
	__u64 reserved[2];
};

/* struct devfs_dma_event.flags */
#define DEVFS_DMA_EVENT_LOST	0x1U /* this reader lost records before it */
#define DEVFS_DMA_EVENT_STORM	0x10U /* the interrupt came too fast: it is masked since */
/* Of the source "error", one of: */
#define DEVFS_DMA_EVENT_RESET	0x2U /* the device was reset: its registers begin anew */
#define DEVFS_DMA_EVENT_AER	0x4U /* PCI reported an error that the device did not correct */
#define DEVFS_DMA_EVENT_POWER	0x8U /* it was without power, and so are its registers new */

/**
 * struct devfs_dma_event - what read(2) of the node returns, one or more
 * @seq:          number of the record on this device, all sources together
 * @count:        events of the source so far, this one included
 * @missed:       of the source so far
 * @timestamp_ns: CLOCK_MONOTONIC of the event
 * @source:       id of the source
 * @flags:        DEVFS_DMA_EVENT_*
 *
 * Each open node has its own position and sees the events since its open (or
 * its last SIGNAL_SUBSCRIBE). A read shorter than one record is EINVAL.
 */
struct devfs_dma_event {
	__u64 seq;
	__u64 count;
	__u64 missed;
	__u64 timestamp_ns;
	__u32 source;
	__u32 flags;
};

/**
 * struct devfs_dma_subscribe - DEVFS_DMA_IOC_SIGNAL_SUBSCRIBE
 * @sources: in: bit n: this open node reports events of source n; all at open
 *
 * Events before the call are dropped.
 */
struct devfs_dma_subscribe {
	__u64 sources;
};

/**
 * struct devfs_dma_eventfd - DEVFS_DMA_IOC_SET_EVENTFD
 * @source: in: whose events are added to the eventfd
 * @fd:     in: the eventfd; -1 ends this open node's registrations there
 * @flags:  zero
 * @pad:    zero
 *
 * Ends with the open node at the latest. ENOENT, EINVAL, ENOSPC (64 a source),
 * EDQUOT (user_listeners).
 */
struct devfs_dma_eventfd {
	__u32 source;
	__s32 fd;
	__u32 flags;
	__u32 pad;
};

/**
 * struct devfs_dma_notify - DEVFS_DMA_IOC_SIGNAL_NOTIFY
 * @source: in: whose events are sent
 * @pid:    in: process that gets them
 * @signo:  in: signal 1 to 64; 0 ends this open node's registrations of @pid
 * @flags:  zero
 * @value:  in: si_value of the signal (si_code is SI_QUEUE)
 *
 * Only to processes the caller may signal: EPERM; this is checked again with
 * the caller's credentials at every event. Ends with the process (a reused
 * pid never gets it) or the open node. ESRCH, ENOENT, EINVAL, ENOSPC, EDQUOT.
 */
struct devfs_dma_notify {
	__u32 source;
	__u32 pid;
	__u32 signo;
	__u32 flags;
	__u64 value;
};

/**
 * struct devfs_dma_history - DEVFS_DMA_IOC_SIGNAL_HISTORY
 * @source: in: whose
 * @count:  in: room; out: times written, at most DEVFS_DMA_HISTORY
 * @first:  in: number of the first event wanted, from 1; out: of the first given
 * @times:  in: user pointer to __u64[@count], CLOCK_MONOTONIC ns
 */
struct devfs_dma_history {
	__u32 source;
	__u32 count;
	__u64 first;
	__u64 times;
};

/* -------------------------------------------------------- a buffer's fd -- */

/* struct devfs_dma_buf_sync.flags */
#define DEVFS_DMA_SYNC_FOR_CPU		0x1U
#define DEVFS_DMA_SYNC_FOR_DEVICE	0x2U

/** DEVFS_DMA_SYNC_BUFFER_DIRECTION: sync in the direction of the buffer. */
#define DEVFS_DMA_SYNC_BUFFER_DIRECTION	0xffffffffU

/**
 * struct devfs_dma_buf_sync - DEVFS_DMA_IOC_BUF_SYNC
 * @offset:    in: first byte
 * @length:    in: bytes; 0 is up to the end; past the end is EINVAL
 * @flags:     in: one of DEVFS_DMA_SYNC_FOR_*
 * @direction: in: a direction, which must be the buffer's unless that is
 *             bidirectional (EINVAL), or DEVFS_DMA_SYNC_BUFFER_DIRECTION
 *
 * A sync for the device in the direction FROM_DEVICE writes nothing that the CPU
 * stored over what the device wrote. What read, write and other syncs do to the
 * same memory comes before or after it as a whole. An errno of the exporter of
 * imported memory is the command's.
 */
struct devfs_dma_buf_sync {
	__u64 offset;
	__u64 length;
	__u32 flags;
	__u32 direction;
};

/**
 * struct devfs_dma_sg - one bus range
 * @dma_addr:  bus address
 * @length:    bytes
 */
struct devfs_dma_sg {
	__u64 dma_addr;
	__u64 length;
};

/**
 * struct devfs_dma_buf_get_sg - DEVFS_DMA_IOC_BUF_GET_SG
 * @first:   in: index of the first range wanted
 * @entries: in: user pointer to struct devfs_dma_sg[@count]
 * @count:   in: room; out: ranges written
 * @total:   out: ranges there are
 *
 * EPERM where dma_addr of struct devfs_dma_buf_info would not be given.
 */
struct devfs_dma_buf_get_sg {
	__u64 first;
	__u64 entries;
	__u32 count;
	__u32 total;
};

/**
 * struct devfs_dma_buf_rw - DEVFS_DMA_IOC_BUF_READ and _BUF_WRITE
 * @offset:  in: first byte of the buffer
 * @address: in: user pointer
 * @length:  in: bytes wanted
 * @copied:  out: bytes that went through
 *
 * As pread and pwrite, coherence and growth included. A faulting pointer gives
 * the bytes before it, EFAULT if there are none. A descriptor opened the other
 * way is EBADF.
 */
struct devfs_dma_buf_rw {
	__u64 offset;
	__u64 address;
	__u64 length;
	__u64 copied;
};

/**
 * struct devfs_dma_buf_name - DEVFS_DMA_IOC_BUF_SET_NAME
 * @name: in: the new name, EEXIST where taken, ENOENT once freed
 *
 * The buffer's owner or CAP_FOWNER: EPERM.
 */
struct devfs_dma_buf_name {
	char name[DEVFS_DMA_NAME_SIZE];
};

/**
 * struct devfs_dma_buf_lease - DEVFS_DMA_IOC_BUF_SET_LEASE
 * @lease: in: DEVFS_DMA_LEASE_*
 * @owner: in: the new owner process, 0 for the one it has
 *
 * The buffer's owner or CAP_FOWNER: EPERM. ESRCH, ENOENT once freed.
 */
struct devfs_dma_buf_lease {
	__u32 lease;
	__u32 owner;
};

/**
 * struct devfs_dma_buf_export - DEVFS_DMA_IOC_BUF_EXPORT
 * @fd_flags: in: O_RDONLY or O_RDWR, and O_CLOEXEC
 * @fd:       out: a dma-buf of the whole buffer as it is now, which keeps it
 *            and keeps it from shrinking
 * @reserved: zero
 *
 * The importers of coherent memory are asked to give it back when its device is
 * removed, those of an O_RDONLY dma-buf and others that cannot are waited for, 5 s
 * at most. Pages stay their importers'.
 *
 * All dma-bufs of a buffer have the same fences. The buffer's own file waits for
 * none of them.
 *
 * Of O_RDONLY nobody writes: an importer that would is EACCES. EACCES, too,
 * where the descriptor is not open that way, EINVAL for an empty buffer,
 * EOPNOTSUPP for pinned, imported and reserved memory.
 */
struct devfs_dma_buf_export {
	__u32 fd_flags;
	__s32 fd;
	__u64 reserved;
};

#define DEVFS_DMA_IOWR(nr, type)	_IOWR(DEVFS_DMA_IOC_MAGIC, nr, type)
#define DEVFS_DMA_IOW(nr, type)		_IOW(DEVFS_DMA_IOC_MAGIC, nr, type)
#define DEVFS_DMA_IOR(nr, type)		_IOR(DEVFS_DMA_IOC_MAGIC, nr, type)

/* Of the node. */
#define DEVFS_DMA_IOC_GET_INFO		DEVFS_DMA_IOR(0x00, struct devfs_dma_info)
#define DEVFS_DMA_IOC_GET_HEAP		DEVFS_DMA_IOWR(0x01, struct devfs_dma_heap)
#define DEVFS_DMA_IOC_ALLOC		DEVFS_DMA_IOWR(0x02, struct devfs_dma_alloc)
#define DEVFS_DMA_IOC_OPEN		DEVFS_DMA_IOWR(0x03, struct devfs_dma_open)
#define DEVFS_DMA_IOC_LIST		DEVFS_DMA_IOWR(0x04, struct devfs_dma_list)
#define DEVFS_DMA_IOC_FREE		DEVFS_DMA_IOW(0x05, struct devfs_dma_free)
#define DEVFS_DMA_IOC_PIN		DEVFS_DMA_IOWR(0x06, struct devfs_dma_pin)
#define DEVFS_DMA_IOC_IMPORT		DEVFS_DMA_IOWR(0x07, struct devfs_dma_import)
#define DEVFS_DMA_IOC_GET_REGION	DEVFS_DMA_IOWR(0x08, struct devfs_dma_region)
#define DEVFS_DMA_IOC_RENAME		DEVFS_DMA_IOW(0x09, struct devfs_dma_rename)
#define DEVFS_DMA_IOC_OPEN_REGION	DEVFS_DMA_IOWR(0x0a, struct devfs_dma_open_region)
#define DEVFS_DMA_IOC_RESET		_IO(DEVFS_DMA_IOC_MAGIC, 0x0b)
#define DEVFS_DMA_IOC_SIGNAL_CTL	DEVFS_DMA_IOWR(0x10, struct devfs_dma_signal)
#define DEVFS_DMA_IOC_SIGNAL_NOTIFY	DEVFS_DMA_IOW(0x11, struct devfs_dma_notify)
#define DEVFS_DMA_IOC_SET_EVENTFD	DEVFS_DMA_IOW(0x12, struct devfs_dma_eventfd)
#define DEVFS_DMA_IOC_SIGNAL_SUBSCRIBE	DEVFS_DMA_IOW(0x13, struct devfs_dma_subscribe)
#define DEVFS_DMA_IOC_SIGNAL_HISTORY	DEVFS_DMA_IOWR(0x14, struct devfs_dma_history)

/* Of a buffer's file, which also takes DMA_BUF_IOCTL_SYNC. */
#define DEVFS_DMA_IOC_BUF_INFO		DEVFS_DMA_IOR(0x40, struct devfs_dma_buf_info)
#define DEVFS_DMA_IOC_BUF_SYNC		DEVFS_DMA_IOW(0x41, struct devfs_dma_buf_sync)
#define DEVFS_DMA_IOC_BUF_GET_SG	DEVFS_DMA_IOWR(0x42, struct devfs_dma_buf_get_sg)
#define DEVFS_DMA_IOC_BUF_READ		DEVFS_DMA_IOWR(0x43, struct devfs_dma_buf_rw)
#define DEVFS_DMA_IOC_BUF_WRITE		DEVFS_DMA_IOWR(0x44, struct devfs_dma_buf_rw)
#define DEVFS_DMA_IOC_BUF_SET_NAME	DEVFS_DMA_IOW(0x45, struct devfs_dma_buf_name)
#define DEVFS_DMA_IOC_BUF_SET_LEASE	DEVFS_DMA_IOW(0x46, struct devfs_dma_buf_lease)
#define DEVFS_DMA_IOC_BUF_EXPORT	DEVFS_DMA_IOWR(0x47, struct devfs_dma_buf_export)

/* Of a region's file. */
#define DEVFS_DMA_IOC_REGION_EXPORT	DEVFS_DMA_IOWR(0x60, struct devfs_dma_region_export)

#endif /* _UAPI_DEVFS_DMA_H */
