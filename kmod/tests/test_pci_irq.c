// SPDX-License-Identifier: GPL-2.0
/* Interrupts of real devices, those of QEMU, as signal sources. */
#include "tests/pci.h"

#include <poll.h>
#include <sys/eventfd.h>

#define PARAMETERS "/sys/module/devfs_dma/parameters/"

static int control(const struct pci_device *device, struct devfs_dma_signal *arg)
{
	return ioctl(device->node, DEVFS_DMA_IOC_SIGNAL_CTL, arg);
}

static struct devfs_dma_signal state(const struct pci_device *device, uint32_t source)
{
	struct devfs_dma_signal arg = { .op = DEVFS_DMA_SIGNAL_GET, .source = source };

	CHECK(!control(device, &arg));
	return arg;
}

static int set(const struct pci_device *device, uint32_t flags)
{
	struct devfs_dma_signal arg = { .op = DEVFS_DMA_SIGNAL_SET, .flags = flags };

	return control(device, &arg);
}

static void parameter(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* An edu with its line instead of MSI. */
static struct pci_device bind_line(unsigned int nth)
{
	struct pci_device device;

	parameter(PARAMETERS "msi", "0");
	device = pci_bind(EDU, nth);
	parameter(PARAMETERS "msi", "1");
	return device;
}

static uint32_t info_flags(const struct pci_device *device)
{
	return device_info(device->node).flags & (DEVFS_DMA_INFO_MSIX | DEVFS_DMA_INFO_MSI | DEVFS_DMA_INFO_INTX);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && p.revents == POLLIN;
}

/* Asks for an interrupt, and sees to one: any bit will do. */
static void raise_bit(int bar)
{
	write32(bar, EDU_IRQ_RAISE, 2);
}

static void acknowledge(int bar)
{
	write32(bar, EDU_IRQ_ACK, read32(bar, EDU_IRQ_STATUS));
}

/* Milliseconds after which no interrupt is on its way. */
#define SETTLED 50

TEST(msi, "an MSI is an event: for readers, eventfds and the count")
{
	struct pci_device edu = pci_bind(EDU, 0);
	int bar = pci_open_region(&edu, "bar0", O_RDWR);
	struct devfs_dma_eventfd arg = { .fd = eventfd(0, EFD_NONBLOCK) };
	struct devfs_dma_signal irq = state(&edu, 0);
	struct devfs_dma_event event;
	uint64_t value;

	CHECK(info_flags(&edu) == DEVFS_DMA_INFO_MSI);
	CHECK(!strcmp(irq.name, "irq0") && irq.kind == DEVFS_DMA_SIGNAL_INTERRUPT);
	CHECK(irq.flags == DEVFS_DMA_SIGNAL_ENABLED && irq.count == 0);
	CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_SET_EVENTFD, &arg));
	for (uint64_t i = 1; i <= 3; i++) {
		raise_bit(bar);
		CHECK(read(edu.node, &event, sizeof(event)) == sizeof(event));
		CHECK(event.source == 0 && event.count == i && event.missed == 0);
		CHECK(read32(bar, EDU_IRQ_STATUS) == 2);
		acknowledge(bar);
		CHECK(read(arg.fd, &value, 8) == 8 && value == 1);
		/* An edge does not come again by itself. */
		CHECK(state(&edu, 0).flags == DEVFS_DMA_SIGNAL_ENABLED);
	}
	/* The device's own doing: the factorial's end. */
	write32(bar, EDU_STATUS, 0x80);
	write32(bar, EDU_FACTORIAL, 5);
	CHECK(read(edu.node, &event, sizeof(event)) == sizeof(event) && event.count == 4);
	CHECK(read32(bar, EDU_IRQ_STATUS) == 1 && read32(bar, EDU_FACTORIAL) == 120);
	acknowledge(bar);
	write32(bar, EDU_STATUS, 0);
	close(bar);
	pci_unbind(&edu);
}

