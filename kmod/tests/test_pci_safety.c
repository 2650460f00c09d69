// SPDX-License-Identifier: GPL-2.0
/*
 * Devices that nothing confines are the administrator's to give, and root's. In the
 * guest with an IOMMU they are confined, but for those behind a bridge, of one group.
 */
#include "tests/pci.h"

#include <linux/capability.h>
#include <sys/syscall.h>

#define TAINT_USER (1 << 6)

static void read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	CHECK(fd >= 0 && (n = read(fd, text, size - 1)) > 0);
	text[n] = 0;
	close(fd);
}

static int node_attribute(const struct pci_device *device)
{
	char path[128], text[8];

	snprintf(path, sizeof(path), "/sys/class/misc/devfs!pci-%s/unsafe", device->address);
	read_file(path, text, sizeof(text));
	CHECK(text[1] == '\n' && !text[2]);
	return text[0] - '0';
}

static mode_t node_mode(const struct pci_device *device)
{
	struct stat st;

	CHECK(!fstat(device->node, &st) && st.st_uid == 0 && st.st_gid == 0);
	return st.st_mode & 0777;
}

static bool is_translated(const struct pci_device *device)
{
	return device_info(device->node).flags & DEVFS_DMA_INFO_IOMMU;
}

/* 0, or -1 and the errno of the probe. */
static int try_bind(const struct pci_device *device, const char *driver)
{
	char path[64];
	int fd, error;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/bind", driver);
	CHECK(!pci_write(device, "driver_override", driver));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	n = write(fd, device->address, strlen(device->address));
	error = errno;
	close(fd);
	errno = error;
	return n < 0 ? -1 : 0;
}

static void drop(unsigned int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	CHECK(!syscall(SYS_capget, &header, data));
	data[capability / 32].effective &= ~(1U << capability % 32);
	CHECK(!syscall(SYS_capset, &header, data));
}

