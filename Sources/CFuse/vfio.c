// SPDX-License-Identifier: Apache-2.0
/*
 * Devices of the kernel's vfio-pci: <linux/vfio.h>, by a container with a type 1 IOMMU, or by
 * <linux/iommufd.h> where the kernel has it. What Debian 12's headers lack is defined here.
 */
#define _GNU_SOURCE 1
#include "CFuse.h"

#include <errno.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* <linux/vfio.h> of 6.6 */
struct bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
};
struct attach_iommufd {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
};
#define BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)
#define ATTACH_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 19)

/* <linux/iommufd.h> of 6.2, which uses the same type */
struct ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};
struct ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas;
	uint64_t out_iova_alignment;
};
struct ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};
struct ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length;
};
#define IOAS_ALLOC _IO(VFIO_TYPE, 0x81)
#define IOAS_IOVA_RANGES _IO(VFIO_TYPE, 0x84)
#define IOAS_MAP _IO(VFIO_TYPE, 0x85)
#define IOAS_UNMAP _IO(VFIO_TYPE, 0x86)
/* IOMMU_IOAS_MAP_FIXED_IOVA, _WRITEABLE, _READABLE */
#define IOAS_MAP_FLAGS 7u

_Static_assert(sizeof(struct bind_iommufd) == 16, "struct vfio_device_bind_iommufd of 6.6");
_Static_assert(sizeof(struct attach_iommufd) == 12, "struct vfio_device_attach_iommufd_pt of 6.6");
_Static_assert(sizeof(struct ioas_alloc) == 12, "struct iommu_ioas_alloc");
_Static_assert(sizeof(struct ioas_iova_ranges) == 32, "struct iommu_ioas_iova_ranges");
_Static_assert(sizeof(struct ioas_map) == 40, "struct iommu_ioas_map");
_Static_assert(sizeof(struct ioas_unmap) == 24, "struct iommu_ioas_unmap");
_Static_assert(sizeof(struct cfuse_range) == 16, "struct iommu_iova_range");
_Static_assert(sizeof(struct vfio_iommu_type1_dma_map) == 32, "<linux/vfio.h>");
_Static_assert(sizeof(struct vfio_iommu_type1_dma_unmap) == 24, "<linux/vfio.h>");
_Static_assert(sizeof(struct vfio_region_info) == 32, "<linux/vfio.h>");
_Static_assert(sizeof(struct vfio_irq_info) == 16, "<linux/vfio.h>");
_Static_assert(sizeof(struct vfio_irq_set) == 20, "<linux/vfio.h>");
_Static_assert(VFIO_PCI_CONFIG_REGION_INDEX == CFUSE_VFIO_CONFIG, "CFuse.h");
_Static_assert(VFIO_PCI_REQ_IRQ_INDEX == CFUSE_VFIO_REQUEST, "CFuse.h");

/* MARK: The IOMMU */

bool cfuse_vfio_is_usable(int container)
{
	return ioctl(container, VFIO_GET_API_VERSION) == VFIO_API_VERSION &&
	       ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1;
}

int cfuse_vfio_is_viable(int group)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	if (ioctl(group, VFIO_GROUP_GET_STATUS, &status))
		return -1;
	return !!(status.flags & VFIO_GROUP_FLAGS_VIABLE);
}

int cfuse_vfio_attach(int group, int container)
{
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		return -1;
	return ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
}

int cfuse_vfio_device(int group, const char *name)
{
	int fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);

	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

/* A capability of an answer; NULL for none, and for a chain that leads out of it. */
static const struct vfio_info_cap_header *find(const void *answer, size_t size, uint32_t first,
					       uint16_t id)
{
	uint32_t at = first;

	for (int turns = 0; at && turns < 64; turns++) {
		const struct vfio_info_cap_header *header;

		if (at > size - sizeof(*header))
			return NULL;
		header = (const void *)((const char *)answer + at);
		if (header->id == id)
			return header;
		at = header->next;
	}
	return NULL;
}

