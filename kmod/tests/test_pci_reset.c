// SPDX-License-Identifier: GPL-2.0
/*
 * A device that is reset, or without power. The fourth edu and the third ivshmem
 * are behind bridges of their own, which reset them; the first edu has no reset.
 * QEMU's edu keeps its registers in a reset, the ivshmem's begin anew.
 */
#include "tests/pci.h"

#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

/* Of an ivshmem: any value can be written, and is zero after a reset. */
#define INTR_MASK 0

static struct pci_device bind_edu(void)
{
	return pci_bind(EDU, 3);
}

static struct pci_device bind_memory(void)
{
	return pci_bind(IVSHMEM, 2);
}

static int reset(const struct pci_device *device)
{
	return ioctl(device->node, DEVFS_DMA_IOC_RESET);
}

/* What befell a device so far. */
static struct devfs_dma_signal errors(int node)
{
	struct devfs_dma_signal arg = { .op = DEVFS_DMA_SIGNAL_NEXT };

	do {
		uint32_t source = arg.source;

		memset(&arg, 0, sizeof(arg));
		arg.op = DEVFS_DMA_SIGNAL_NEXT;
		arg.source = source;
		CHECK(!ioctl(node, DEVFS_DMA_IOC_SIGNAL_CTL, &arg));
		arg.source++;
	} while (strcmp(arg.name, "error"));
	arg.source--;
	return arg;
}

static struct devfs_dma_event next_event(int node)
{
	struct pollfd p = { .fd = node, .events = POLLIN };
	struct devfs_dma_event event;

	CHECK(poll(&p, 1, 20000) == 1);
	CHECK(read(node, &event, sizeof(event)) == sizeof(event));
	return event;
}

static bool is_error(struct devfs_dma_event event, uint32_t source, uint32_t what)
{
	return event.source == source && event.flags == what;
}

static void raise_and_acknowledge(const struct pci_device *edu, int bar)
{
	write32(bar, EDU_IRQ_RAISE, 2);
	CHECK(next_event(edu->node).source == 0);
	write32(bar, EDU_IRQ_ACK, read32(bar, EDU_IRQ_STATUS));
}

static int set(const struct pci_device *device, uint32_t source, uint32_t flags)
{
	struct devfs_dma_signal arg = {
		.op = DEVFS_DMA_SIGNAL_SET, .source = source, .flags = flags,
	};

	return ioctl(device->node, DEVFS_DMA_IOC_SIGNAL_CTL, &arg);
}

TEST(cleared, "RESET clears the registers, and keeps regions, mappings and memory")
{
	struct pci_device memory = bind_memory();
	int registers = pci_open_region(&memory, "bar0", O_RDWR);
	int region = pci_open_region(&memory, "bar2", O_RDWR);
	uint32_t *map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
	struct devfs_dma_signal before = errors(memory.node);

	CHECK(device_info(memory.node).flags & DEVFS_DMA_INFO_RESET);
	CHECK(before.kind == DEVFS_DMA_SIGNAL_INTERRUPT && before.flags == DEVFS_DMA_SIGNAL_ENABLED);
	CHECK(map != MAP_FAILED && !before.count && !before.told);
	map[100] = 0x1234;
	write32(registers, INTR_MASK, 5);
	CHECK(read32(registers, INTR_MASK) == 5);
	CHECK(!reset(&memory));
	CHECK(read32(registers, INTR_MASK) == 0);
	CHECK(map[100] == 0x1234 && read32(region, 400) == 0x1234);
	map[101] = 0x5678;
	CHECK(read32(region, 404) == 0x5678);
	CHECK(is_error(next_event(memory.node), before.source, DEVFS_DMA_EVENT_RESET));
	CHECK(errors(memory.node).count == 1);
	CHECK(errors(memory.node).told == DEVFS_DMA_EVENT_RESET);
	munmap(map, MIB);
	close(region);
	close(registers);
	pci_unbind(&memory);
}

TEST(bind, "binding resets a device, whoever had it before")
{
	struct pci_device memory = bind_memory();
	char path[128];
	uint32_t *map;
	int fd;

	pci_unbind(&memory);
	CHECK(!pci_write(&memory, "enable", "1"));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", memory.address);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	map[INTR_MASK] = 7;
	CHECK(map[INTR_MASK] == 7);
	munmap(map, PAGE);
	close(fd);
	CHECK(!pci_write(&memory, "enable", "0"));
	memory = bind_memory();
	fd = pci_open_region(&memory, "bar0", O_RDWR);
	CHECK(read32(fd, INTR_MASK) == 0);
	/* That one is told to nobody. */
	CHECK(!errors(memory.node).count);
	close(fd);
	pci_unbind(&memory);
}