TEST(masking, "a masked MSI makes no event, and one after it is unmasked")
{
	struct pci_device edu = pci_bind(EDU, 0);
	int bar = pci_open_region(&edu, "bar0", O_RDWR);
	struct devfs_dma_event event;

	for (int i = 0; i < 3; i++)
		CHECK(!set(&edu, 0));
	raise_bit(bar);
	acknowledge(bar);
	raise_bit(bar);
	acknowledge(bar);
	STAYS(SETTLED, !readable(edu.node) && !state(&edu, 0).flags && !state(&edu, 0).count);
	for (int i = 0; i < 3; i++)
		CHECK(!set(&edu, DEVFS_DMA_SIGNAL_ENABLED));
	CHECK(read(edu.node, &event, sizeof(event)) == sizeof(event) && event.count == 1);
	STAYS(SETTLED, !readable(edu.node));
	raise_bit(bar);
	CHECK(read(edu.node, &event, sizeof(event)) == sizeof(event) && event.count == 2);
	acknowledge(bar);
	close(bar);
	pci_unbind(&edu);
}

TEST(refusals, "an interrupt is neither made, removed nor triggered by hand")
{
	struct pci_device edu = pci_bind(EDU, 0);
	struct devfs_dma_signal arg = { .op = DEVFS_DMA_SIGNAL_REMOVE };

	REFUSES(control(&edu, &arg), EPERM);
	arg.op = DEVFS_DMA_SIGNAL_TRIGGER;
	REFUSES(control(&edu, &arg), EINVAL);
	REFUSES(set(&edu, DEVFS_DMA_SIGNAL_AUTOMASK), EINVAL);
	REFUSES(set(&edu, DEVFS_DMA_SIGNAL_STORM), EINVAL);
	arg = (struct devfs_dma_signal){ .op = DEVFS_DMA_SIGNAL_SET, .period_ns = 1000000 };
	REFUSES(control(&edu, &arg), EINVAL);
	arg = (struct devfs_dma_signal){ .op = DEVFS_DMA_SIGNAL_CREATE, .name = "mine",
					 .kind = DEVFS_DMA_SIGNAL_INTERRUPT };
	REFUSES(control(&edu, &arg), EINVAL);
	arg.kind = DEVFS_DMA_SIGNAL_SOFTWARE;
	strcpy(arg.name, "irq0");
	REFUSES(control(&edu, &arg), EEXIST);
	pci_unbind(&edu);
}

TEST(line, "a line is masked by its event until it is enabled again")
{
	struct pci_device edu = bind_line(0);
	int bar = pci_open_region(&edu, "bar0", O_RDWR);
	const uint32_t flags = DEVFS_DMA_SIGNAL_ENABLED | DEVFS_DMA_SIGNAL_AUTOMASK;
	struct devfs_dma_event event;

	CHECK(info_flags(&edu) == DEVFS_DMA_INFO_INTX);
	CHECK(state(&edu, 0).flags == flags);
	raise_bit(bar);
	CHECK(read(edu.node, &event, sizeof(event)) == sizeof(event) && event.count == 1);
	EVENTUALLY(state(&edu, 0).flags == DEVFS_DMA_SIGNAL_AUTOMASK);
	STAYS(SETTLED, !readable(edu.node) && state(&edu, 0).count == 1);
	/* Seen to: enabling brings nothing. */
	acknowledge(bar);
	CHECK(!set(&edu, DEVFS_DMA_SIGNAL_ENABLED));
	STAYS(SETTLED, !readable(edu.node) && state(&edu, 0).flags == flags);
	/* Not seen to: it is there at once. */
	raise_bit(bar);
	CHECK(read(edu.node, &event, sizeof(event)) == sizeof(event) && event.count == 2);
	CHECK(!set(&edu, DEVFS_DMA_SIGNAL_ENABLED));
	CHECK(read(edu.node, &event, sizeof(event)) == sizeof(event) && event.count == 3);
	/* Masked by hand it makes none, until it is unmasked. */
	acknowledge(bar);
	CHECK(!set(&edu, DEVFS_DMA_SIGNAL_ENABLED) && !set(&edu, 0));
	raise_bit(bar);
	STAYS(SETTLED, !readable(edu.node));
	CHECK(!set(&edu, DEVFS_DMA_SIGNAL_ENABLED));
	CHECK(read(edu.node, &event, sizeof(event)) == sizeof(event) && event.count == 4);
	CHECK(event.missed == 0);
	acknowledge(bar);
	close(bar);
	pci_unbind(&edu);
}

