// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - the configuration space of a PCI device as a region.
 *
 * Reading is free. What may be written is a list of what is the device's own:
 * the error bits of the status register and the bodies of vendor-specific
 * capabilities. All else is the kernel's.
 */
#include <linux/capability.h>
#include <linux/pci.h>

#include "region/object.h"

/* Bytes before the body of a vendor-specific capability, its length included. */
#define DEVFS_VNDR_HEADER 3
#define DEVFS_VSEC_HEADER (PCI_VNDR_HEADER + 4)

static struct pci_dev *devfs_region_pdev(struct devfs_region *region)
{
	return to_pci_dev(region->base.dev->dev);
}

/* Through the calls that wait while the device is being reset. */
static u64 devfs_config_read(struct devfs_region *region, size_t offset, unsigned int width)
{
	struct pci_dev *pdev = devfs_region_pdev(region);
	u32 dword = ~0;
	u16 word = ~0;
	u8 byte = ~0;

	/* Where it fails, the value is all ones, as on the bus. */
	switch (width) {
	case 1:
		pci_user_read_config_byte(pdev, offset, &byte);
		return byte;
	case 2:
		pci_user_read_config_word(pdev, offset, &word);
		return word;
	default:
		pci_user_read_config_dword(pdev, offset, &dword);
		return dword;
	}
}

static void devfs_config_write(struct devfs_region *region, size_t offset, unsigned int width,
			       u64 value)
{
	struct pci_dev *pdev = devfs_region_pdev(region);

	switch (width) {
	case 1:
		pci_user_write_config_byte(pdev, offset, value);
		break;
	case 2:
		pci_user_write_config_word(pdev, offset, value);
		break;
	default:
		pci_user_write_config_dword(pdev, offset, value);
	}
}

static bool devfs_within(size_t offset, size_t length, size_t start, size_t end)
{
	return offset >= start && offset < end && length <= end - offset;
}

static bool devfs_in_vendor_capability(struct pci_dev *pdev, size_t offset, size_t length)
{
	int at;
	u32 header;
	u8 size;

	for (at = pci_find_capability(pdev, PCI_CAP_ID_VNDR); at;
	     at = pci_find_next_capability(pdev, at, PCI_CAP_ID_VNDR)) {
		if (pci_read_config_byte(pdev, at + PCI_CAP_FLAGS, &size))
			break;
		if (devfs_within(offset, length, at + DEVFS_VNDR_HEADER,
				 min_t(size_t, at + size, PCI_CFG_SPACE_SIZE)))
			return true;
	}
	for (at = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_VNDR); at;
	     at = pci_find_next_ext_capability(pdev, at, PCI_EXT_CAP_ID_VNDR)) {
		if (pci_read_config_dword(pdev, at + PCI_VNDR_HEADER, &header))
			break;
		if (devfs_within(offset, length, at + DEVFS_VSEC_HEADER,
				 min_t(size_t, at + PCI_VNDR_HEADER_LEN(header), pdev->cfg_size)))
			return true;
	}
	return false;
}

static int devfs_config_may_write(struct devfs_region *region, struct file *file, size_t offset,
				  size_t length)
{
	struct pci_dev *pdev = devfs_region_pdev(region);

	/* Who opened it counts, not who was handed the descriptor. */
	if (!file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN))
		return -EPERM;
	if (devfs_within(offset, length, PCI_STATUS, PCI_STATUS + sizeof(u16)))
		return 0;
	return devfs_in_vendor_capability(pdev, offset, length) ? 0 : -EPERM;
}

const struct devfs_region_ops devfs_config_ops = {
	.widest		= sizeof(u32),
	.read		= devfs_config_read,
	.write		= devfs_config_write,
	.may_write	= devfs_config_may_write,
};