TEST(works_on, "interrupts and transfers work after a RESET")
{
	struct pci_device edu = bind_edu();
	struct devfs_dma_alloc arg = request("x", PAGE, DEVFS_DMA_HEAP_CONTIGUOUS);
	int bar = pci_open_region(&edu, "bar0", O_RDWR);
	uint32_t source = errors(edu.node).source;
	struct devfs_dma_buf_info info;
	char bytes[100];

	CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_ALLOC, &arg));
	info = buffer_info(arg.fd);
	CHECK(info.flags & DEVFS_DMA_BUF_DMA_ADDR);
	raise_and_acknowledge(&edu, bar);
	CHECK(!reset(&edu));
	CHECK(is_error(next_event(edu.node), source, DEVFS_DMA_EVENT_RESET));
	raise_and_acknowledge(&edu, bar);
	fill(bytes, sizeof(bytes), 1);
	CHECK(pwrite(arg.fd, bytes, sizeof(bytes), 0) == sizeof(bytes));
	edu_transfer(&edu, bar, info.dma_addr, sizeof(bytes), EDU_TO_DEVICE);
	edu_transfer(&edu, bar, info.dma_addr + 1000, sizeof(bytes), EDU_FROM_DEVICE);
	CHECK(pread(arg.fd, bytes, sizeof(bytes), 1000) == sizeof(bytes));
	CHECK(filled(bytes, sizeof(bytes), 1));
	close(arg.fd);
	close(bar);
	pci_unbind(&edu);
}

static void parameter(const char *text)
{
	int fd = open("/sys/module/devfs_dma/parameters/msi", O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

TEST(line, "a line is masked or not after a RESET as it was before")
{
	struct pci_device edu;
	uint32_t source;
	int bar;

	parameter("0");
	edu = bind_edu();
	parameter("1");
	if (!(device_info(edu.node).flags & DEVFS_DMA_INFO_INTX)) {
		pci_unbind(&edu);
		check_skip("its line is not connected");
	}
	bar = pci_open_region(&edu, "bar0", O_RDWR);
	source = errors(edu.node).source;
	CHECK(!reset(&edu));
	CHECK(is_error(next_event(edu.node), source, DEVFS_DMA_EVENT_RESET));
	raise_and_acknowledge(&edu, bar);
	/* Its event masked it. */
	CHECK(!reset(&edu));
	CHECK(is_error(next_event(edu.node), source, DEVFS_DMA_EVENT_RESET));
	write32(bar, EDU_IRQ_RAISE, 2);
	STAYS(50, poll(&(struct pollfd){ .fd = edu.node, .events = POLLIN }, 1, 0) == 0);
	CHECK(!set(&edu, 0, DEVFS_DMA_SIGNAL_ENABLED));
	CHECK(next_event(edu.node).source == 0);
	write32(bar, EDU_IRQ_ACK, read32(bar, EDU_IRQ_STATUS));
	close(bar);
	pci_unbind(&edu);
}

TEST(refused, "RESET is refused of who cannot write, and of what has no reset")
{
	struct pci_device memory = bind_memory(), edu = pci_bind(EDU, 0);
	struct devfs_dma_signal arg = { .op = DEVFS_DMA_SIGNAL_CREATE, .name = "error" };
	int reader = pci_open(&memory, O_RDONLY);

	REFUSES(ioctl(reader, DEVFS_DMA_IOC_RESET), EACCES);
	REFUSES(reset(&edu), EOPNOTSUPP);
	CHECK(!(device_info(edu.node).flags & DEVFS_DMA_INFO_RESET));
	REFUSES(ioctl(node(), DEVFS_DMA_IOC_RESET), EOPNOTSUPP);
	CHECK(!errors(memory.node).count && !errors(edu.node).count);
	REFUSES(ioctl(memory.node, DEVFS_DMA_IOC_SIGNAL_CTL, &arg), EEXIST);
	memset(&arg, 0, sizeof(arg));
	arg.op = DEVFS_DMA_SIGNAL_REMOVE;
	arg.source = errors(memory.node).source;
	REFUSES(ioctl(memory.node, DEVFS_DMA_IOC_SIGNAL_CTL, &arg), EPERM);
	arg.op = DEVFS_DMA_SIGNAL_TRIGGER;
	REFUSES(ioctl(memory.node, DEVFS_DMA_IOC_SIGNAL_CTL, &arg), EINVAL);
	/* It can be silenced as all others; what is not told is missed. */
	CHECK(!set(&memory, arg.source, 0));
	CHECK(!reset(&memory));
	CHECK(!errors(memory.node).count && errors(memory.node).missed == 1);
	close(reader);
	pci_unbind(&memory);
	pci_unbind(&edu);
}

TEST(others, "a reset by others is an event, too")
{
	struct pci_device edu = bind_edu();
	uint32_t source = errors(edu.node).source;
	int bar = pci_open_region(&edu, "bar0", O_RDWR);

	CHECK(!pci_write(&edu, "reset", "1"));
	CHECK(is_error(next_event(edu.node), source, DEVFS_DMA_EVENT_RESET));
	raise_and_acknowledge(&edu, bar);
	close(bar);
	pci_unbind(&edu);
}

static atomic_bool ended;
static atomic_uint turns;
static volatile uint32_t *mapped;
static int watched_region, watched_config;

static void *uses(void *arg)
{
	(void)arg;
	/* A signal would end the test. */
	while (!ended) {
		CHECK(read32(watched_region, EDU_ID) == 0x010000ed);
		CHECK(read32(watched_config, 0) == 0x11e81234);
		CHECK(mapped[EDU_ID / 4] == 0x010000ed);
		atomic_fetch_add(&turns, 1);
	}
	return NULL;
}

TEST(used, "who uses a device while it is reset waits, and reads what it says")
{
	struct pci_device edu = bind_edu();
	pthread_t threads[2];
	unsigned int before;

	watched_region = pci_open_region(&edu, "bar0", O_RDWR);
	watched_config = pci_open_region(&edu, "config", O_RDONLY);
	mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, watched_region, 0);
	CHECK(mapped != MAP_FAILED);
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, uses, NULL));
	for (int i = 0; i < 4; i++) {
		before = atomic_load(&turns);
		EVENTUALLY(atomic_load(&turns) > before + 10);
		CHECK(!reset(&edu));
	}
	ended = true;
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(errors(edu.node).count == 4);
	munmap((void *)mapped, PAGE);
	close(watched_region);
	close(watched_config);
	pci_unbind(&edu);
}

