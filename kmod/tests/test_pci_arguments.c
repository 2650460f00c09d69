// SPDX-License-Identifier: GPL-2.0
/* As test_arguments.c, for the commands that need a device with regions. */
#include "tests/pci.h"

/* Each byte of the field, set, is EINVAL. */
#define ZERO(fd, name, arg, field) \
	do { \
		for (size_t i_ = 0; i_ < sizeof((arg).field); i_++) { \
			((char *)&(arg).field)[i_] = 1; \
			REFUSES(ioctl(fd, DEVFS_DMA_IOC_##name, &(arg)), EINVAL); \
			((char *)&(arg).field)[i_] = 0; \
		} \
	} while (0)

#define UNWRITABLE(fd, name, arg) \
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_##name, read_only_page(&(arg), sizeof(arg))), EFAULT)

TEST(region_pointers, "commands of regions are EFAULT for arguments that fault, and leave nothing")
{
	struct pci_device edu = pci_bind(EDU, 0);
	struct devfs_dma_region about = {};
	struct devfs_dma_open_region arg = { .fd_flags = O_RDWR };
	unsigned int before;
	int fd;

	fd = pci_open_region(&edu, "bar0", O_RDWR);
	before = descriptors();
	REFUSES(ioctl(edu.node, DEVFS_DMA_IOC_GET_REGION, nowhere()), EFAULT);
	REFUSES(ioctl(edu.node, DEVFS_DMA_IOC_OPEN_REGION, nowhere()), EFAULT);
	REFUSES(ioctl(fd, DEVFS_DMA_IOC_REGION_EXPORT, nowhere()), EFAULT);
	UNWRITABLE(edu.node, GET_REGION, about);
	UNWRITABLE(edu.node, OPEN_REGION, arg);
	CHECK(descriptors() == before);
	close(fd);
	pci_unbind(&edu);
}

TEST(region_fields, "fields of commands of regions that must be zero are EINVAL otherwise")
{
	struct pci_device edu = pci_bind(EDU, 0);
	struct devfs_dma_region about = {};
	struct devfs_dma_open_region arg = { .fd_flags = O_RDWR };
	struct devfs_dma_region_export export = { .size = PAGE, .fd_flags = O_RDWR };
	int fd = pci_open_region(&edu, "bar0", O_RDWR);

	ZERO(edu.node, GET_REGION, about, flags);
	ZERO(edu.node, GET_REGION, about, reserved);
	CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_GET_REGION, &about));
	ZERO(edu.node, OPEN_REGION, arg, pad);
	ZERO(edu.node, OPEN_REGION, arg, reserved);
	CHECK(!ioctl(edu.node, DEVFS_DMA_IOC_OPEN_REGION, &arg));
	close(arg.fd);
	ZERO(fd, REGION_EXPORT, export, reserved);
	if (ioctl(fd, DEVFS_DMA_IOC_REGION_EXPORT, &export))
		CHECK(errno == EOPNOTSUPP);
	else
		close(export.fd);
	close(fd);
	pci_unbind(&edu);
}
