/* SPDX-License-Identifier: GPL-2.0 */
/* PCI devices of the guest, bound to the module by way of sysfs. */
#ifndef TESTS_PCI_H
#define TESTS_PCI_H

#include "tests/libcheck.h"

struct pci_device {
	char address[16];	/* 0000:00:10.0 */
	int node;		/* of devfs_dma, open for reading and writing */
};

/* The @nth device of this vendor and device id, bound anew; a skip where there is none. */
struct pci_device pci_bind(unsigned int vendor, unsigned int device, unsigned int nth);
void pci_unbind(struct pci_device *device);

/* Opens the node of a device that is bound; -1 and errno. */
int pci_open(const struct pci_device *device, int flags);

/* Writes to a sysfs file of the device: 0, or -1 and errno. */
int pci_write(const struct pci_device *device, const char *file, const char *text);

/* Lets devices be bound that no IOMMU confines, or not; returns whether it was so. */
bool pci_set_unsafe(bool may);

/* The region of that name of a device's node, or the test fails. */
struct devfs_dma_region node_region(int node, const char *name);
int node_open_region(int node, const char *name, int flags);
struct devfs_dma_region pci_region(const struct pci_device *device, const char *name);
int pci_open_region(const struct pci_device *device, const char *name, int flags);

uint32_t read32(int fd, uint64_t offset);
void write32(int fd, uint64_t offset, uint32_t value);
void write64(int fd, uint64_t offset, uint64_t value);

/* The test device of QEMU with a DMA engine, an interrupt and a factorial. */
#define EDU 0x1234, 0x11e8
#define EDU_ID		0x00
#define EDU_LIVENESS	0x04
#define EDU_FACTORIAL	0x08
#define EDU_STATUS	0x20
#define EDU_IRQ_STATUS	0x24
#define EDU_IRQ_RAISE	0x60
#define EDU_IRQ_ACK	0x64
#define EDU_DMA_SOURCE	0x80
#define EDU_DMA_TARGET	0x88
#define EDU_DMA_COUNT	0x90
#define EDU_DMA_COMMAND	0x98
#define EDU_DMA_BUFFER	0x40000
#define EDU_TO_DEVICE	1
#define EDU_FROM_DEVICE	3

/* One transfer, the end of which is waited for by its interrupt. */
void edu_transfer(const struct pci_device *edu, int bar, uint64_t address, uint64_t count,
		  uint64_t command);

#define TESTDEV	0x1b36, 0x0005	/* counts accesses of the right width */
#define IVSHMEM	0x1af4, 0x1110	/* bar2 is memory */
#define NVME	0x1b36, 0x0010	/* MSI-X */
#define RNG	0x1af4, 0x1005	/* vendor-specific capabilities */

#endif