int cfuse_vfio_ranges(int container, struct cfuse_range *ranges, uint32_t *count,
		      uint32_t *entries)
{
	struct vfio_iommu_type1_info probe = { .argsz = sizeof(probe) }, *info;
	const struct vfio_iommu_type1_info_cap_iova_range *valid;
	const struct vfio_iommu_type1_info_dma_avail *left;
	uint32_t room = *count, size;

	if (ioctl(container, VFIO_IOMMU_GET_INFO, &probe))
		return -1;
	size = probe.argsz < sizeof(probe) ? sizeof(probe) : probe.argsz;
	info = calloc(1, size);
	if (!info)
		return -1;
	info->argsz = size;
	if (ioctl(container, VFIO_IOMMU_GET_INFO, info)) {
		free(info);
		return -1;
	}
	*count = 0;
	*entries = 0;
	if (info->flags & VFIO_IOMMU_INFO_CAPS) {
		valid = (const void *)find(info, size, info->cap_offset,
					   VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
		left = (const void *)find(info, size, info->cap_offset,
					  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
		if (left)
			*entries = left->avail;
		for (uint32_t i = 0; valid && i < valid->nr_iovas && i < room; i++, (*count)++) {
			ranges[i].first = valid->iova_ranges[i].start;
			ranges[i].last = valid->iova_ranges[i].end;
		}
	}
	free(info);
	return 0;
}

/*
 * Both kinds of IOMMU take memory of this process, pin its pages, and need the mapping no more: they
 * find the pages to give back in their own tables.
 */
static void *map_file(int file, uint64_t offset, uint64_t length)
{
	void *base = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)offset);

	return base == MAP_FAILED ? NULL : base;
}

static int unmap_file(void *base, uint64_t length, int result)
{
	int error = errno;

	munmap(base, length);
	errno = error;
	return result;
}

int cfuse_vfio_map(int container, int file, uint64_t offset, uint64_t length, uint64_t address)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = address, .size = length,
	};
	void *base = map_file(file, offset, length);

	if (!base)
		return -1;
	map.vaddr = (uintptr_t)base;
	return unmap_file(base, length, ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
}

int cfuse_vfio_unmap(int container, uint64_t address, uint64_t length)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = address, .size = length,
	};

	if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		return -1;
	if (unmap.size == length)
		return 0;
	errno = ENOENT;
	return -1;
}

uint64_t cfuse_pin_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX :
										     limit.rlim_cur;
}

/* MARK: iommufd */

int cfuse_iommufd_attach(int device, int iommufd, uint32_t *space)
{
	struct bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommufd };
	struct ioas_alloc alloc = { .size = sizeof(alloc) };
	struct attach_iommufd attach = { .argsz = sizeof(attach) };

	if (ioctl(device, BIND_IOMMUFD, &bind) || ioctl(iommufd, IOAS_ALLOC, &alloc))
		return -1;
	attach.pt_id = alloc.out_ioas_id;
	*space = alloc.out_ioas_id;
	return ioctl(device, ATTACH_IOMMUFD, &attach);
}

int cfuse_iommufd_ranges(int iommufd, uint32_t space, struct cfuse_range *ranges, uint32_t *count)
{
	struct ioas_iova_ranges request = {
		.size = sizeof(request), .ioas_id = space, .num_iovas = *count,
		.allowed_iovas = (uintptr_t)ranges,
	};
	int result = ioctl(iommufd, IOAS_IOVA_RANGES, &request);

	if (!result)
		*count = request.num_iovas;
	return result;
}

int cfuse_iommufd_map(int iommufd, uint32_t space, int file, uint64_t offset, uint64_t length,
		      uint64_t address)
{
	struct ioas_map map = {
		.size = sizeof(map), .flags = IOAS_MAP_FLAGS, .ioas_id = space, .length = length,
		.iova = address,
	};
	void *base = map_file(file, offset, length);

	if (!base)
		return -1;
	map.user_va = (uintptr_t)base;
	return unmap_file(base, length, ioctl(iommufd, IOAS_MAP, &map));
}

