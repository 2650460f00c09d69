// SPDX-License-Identifier: GPL-2.0
#include "tests/pci.h"

#include <dirent.h>

#define DEVICES "/sys/bus/pci/devices"

static unsigned int read_id(const char *address, const char *file)
{
	char path[128], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), DEVICES "/%s/%s", address, file);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	read(fd, text, sizeof(text) - 1);
	close(fd);
	return strtoul(text, NULL, 16);
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), error;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	error = errno;
	close(fd);
	errno = error;
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

int pci_write(const struct pci_device *device, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), DEVICES "/%s/%s", device->address, file);
	return write_text(path, text);
}

bool pci_set_unsafe(bool may)
{
	static const char path[] = "/sys/module/devfs_dma/parameters/enable_unsafe_noiommu_mode";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char before;

	CHECK(fd >= 0 && read(fd, &before, 1) == 1);
	close(fd);
	CHECK(!write_text(path, may ? "Y" : "N"));
	return before == 'Y';
}

static bool has_driver(const struct pci_device *device)
{
	char path[128];

	snprintf(path, sizeof(path), DEVICES "/%s/driver", device->address);
	return !access(path, F_OK);
}

int pci_open(const struct pci_device *device, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "/dev/devfs/pci-%s", device->address);
	return open(path, flags | O_CLOEXEC);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

struct pci_device pci_bind(unsigned int vendor, unsigned int id, unsigned int nth)
{
	struct pci_device device = { .node = -1 };
	struct dirent **entries;
	int count = scandir(DEVICES, &entries, NULL, by_name);

	for (int i = 0; i < count && !device.address[0]; i++)
		if (read_id(entries[i]->d_name, "vendor") == vendor &&
		    read_id(entries[i]->d_name, "device") == id && !nth--)
			snprintf(device.address, sizeof(device.address), "%.15s", entries[i]->d_name);
	if (!device.address[0])
		check_skip("the guest has no such device");

	if (has_driver(&device))
		CHECK(!pci_write(&device, "driver/unbind", device.address));
	CHECK(!pci_write(&device, "driver_override", "devfs_dma"));
	CHECK(!write_text("/sys/bus/pci/drivers_probe", device.address));
	EVENTUALLY(device.node >= 0 || (device.node = pci_open(&device, O_RDWR)) >= 0);
	return device;
}

void pci_unbind(struct pci_device *device)
{
	if (device->node >= 0)
		close(device->node);
	device->node = -1;
	CHECK(!pci_write(device, "driver/unbind", device->address));
	CHECK(!has_driver(device));
}

struct devfs_dma_region node_region(int node, const char *name)
{
	struct devfs_dma_region arg = {};

	do {
		uint32_t index = arg.index;

		memset(&arg, 0, sizeof(arg));
		arg.index = index;
		CHECK(!ioctl(node, DEVFS_DMA_IOC_GET_REGION, &arg));
		CHECK(arg.index == index);
		if (!strcmp(arg.name, name))
			return arg;
		arg.index++;
	} while (true);
}

int node_open_region(int node, const char *name, int flags)
{
	struct devfs_dma_open_region arg = {
		.index = node_region(node, name).index,
		.fd_flags = flags | O_CLOEXEC,
	};

	return ioctl(node, DEVFS_DMA_IOC_OPEN_REGION, &arg) ? -1 : arg.fd;
}

struct devfs_dma_region pci_region(const struct pci_device *device, const char *name)
{
	return node_region(device->node, name);
}

int pci_open_region(const struct pci_device *device, const char *name, int flags)
{
	return node_open_region(device->node, name, flags);
}

uint32_t read32(int fd, uint64_t offset)
{
	uint32_t value;

	CHECK(pread(fd, &value, sizeof(value), offset) == sizeof(value));
	return value;
}

void write32(int fd, uint64_t offset, uint32_t value)
{
	CHECK(pwrite(fd, &value, sizeof(value), offset) == sizeof(value));
}

void write64(int fd, uint64_t offset, uint64_t value)
{
	CHECK(pwrite(fd, &value, sizeof(value), offset) == sizeof(value));
}

void edu_transfer(const struct pci_device *edu, int bar, uint64_t address, uint64_t count,
		  uint64_t command)
{
	struct devfs_dma_event event;

	write64(bar, EDU_DMA_SOURCE, command == EDU_TO_DEVICE ? address : EDU_DMA_BUFFER);
	write64(bar, EDU_DMA_TARGET, command == EDU_TO_DEVICE ? EDU_DMA_BUFFER : address);
	write64(bar, EDU_DMA_COUNT, count);
	write64(bar, EDU_DMA_COMMAND, command | 4);
	CHECK(read(edu->node, &event, sizeof(event)) == sizeof(event));
	CHECK(read32(bar, EDU_IRQ_STATUS) == 0x100);
	write32(bar, EDU_IRQ_ACK, 0x100);
	CHECK(!(read32(bar, EDU_DMA_COMMAND) & 1));
}
