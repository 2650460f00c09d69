/* SPDX-License-Identifier: GPL-2.0 */
/* devfs_dma - what the files of this room share of a buffer. */
#ifndef DEVFS_DMA_BUFFER_OBJECT_H
#define DEVFS_DMA_BUFFER_OBJECT_H

#include "core/buffer.h"
#include "core/client.h"

/* buffer.c */
bool devfs_buffer_unlist(struct devfs_buffer *buf, struct devfs_client *by);
int devfs_buffer_set_lease(struct devfs_buffer *buf, u32 kind, u32 owner);
bool devfs_buffer_expire(struct devfs_device *dev, u64 id, struct devfs_lease *lease);
void devfs_buffer_evict(struct devfs_inode *base);

/* detach.c */
int devfs_buffer_attach(struct devfs_buffer *buf);
void devfs_buffer_leave(struct devfs_buffer *buf);
void devfs_buffer_revoke(struct work_struct *work);

/* lease.c */
struct devfs_lease *devfs_lease_new(struct devfs_device *dev, u64 id, struct pid *pid);
void devfs_lease_start(struct devfs_lease *lease);
void devfs_lease_end(struct devfs_lease *lease);

/* file.c */
extern const struct devfs_inode_kind devfs_buffer_kind;
ssize_t devfs_buffer_rw(struct kiocb *iocb, struct iov_iter *iter, bool write);

/* ioctl.c */
long devfs_buffer_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif /* DEVFS_DMA_BUFFER_OBJECT_H */