TEST(shared, "devices that share a line each have their own events")
{
	struct pci_device first = bind_line(0), second = bind_line(1);
	int one = pci_open_region(&first, "bar0", O_RDWR);
	int two = pci_open_region(&second, "bar0", O_RDWR);
	struct devfs_dma_event event;

	raise_bit(one);
	CHECK(read(first.node, &event, sizeof(event)) == sizeof(event) && event.count == 1);
	EVENTUALLY(!(state(&first, 0).flags & DEVFS_DMA_SIGNAL_ENABLED));
	/* The first stays masked and asserted while the second has its own. */
	raise_bit(two);
	CHECK(read(second.node, &event, sizeof(event)) == sizeof(event) && event.count == 1);
	STAYS(SETTLED, !readable(first.node) && !readable(second.node) &&
	      state(&first, 0).count == 1 && state(&second, 0).count == 1);
	acknowledge(one);
	acknowledge(two);
	close(one);
	close(two);
	pci_unbind(&second);
	pci_unbind(&first);
}

TEST(msix, "MSI-X has a source a vector, at most 32")
{
	struct pci_device nvme = pci_bind(NVME, 0);
	struct devfs_dma_info info;
	char name[16];

	CHECK(info_flags(&nvme) == DEVFS_DMA_INFO_MSIX);
	CHECK(!ioctl(nvme.node, DEVFS_DMA_IOC_GET_INFO, &info) && info.sources == 33);
	CHECK(!strcmp(state(&nvme, 32).name, "error"));
	for (uint32_t i = 0; i < 32; i++) {
		snprintf(name, sizeof(name), "irq%u", i);
		CHECK(!strcmp(state(&nvme, i).name, name));
		CHECK(state(&nvme, i).flags == DEVFS_DMA_SIGNAL_ENABLED);
	}
	pci_unbind(&nvme);
}

TEST(storm, "MSIs that come too fast are masked until they are enabled again")
{
	struct pci_device edu = pci_bind(EDU, 0);
	int bar = pci_open_region(&edu, "bar0", O_RDWR);
	struct devfs_dma_event event;
	uint64_t count;

	parameter(PARAMETERS "irq_storm", "4");
	for (int i = 0; i < 2000 && state(&edu, 0).flags & DEVFS_DMA_SIGNAL_ENABLED; i++)
		raise_bit(bar);
	EVENTUALLY(state(&edu, 0).flags == DEVFS_DMA_SIGNAL_STORM);
	count = state(&edu, 0).count;
	CHECK(count >= 5);
	for (int i = 0; i < 10; i++)
		raise_bit(bar);
	STAYS(SETTLED, state(&edu, 0).count == count);
	/* The last record says so, and none before it. */
	while (readable(edu.node)) {
		CHECK(read(edu.node, &event, sizeof(event)) == sizeof(event));
		CHECK(!!(event.flags & DEVFS_DMA_EVENT_STORM) == (event.count == count));
	}
	CHECK(event.count == count);

	parameter(PARAMETERS "irq_storm", "100000");
	CHECK(!set(&edu, DEVFS_DMA_SIGNAL_ENABLED));
	CHECK(state(&edu, 0).flags == DEVFS_DMA_SIGNAL_ENABLED);
	/* The ones that were masked are one. */
	CHECK(read(edu.node, &event, sizeof(event)) == sizeof(event) && event.count == count + 1);
	raise_bit(bar);
	CHECK(read(edu.node, &event, sizeof(event)) == sizeof(event) && event.count == count + 2);
	acknowledge(bar);
	close(bar);
	pci_unbind(&edu);
}

