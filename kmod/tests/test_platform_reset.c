// SPDX-License-Identifier: GPL-2.0
/* A platform device with reset lines: the node `engine` of Tests/VM/arm64.dtsi. */
#include "tests/importer/importer.h"
#include "tests/pci.h"

#include <poll.h>

#define ENGINE "4000000.engine"
#define LINES (1 << 3 | 1 << 5)

static int lines = -1;

static int engine(void)
{
	int fd;

	if (access("/proc/device-tree/reset-lines", F_OK))
		check_skip("this guest has no device tree");
	if (lines < 0)
		lines = open("/dev/devfs_importer", O_RDWR | O_CLOEXEC);
	CHECK(lines >= 0);
	if (ioctl(lines, IMPORTER_RESETS) < 0)
		check_skip("this kernel has no reset lines");
	fd = open("/dev/devfs/engine", O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

static int asserted(void)
{
	return ioctl(lines, IMPORTER_RESETS) & 0xff;
}

/* How often both were. */
static int resets(void)
{
	return ioctl(lines, IMPORTER_RESETS) >> 8;
}

/* The device's only source has its only event. */
static void was_told(int fd, uint32_t what)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct devfs_dma_event event;

	CHECK(poll(&p, 1, 10000) == 1);
	CHECK(read(fd, &event, sizeof(event)) == sizeof(event) && event.flags == what);
}

TEST(lines_reset, "RESET asserts a platform device's lines and lets go of them, as binding does")
{
	int fd = engine(), region = node_open_region(fd, "reg0", O_RDWR), before = resets();
	volatile uint32_t *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, 0);
	uint32_t value = read32(region, 0);

	CHECK(device_info(fd).flags & DEVFS_DMA_INFO_RESET);
	CHECK(map != MAP_FAILED && *map == value);
	CHECK(before >= 2 && !asserted());
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_RESET));
	CHECK(resets() == before + 2 && !asserted());
	was_told(fd, DEVFS_DMA_EVENT_RESET);
	CHECK(*map == value && read32(region, 0) == value);
}

TEST(lines_held, "a platform device that is unbound is held in reset until it is bound again")
{
	int fd = engine(), before = resets();

	set_bound(ENGINE, false);
	CHECK(asserted() == LINES && resets() == before + 2);
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_RESET), ENODEV);
	set_bound(ENGINE, true);
	CHECK(!asserted() && resets() == before + 4);
	close(fd);
}

/* Whose lines they are refuses to sleep, once the device sleeps that has them. */
static void falls_asleep_and_wakes(void)
{
	int fd = open("/sys/power/state", O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	REFUSES(write(fd, "freeze", 6), EBUSY);
	close(fd);
}

TEST(lines_fail, "a device that does not come back from its reset does not answer, until another reset")
{
	int fd = engine(), region = node_open_region(fd, "reg0", O_RDWR);
	volatile char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, 0);
	uint32_t value;

	CHECK(map != MAP_FAILED && !is_zapped(map));
	CHECK(!ioctl(lines, IMPORTER_RESETS_FAIL));
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_RESET), EIO);
	was_told(fd, DEVFS_DMA_EVENT_RESET);
	REFUSES(pread(region, &value, 4, 0), EIO);
	CHECK(is_zapped(map) && asserted() == LINES);
	/* Having slept is no reset. */
	falls_asleep_and_wakes();
	was_told(fd, DEVFS_DMA_EVENT_POWER);
	REFUSES(pread(region, &value, 4, 0), EIO);
	CHECK(is_zapped(map));
	CHECK(!ioctl(lines, IMPORTER_RESETS_WORK));
	CHECK(!ioctl(fd, DEVFS_DMA_IOC_RESET));
	was_told(fd, DEVFS_DMA_EVENT_RESET);
	CHECK(!is_zapped(map) && pread(region, &value, 4, 0) == 4);
}

TEST(lines_sleep, "a platform device's registers come back after a suspension, and it is told")
{
	int fd = engine(), region = node_open_region(fd, "reg0", O_RDWR);
	volatile char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, region, 0);
	uint32_t value;

	CHECK(map != MAP_FAILED && !is_zapped(map));
	falls_asleep_and_wakes();
	was_told(fd, DEVFS_DMA_EVENT_POWER);
	CHECK(!is_zapped(map) && pread(region, &value, 4, 0) == 4);
}