static int status_of(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

static void opens_nothing_without_capability(const struct pci_device *device)
{
	pid_t pid = fork();

	if (!pid) {
		drop(CAP_SYS_RAWIO);
		REFUSES(pci_open(device, O_RDWR), EPERM);
		REFUSES(pci_open(device, O_RDONLY), EPERM);
		_exit(0);
	}
	CHECK(status_of(pid) == 0);
}

TEST(refused, "a device that no IOMMU confines is refused until the administrator asks for it")
{
	struct pci_device edu = pci_bind(EDU, 0);
	bool translated = is_translated(&edu), before;

	pci_unbind(&edu);
	before = pci_set_unsafe(false);
	if (translated) {
		CHECK(!try_bind(&edu, "devfs_dma"));
	} else {
		REFUSES(try_bind(&edu, "devfs_dma"), EPERM);
		REFUSES(pci_open(&edu, O_RDWR), ENOENT);
		CHECK(log_count("devfs_dma.enable_unsafe_noiommu_mode=Y allows it") >= 1);
		pci_set_unsafe(true);
		CHECK(!try_bind(&edu, "devfs_dma"));
	}
	pci_set_unsafe(before);
	EVENTUALLY((edu.node = pci_open(&edu, O_RDWR)) >= 0);
	pci_unbind(&edu);
}

TEST(root, "the node of such a device is root's, and opening it takes CAP_SYS_RAWIO")
{
	struct pci_device edu = pci_bind(EDU, 0);
	char taint[32];

	if (is_translated(&edu)) {
		pci_unbind(&edu);
		check_skip("here it is confined");
	}
	CHECK(node_mode(&edu) == 0600);
	CHECK(node_attribute(&edu) == 1);
	CHECK(device_info(edu.node).flags & DEVFS_DMA_INFO_UNSAFE);
	CHECK(!(device_info(edu.node).flags & DEVFS_DMA_INFO_SHARED));
	opens_nothing_without_capability(&edu);
	CHECK(log_count("opening a device that no IOMMU confines takes CAP_SYS_RAWIO") >= 1);
	read_file("/proc/sys/kernel/tainted", taint, sizeof(taint));
	CHECK(strtoul(taint, NULL, 0) & TAINT_USER);
	CHECK(log_count("the kernel is tainted") >= 1);
	/* What was opened is the opener's to hand on. */
	CHECK(device_info(edu.node).regions);
	pci_unbind(&edu);
}

TEST(host, "the host's node has no device behind it, and is for the group")
{
	struct stat st;
	char text[8];

	CHECK(!fstat(node(), &st) && (st.st_mode & 0777) == 0660);
	CHECK(!(device_info(node()).flags & (DEVFS_DMA_INFO_UNSAFE | DEVFS_DMA_INFO_SHARED)));
	read_file("/sys/class/misc/devfs!host/unsafe", text, sizeof(text));
	CHECK(!strcmp(text, "0\n"));
	drop(CAP_SYS_RAWIO);
	CHECK(open(NODE, O_RDWR) >= 0);
}

TEST(confined, "a device that its IOMMU confines is for the group, and binding it taints nothing")
{
	int tainted = log_count("the kernel is tainted");
	struct pci_device edu = pci_bind(EDU, 0);
	pid_t pid;

	if (!is_translated(&edu)) {
		pci_unbind(&edu);
		check_skip("here is no IOMMU");
	}
	CHECK(node_mode(&edu) == 0660 && node_attribute(&edu) == 0);
	CHECK(log_count("the kernel is tainted") == tainted);
	CHECK(!(device_info(edu.node).flags & (DEVFS_DMA_INFO_UNSAFE | DEVFS_DMA_INFO_SHARED)));
	CHECK(device_info(edu.node).flags & DEVFS_DMA_INFO_MSI_ISOLATED);
	CHECK(!fchown(edu.node, 0, 2000));
	if (!(pid = fork())) {
		struct devfs_dma_alloc arg = request("own", PAGE, DEVFS_DMA_HEAP_COHERENT);
		int fd;

		CHECK(!setgid(2000) && !setuid(1000));
		fd = pci_open(&edu, O_RDWR);
		CHECK(fd >= 0 && !ioctl(fd, DEVFS_DMA_IOC_ALLOC, &arg));
		/* The IOMMU made the address, and nothing else is behind it. */
		CHECK(buffer_info(arg.fd).flags & DEVFS_DMA_BUF_DMA_ADDR);
		CHECK(!(buffer_info(arg.fd).flags & DEVFS_DMA_BUF_PHYS_ADDR));
		_exit(0);
	}
	CHECK(status_of(pid) == 0);
	pci_unbind(&edu);
}

TEST(shared, "a device of another driver's in its group takes the device from the group dma")
{
	struct pci_device memory = pci_bind(IVSHMEM, 1), edu = pci_bind(EDU, 2);
	bool before;

	if (!is_translated(&edu)) {
		pci_unbind(&edu);
		pci_unbind(&memory);
		check_skip("here is no IOMMU");
	}
	/* Both are the module's. */
	CHECK(node_attribute(&edu) == 0 && node_attribute(&memory) == 0);
	pci_unbind(&memory);
	CHECK(!try_bind(&memory, "devfs_importer"));
	CHECK(node_attribute(&edu) == 1);
	CHECK(device_info(edu.node).flags & DEVFS_DMA_INFO_SHARED);
	CHECK(device_info(edu.node).flags & DEVFS_DMA_INFO_UNSAFE);
	opens_nothing_without_capability(&edu);
	pci_unbind(&edu);
	before = pci_set_unsafe(false);
	REFUSES(try_bind(&edu, "devfs_dma"), EPERM);
	CHECK(log_count("refused: another driver has a device of its IOMMU group") >= 1);
	pci_set_unsafe(true);
	CHECK(!try_bind(&edu, "devfs_dma"));
	pci_set_unsafe(before);
	EVENTUALLY((edu.node = pci_open(&edu, O_RDWR)) >= 0);
	CHECK(node_mode(&edu) == 0600);
	/* As soon as it leaves, what holds is another thing. */
	CHECK(!pci_write(&memory, "driver/unbind", memory.address));
	CHECK(node_attribute(&edu) == 0);
	pci_unbind(&edu);
}

static void tell(int fd)
{
	CHECK(write(fd, "", 1) == 1);
}

static void hear(int fd)
{
	char c;

	CHECK(read(fd, &c, 1) == 1);
}

/* Who has no capability: has the registers, has them no more, and has them again. */
static void has_registers_while_safe(const struct pci_device *edu, int from, int to)
{
	volatile uint32_t *map;
	uint32_t id;
	int node, bar;

	CHECK(!setgid(1000) && !setuid(1000));
	node = pci_open(edu, O_RDWR);
	CHECK(node >= 0);
	bar = node_open_region(node, "bar0", O_RDWR);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, bar, 0);
	CHECK(map != MAP_FAILED && map[EDU_ID] == 0x010000ed && read32(bar, EDU_ID) == 0x010000ed);
	tell(to);
	hear(from);
	CHECK(is_zapped((volatile char *)map));
	REFUSES(pread(bar, &id, 4, EDU_ID), EPERM);
	REFUSES(pwrite(bar, &id, 4, EDU_LIVENESS), EPERM);
	close(bar);
	bar = node_open_region(node, "bar0", O_RDWR);
	REFUSES(pread(bar, &id, 4, EDU_ID), EPERM);
	tell(to);
	hear(from);
	CHECK(map[EDU_ID] == 0x010000ed && read32(bar, EDU_ID) == 0x010000ed);
	_exit(0);
}