TEST(screaming, "a line that nobody sees to storms no longer than it may")
{
	struct pci_device edu = bind_line(0);
	int bar = pci_open_region(&edu, "bar0", O_RDWR);
	uint64_t count;

	parameter(PARAMETERS "irq_storm", "4");
	raise_bit(bar);
	/* A program that enables it without seeing to it. */
	for (int i = 0; i < 2000 && !(state(&edu, 0).flags & DEVFS_DMA_SIGNAL_STORM); i++) {
		CHECK(!set(&edu, DEVFS_DMA_SIGNAL_ENABLED));
		EVENTUALLY(!(state(&edu, 0).flags & DEVFS_DMA_SIGNAL_ENABLED));
	}
	parameter(PARAMETERS "irq_storm", "100000");
	CHECK(state(&edu, 0).flags == (DEVFS_DMA_SIGNAL_STORM | DEVFS_DMA_SIGNAL_AUTOMASK));
	count = state(&edu, 0).count;
	STAYS(SETTLED, count >= 5 && state(&edu, 0).count == count);
	acknowledge(bar);
	CHECK(!set(&edu, DEVFS_DMA_SIGNAL_ENABLED));
	CHECK(state(&edu, 0).flags == (DEVFS_DMA_SIGNAL_ENABLED | DEVFS_DMA_SIGNAL_AUTOMASK));
	close(bar);
	pci_unbind(&edu);
}

TEST(gone, "an interrupt that is asserted, masked or storming does not outlive its device")
{
	struct pci_device edu;
	int bar;

	for (int round = 0; round < 3; round++) {
		edu = round == 0 ? pci_bind(EDU, 0) : bind_line(0);
		bar = pci_open_region(&edu, "bar0", O_RDWR);
		if (round == 2)
			CHECK(!set(&edu, 0));
		raise_bit(bar);
		close(bar);
		pci_unbind(&edu);
	}
	/* What was left asserted is the next one's, once. */
	edu = bind_line(0);
	bar = pci_open_region(&edu, "bar0", O_RDWR);
	EVENTUALLY(state(&edu, 0).count == 1);
	acknowledge(bar);
	CHECK(!set(&edu, DEVFS_DMA_SIGNAL_ENABLED));
	STAYS(SETTLED, state(&edu, 0).count == 1);
	close(bar);
	pci_unbind(&edu);
}

TEST(waiting, "who waits for an interrupt is woken with ENODEV when the device goes")
{
	struct pci_device edu = pci_bind(EDU, 0);
	struct pollfd p = { .fd = edu.node, .events = POLLIN };
	struct devfs_dma_event event;
	int status, pipes[2];
	pid_t reader, poller;
	char byte;

	CHECK(!pipe(pipes));
	if (!(reader = fork())) {
		CHECK(write(pipes[1], "r", 1) == 1);
		REFUSES(read(edu.node, &event, sizeof(event)), ENODEV);
		_exit(0);
	}
	if (!(poller = fork())) {
		CHECK(write(pipes[1], "p", 1) == 1);
		CHECK(poll(&p, 1, -1) == 1 && p.revents & POLLERR);
		_exit(0);
	}
	CHECK(read(pipes[0], &byte, 1) == 1 && read(pipes[0], &byte, 1) == 1);
	EVENTUALLY(sleeps(reader) && sleeps(poller));
	pci_unbind(&edu);
	CHECK(waitpid(reader, &status, 0) == reader && status == 0);
	CHECK(waitpid(poller, &status, 0) == poller && status == 0);
}
