// SPDX-License-Identifier: GPL-2.0
/*
 * A device is mapped, waited on and about to write when its kernel makes way for another by kexec;
 * what the next kernel finds of it. Tests/VM/kexec boots it: the argument is the part.
 */
#include "tests/pci.h"

#include <linux/reboot.h>
#include <sys/syscall.h>

#define COMMAND 4
#define MASTER 4

/* Where Tests/VM/kexec puts the second edu. */
#define EDU_ADDRESS "0000:00:14.0"

/* Of the second edu, with no driver needed. */
static bool is_master(const char *address)
{
	char path[64];
	uint16_t command;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", address);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && pread(fd, &command, 2, COMMAND) == 2);
	close(fd);
	return command & MASTER;
}

static int edu_buffer(const struct pci_device *edu, uint64_t *address)
{
	struct devfs_dma_alloc arg = request("target", 2 * PAGE, DEVFS_DMA_HEAP_COHERENT);
	struct devfs_dma_sg entry;
	struct devfs_dma_buf_get_sg sg = { .entries = (uintptr_t)&entry, .count = 1 };

	CHECK(!ioctl(edu->node, DEVFS_DMA_IOC_ALLOC, &arg));
	CHECK(!ioctl(arg.fd, DEVFS_DMA_IOC_BUF_GET_SG, &sg));
	*address = entry.dma_addr;
	return arg.fd;
}

/* Those who have it open, mapped and waited on when all ends. */
static void wait_for_an_event(const struct pci_device *edu)
{
	struct devfs_dma_event event;

	if (!fork()) {
		read(edu->node, &event, sizeof(event));
		_exit(0);
	}
}

static void next_kernel(void)
{
	char line[2048] = "";
	int own = open("/proc/cmdline", O_RDONLY), kernel = open("/lib/vmlinuz", O_RDONLY);
	int initrd = open("/lib/next.cpio", O_RDONLY);

	CHECK(read(own, line, sizeof(line) - 20) > 0);
	line[strcspn(line, "\n")] = 0;
	strcat(line, " devfs_next=1");
	CHECK(!syscall(SYS_kexec_file_load, kernel, initrd, strlen(line) + 1, line, 0));
}

TEST(leaves, "a kernel with a device that is mapped, waited on and writing is left by kexec")
{
	struct pci_device edu = pci_bind(EDU, 1);
	int bar = pci_open_region(&edu, "bar0", O_RDWR), fd;
	uint64_t address;
	char *map, *registers;

	CHECK(!strcmp(edu.address, EDU_ADDRESS));
	fd = edu_buffer(&edu, &address);
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	registers = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, bar, 0);
	CHECK(map != MAP_FAILED && registers != MAP_FAILED);
	fill(map, PAGE, 3);
	edu_transfer(&edu, bar, address, 2048, EDU_TO_DEVICE);
	CHECK(is_master(edu.address));
	wait_for_an_event(&edu);
	next_kernel();
	/* 100 ms later it would write where the next kernel may have put itself. */
	write64(bar, EDU_DMA_SOURCE, EDU_DMA_BUFFER);
	write64(bar, EDU_DMA_TARGET, address + PAGE);
	write64(bar, EDU_DMA_COUNT, 2048);
	write64(bar, EDU_DMA_COMMAND, EDU_FROM_DEVICE | 4);
	printf("ok the device is about to write when its kernel is left\n");
	fflush(stdout);
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	CHECK(!"kexec returned");
}

TEST(finds, "the next kernel finds that its bus mastering is off")
{
	/* No driver has it yet. */
	CHECK(access(NODE, F_OK));
	CHECK(!is_master(EDU_ADDRESS));
}

TEST(drives, "the next kernel drives it, and nothing goes on of what it did")
{
	struct pci_device edu = pci_bind(EDU, 1);
	uint64_t address;
	int bar, fd;
	char *map;

	CHECK(!strcmp(edu.address, EDU_ADDRESS));
	bar = pci_open_region(&edu, "bar0", O_RDWR);
	fd = edu_buffer(&edu, &address);
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED && zeroed(map, 2 * PAGE));
	/* What it was about to do is over: the registers say so, and the next transfer is its own. */
	EVENTUALLY(!(read32(bar, EDU_DMA_COMMAND) & 1));
	if (read32(bar, EDU_IRQ_STATUS))
		write32(bar, EDU_IRQ_ACK, read32(bar, EDU_IRQ_STATUS));
	fill(map, PAGE, 8);
	close(edu.node);
	edu.node = pci_open(&edu, O_RDWR);
	edu_transfer(&edu, bar, address, 2048, EDU_TO_DEVICE);
	edu_transfer(&edu, bar, address + PAGE, 2048, EDU_FROM_DEVICE);
	CHECK(filled(map + PAGE, 2048, 8) && zeroed(map + PAGE + 2048, 2048));
	pci_unbind(&edu);
}