TEST(barred, "who had a device open when it became unsafe has its registers no more")
{
	struct pci_device memory = pci_bind(IVSHMEM, 1), edu = pci_bind(EDU, 2);
	int bar = pci_open_region(&edu, "bar0", O_RDWR), there[2], back[2];
	volatile uint32_t *map;
	pid_t pid;

	if (!is_translated(&edu)) {
		close(bar);
		pci_unbind(&edu);
		pci_unbind(&memory);
		check_skip("here is no IOMMU");
	}
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, bar, 0);
	CHECK(map != MAP_FAILED && !pipe(there) && !pipe(back));
	CHECK(!fchown(edu.node, 1000, -1));
	pid = fork();
	if (!pid)
		has_registers_while_safe(&edu, there[0], back[1]);
	hear(back[0]);
	pci_unbind(&memory);
	CHECK(!try_bind(&memory, "devfs_importer"));
	CHECK(log_count("who opened the node before has its registers no more") >= 1);
	/* Who may open it still, may have it. */
	CHECK(map[EDU_ID] == 0x010000ed && read32(bar, EDU_ID) == 0x010000ed);
	tell(there[1]);
	hear(back[0]);
	CHECK(!pci_write(&memory, "driver/unbind", memory.address));
	tell(there[1]);
	CHECK(status_of(pid) == 0);
	munmap((void *)map, PAGE);
	close(bar);
	pci_unbind(&edu);
}

/* The region's mode and owner, as the administrator left them. */
static int try_region(const struct pci_device *device, const char *name, int flags)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		CHECK(!setgid(1000) && !setuid(1000));
		_exit(pci_open_region(device, name, flags) < 0 ? errno : 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

TEST(region_mode, "a region's own mode counts, but for the node's owner")
{
	struct pci_device edu = pci_bind(EDU, 0);
	int fd = pci_open_region(&edu, "bar0", O_RDWR);
	struct stat st;

	CHECK(!fstat(fd, &st) && (st.st_mode & 0777) == 0600 && st.st_uid == 0);
	CHECK(try_region(&edu, "bar0", O_RDONLY) == EACCES);
	CHECK(!fchmod(fd, 0604));
	CHECK(try_region(&edu, "bar0", O_RDONLY) == 0);
	CHECK(try_region(&edu, "bar0", O_RDWR) == EACCES);
	CHECK(!fchown(fd, 1000, -1));
	CHECK(try_region(&edu, "bar0", O_RDWR) == 0);
	CHECK(try_region(&edu, "config", O_RDONLY) == EACCES);
	CHECK(!fchown(edu.node, 1000, -1));
	CHECK(try_region(&edu, "config", O_RDONLY) == 0);
	CHECK(log_count("the permission bits of the buffer or region are for others") >= 1);
	close(fd);
	pci_unbind(&edu);
}