static void *resets(void *arg)
{
	int fd = *(int *)arg;

	while (!ioctl(fd, DEVFS_DMA_IOC_RESET) || errno == EAGAIN)
		atomic_fetch_add(&turns, 1);
	CHECK(errno == ENODEV);
	return NULL;
}

TEST(race, "a device may be unbound while it is reset")
{
	for (int i = 0; i < 4; i++) {
		struct pci_device edu = bind_edu();
		int fd = dup(edu.node);
		pthread_t threads[2];
		unsigned int before;

		for (int j = 0; j < 2; j++)
			CHECK(!pthread_create(&threads[j], NULL, resets, &fd));
		before = atomic_load(&turns);
		/* At once, and in the midst of one. */
		EVENTUALLY(atomic_load(&turns) >= before + i);
		pci_unbind(&edu);
		for (int j = 0; j < 2; j++)
			CHECK(!pthread_join(threads[j], NULL));
		close(fd);
	}
}

static int in_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), done;

	if (fd < 0)
		return -1;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return done;
}

/* drivers/pci/pcie/aer_inject.c */
struct aer_error {
	uint8_t bus, device, function;
	uint32_t uncorrectable, correctable;
	uint32_t header[4];
	uint32_t domain;
};

/* The device fails, as the kernel is made to believe. */
static void inject(const struct pci_device *device, uint32_t uncorrectable)
{
	struct aer_error error = { .uncorrectable = uncorrectable };
	unsigned int domain, bus, number, function;
	int fd = open("/dev/aer_inject", O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(sscanf(device->address, "%x:%x:%x.%x", &domain, &bus, &number, &function) == 4);
	error.domain = domain;
	error.bus = bus;
	error.device = number;
	error.function = function;
	CHECK(write(fd, &error, sizeof(error)) == sizeof(error));
	close(fd);
}

/* Of virtio's common configuration: what its driver has done so far. */
#define DEVICE_STATUS 0x14

static uint8_t status_of(int bar)
{
	uint8_t status;

	CHECK(pread(bar, &status, 1, DEVICE_STATUS) == 1);
	return status;
}

static void set_status(int bar, uint8_t status)
{
	CHECK(pwrite(bar, &status, 1, DEVICE_STATUS) == 1);
	CHECK(status_of(bar) == status);
}

/* Both are the kernel's until then, and of one group. */
static void bind_functions(struct pci_device functions[2])
{
	bool before = pci_set_unsafe(true);

	for (int i = 0; i < 2; i++)
		functions[i] = pci_bind(0x1af4, 0x1044, i);
	pci_set_unsafe(before);
}

TEST(fails, "a device that fails is reset where its link stopped, and works on")
{
	struct pci_device rng, functions[2];
	uint32_t source;
	int bar;

	if (access("/dev/aer_inject", W_OK))
		check_skip("nothing makes devices fail here");
	/*
	 * Behind a port that has to do with errors. A function whose driver has not is the end
	 * of all the others.
	 */
	bind_functions(functions);
	rng = functions[0];
	source = errors(rng.node).source;
	bar = pci_open_region(&rng, "bar4", O_RDWR);
	CHECK(bar >= 0);
	set_status(bar, 1);
	inject(&rng, PCI_ERR_UNC_COMP_TIME);
	CHECK(is_error(next_event(rng.node), source, DEVFS_DMA_EVENT_AER));
	CHECK(status_of(bar) == 1);
	inject(&rng, PCI_ERR_UNC_DLP);
	CHECK(is_error(next_event(rng.node), source, DEVFS_DMA_EVENT_AER));
	CHECK(is_error(next_event(rng.node), source, DEVFS_DMA_EVENT_RESET));
	CHECK(status_of(bar) == 0);
	set_status(bar, 1);
	CHECK(errors(rng.node).count == 3 && !reset(&rng));
	CHECK(status_of(bar) == 0);
	close(bar);
	pci_unbind(&functions[1]);
	pci_unbind(&rng);
}

static void is_reset_with_its_sibling(const struct pci_device *rng, int bar)
{
	uint32_t source = errors(rng->node).source;

	CHECK(is_error(next_event(rng->node), source, DEVFS_DMA_EVENT_AER));
	CHECK(is_error(next_event(rng->node), source, DEVFS_DMA_EVENT_RESET));
	CHECK(status_of(bar) == 0);
	set_status(bar, 1);
	CHECK(errors(rng->node).count == 2);
}

TEST(siblings, "what is reset with the function that failed is told, and works on as that does")
{
	struct pci_device rngs[2];
	int bars[2];

	if (access("/dev/aer_inject", W_OK))
		check_skip("nothing makes devices fail here");
	bind_functions(rngs);
	for (int i = 0; i < 2; i++) {
		bars[i] = pci_open_region(&rngs[i], "bar4", O_RDWR);
		set_status(bars[i], 1);
	}
	inject(&rngs[1], PCI_ERR_UNC_DLP);
	for (int i = 0; i < 2; i++)
		is_reset_with_its_sibling(&rngs[i], bars[i]);
	for (int i = 0; i < 2; i++) {
		close(bars[i]);
		pci_unbind(&rngs[i]);
	}
}

static bool sleeps_deeply(void)
{
	FILE *file = fopen("/sys/power/mem_sleep", "re");
	char line[80] = "";
	bool deep;

	if (!file)
		return false;
	deep = fgets(line, sizeof(line), file) && strstr(line, "[deep]");
	fclose(file);
	return deep;
}

TEST(suspend, "after a suspension regions, interrupts and transfers work, and it is told")
{
	struct pci_device edu, memory;
	struct devfs_dma_alloc arg = request("x", PAGE, DEVFS_DMA_HEAP_COHERENT);
	volatile uint32_t *map;
	uint32_t source, other;
	int bar, registers;

	if (!sleeps_deeply())
		check_skip("the machine does not switch its devices off");
	if (!access("/sys/devices/virtual/iommu/dmar0", F_OK))
		check_skip("QEMU's Q35 does not power off once it slept");
	if (in_file("/sys/class/rtc/rtc0/wakealarm", "0") ||
	    in_file("/sys/class/rtc/rtc0/wakealarm", "+3"))
		check_skip("no clock that wakes the machine");
	memory = bind_memory();
	registers = pci_open_region(&memory, "bar0", O_RDWR);
	write32(registers, INTR_MASK, 5);
	other = errors(memory.node).source;
	edu = bind_edu();
	bar = pci_open_region(&edu, "bar0", O_RDWR);
	source = errors(edu.node).source;
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, bar, 0);
	CHECK(map != MAP_FAILED && map[EDU_ID / 4] == 0x010000ed);
	CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_ALLOC, &arg));
	CHECK(!in_file("/sys/power/state", "mem"));
	CHECK(is_error(next_event(edu.node), source, DEVFS_DMA_EVENT_POWER));
	CHECK(is_error(next_event(memory.node), other, DEVFS_DMA_EVENT_POWER));
	CHECK(read32(registers, INTR_MASK) == 0);
	CHECK(map[EDU_ID / 4] == 0x010000ed && read32(bar, EDU_ID) == 0x010000ed);
	raise_and_acknowledge(&edu, bar);
	edu_transfer(&edu, bar, buffer_info(arg.fd).dma_addr, 100, EDU_FROM_DEVICE);
	/* The console comes back in the midst of a line. */
	CHECK(!in_file("/dev/console", "\n"));
	munmap((void *)map, PAGE);
	close(arg.fd);
	close(bar);
	close(registers);
	pci_unbind(&edu);
	pci_unbind(&memory);
}