int cfuse_iommufd_unmap(int iommufd, uint32_t space, uint64_t address, uint64_t length)
{
	struct ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = space, .iova = address, .length = length,
	};

	return ioctl(iommufd, IOAS_UNMAP, &unmap);
}

/* MARK: The device */

int cfuse_vfio_can_reset(int device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	if (ioctl(device, VFIO_DEVICE_GET_INFO, &info))
		return -1;
	return !!(info.flags & VFIO_DEVICE_FLAGS_RESET);
}

int cfuse_vfio_reset(int device)
{
	return ioctl(device, VFIO_DEVICE_RESET);
}

int cfuse_vfio_region(int device, uint32_t index, struct cfuse_vfio_region *region)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info))
		return -1;
	region->size = info.size;
	region->offset = info.offset;
	region->is_writable = info.flags & VFIO_REGION_INFO_FLAG_WRITE;
	/* One that says which parts can be mapped has others that can't. */
	region->can_map = info.flags & VFIO_REGION_INFO_FLAG_MMAP;
	if (region->can_map && info.flags & VFIO_REGION_INFO_FLAG_CAPS && info.argsz > sizeof(info)) {
		struct vfio_region_info *whole = calloc(1, info.argsz);

		if (!whole)
			return -1;
		whole->argsz = info.argsz;
		whole->index = index;
		if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, whole) ||
		    find(whole, info.argsz, whole->cap_offset, VFIO_REGION_INFO_CAP_SPARSE_MMAP))
			region->can_map = false;
		free(whole);
	}
	return 0;
}

int cfuse_vfio_interrupts(int device, uint32_t kind, uint32_t *count)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = kind };

	if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info))
		return -1;
	*count = info.flags & VFIO_IRQ_INFO_EVENTFD ? info.count : 0;
	return 0;
}

int cfuse_vfio_set_eventfds(int device, uint32_t kind, uint32_t first, const int *fds,
			    uint32_t count)
{
	size_t size = sizeof(struct vfio_irq_set) + count * sizeof(*fds);
	struct vfio_irq_set *set = calloc(1, size);
	int result, error;

	if (!set)
		return -1;
	set->argsz = (uint32_t)size;
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = kind;
	set->start = first;
	set->count = count;
	memcpy(set->data, fds, count * sizeof(*fds));
	result = ioctl(device, VFIO_DEVICE_SET_IRQS, set);
	error = errno;
	free(set);
	errno = error;
	return result;
}

int cfuse_vfio_mask(int device, uint32_t kind, uint32_t number, bool masked)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set), .index = kind, .start = number, .count = 1,
		.flags = VFIO_IRQ_SET_DATA_NONE |
			 (masked ? VFIO_IRQ_SET_ACTION_MASK : VFIO_IRQ_SET_ACTION_UNMASK),
	};

	return ioctl(device, VFIO_DEVICE_SET_IRQS, &set);
}

/* MARK: Registers by a mapping */

void *cfuse_vfio_map_region(int device, uint64_t offset, size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)offset);

	return base == MAP_FAILED ? NULL : base;
}

/*
 * vfio takes the mapping away while the device is reset or without power, and whoever touches it
 * then gets SIGBUS: that is the end of one access, and not of the server.
 */
static __thread sigjmp_buf escape;
static __thread volatile sig_atomic_t in_access;

static void caught(int signal, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	if (in_access)
		siglongjmp(escape, 1);
	/* Not ours: once more, with what it does by default. */
	sigaction(signal, &(const struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}

static void catch_bus_errors(void)
{
	const struct sigaction action = {
		.sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	sigaction(SIGBUS, &action, NULL);
}

static void begin_accesses(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, catch_bus_errors);
}

int cfuse_access_registers(volatile void *base, uint64_t *words, size_t count, bool writes)
{
	volatile uint64_t *registers = base;

	begin_accesses();
	if (sigsetjmp(escape, 0)) {
		in_access = 0;
		errno = EIO;
		return -1;
	}
	in_access = 1;
	for (size_t i = 0; i < count; i++) {
		if (writes)
			registers[i] = words[i];
		else
			words[i] = registers[i];
	}
	in_access = 0;
	return 0;
}
