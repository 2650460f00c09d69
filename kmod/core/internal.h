/* SPDX-License-Identifier: GPL-2.0 */
/*
 * devfs_dma - what the module's files share.
 *
 * Lock order, outermost first:
 *
 *   devfs_device.gate         shared by commands of the node, which use the
 *                             device, and never waited for: removal has it
 *    inode->i_rwsem           a buffer's size and memory. Shared: read, write
 *                             in place, sync. Exclusive: grow, shrink.
 *     mmap_lock               taken by page faults while data is copied
 *     devfs_buffer.sync_lock  of imported memory, as below; its exporter is called
 *                             with it held, and takes what it likes of what follows
 *      dma_buf.resv           of a dma-buf that is exported or imported; its
 *                             exporter takes memory back with it held
 *      devfs_buffer.sync_lock of memory of our own that needs syncs: what the CPU
 *                             writes and its sync for the devices are one. Page
 *                             faults are off in its holder, who waits for no user.
 *      mapping->invalidate_lock
 *                             pages and segments, against faults, mmap, info
 *     devfs_device.lock       names and ids of buffers and sources;
 *                             nothing is copied to or from users under it
 *      devfs_irq.lock         (irq-safe) whether an interrupt is masked
 *       devfs_device.events.lock
 *                             (irq-safe) sources, listeners, records
 *
 * A region's invalidate_lock keeps it mapped for the kernel; nothing is copied
 * to or from users under it.
 *
 * An inode is never put with devfs_device.lock held: evict takes it.
 *
 * A device is removed in this order: the gate makes it dead, so that nothing
 * new comes; sources end; then each buffer, in detach.c. Whoever
 * uses a buffer's memory or its bus addresses has i_rwsem or invalidate_lock
 * and looks at `dead` first.
 */
#ifndef DEVFS_DMA_INTERNAL_H
#define DEVFS_DMA_INTERNAL_H

#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/rhashtable.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "uapi/devfs_dma.h"

struct dma_buf;
struct devfs_irq;
struct devfs_lease;
struct devfs_region;
struct devfs_source;

/* Two files of six BARs and the configuration space, and some to spare. */
#define DEVFS_REGIONS_MAX 16

/* What happened on a device: the sources and the latest events of all of them. */
struct devfs_events {
	spinlock_t lock;		/* all of it */
	struct devfs_source *sources[DEVFS_DMA_MAX_SOURCES];
	unsigned int count;
	struct devfs_dma_event *ring;
	u64 next_seq;			/* of the next record; the first is 1 */
	wait_queue_head_t wait;
	struct fasync_struct *fasync;
};

/* One device below /dev/devfs. */
struct devfs_device {
	struct kref ref;
	struct miscdevice misc;
	struct device *dev;		/* whom buffers are mapped for */
	char name[DEVFS_DMA_NAME_SIZE];
	char node[DEVFS_DMA_NAME_SIZE + 8];
	u32 info_flags;			/* DEVFS_DMA_INFO_* of the bus, from the start */
	bool registered;		/* it has a node */
	atomic_t told;			/* a bus address, to somebody */
	struct rw_semaphore gate;
	bool dead;			/* for ever, once set with the gate */

	struct mutex lock;		/* names, ids, attached, to the blank line */
	struct list_head reserved;	/* its ranges; the list stays while it has a node */
	struct rhashtable by_name;
	struct xarray by_id;
	unsigned int buffers;
	u64 name_changes;		/* of buffers, by whomever */
	struct list_head attached;	/* buffers that have memory for the device */
	struct devfs_region *regions[DEVFS_REGIONS_MAX];
	unsigned int region_count;

	wait_queue_head_t detached;	/* one of them left, or an importer of one */

	atomic64_t next_id;		/* of buffers; serials, too */

	atomic64_t used;
	atomic64_t heap_used[DEVFS_DMA_HEAPS];
	atomic_t heap_buffers[DEVFS_DMA_HEAPS];
	atomic64_t bounced;

	struct devfs_events events;
};

/* One open node. */
struct devfs_client {
	struct devfs_device *dev;
	struct mutex lock;		/* one reader at a time */
	u64 name_changes;		/* that it made itself: devfs_device.lock */
	u64 position;			/* seq of the next record: events.lock */
	u64 subscribed;			/* bit n: source n */
	bool lost;
};

/* Who is told of an event: an eventfd or a process. */
struct devfs_listener {
	struct list_head entry;
	struct devfs_client *client;
	struct eventfd_ctx *eventfd;
	struct pid *pid;
	const struct cred *cred;
	bool may_kill;			/* CAP_KILL at registration */
	int signo;
	u64 value;
};

/* What makes events: id is its place in devfs_events.sources. */
struct devfs_source {
	struct devfs_device *dev;
	u32 id;
	u64 serial;			/* ids are used again, this is not */
	char name[DEVFS_DMA_NAME_SIZE];
	u32 kind;
	u32 flags;
	u64 period_ns;
	u64 count;
	u64 missed;
	u64 last_ns;
	u64 history[DEVFS_DMA_HISTORY];
	struct list_head listeners;
	unsigned int listener_count;
	struct hrtimer timer;
	struct work_struct announce;
	struct devfs_irq *irq;		/* of an interrupt */
};

/* Memory that was allocated and mapped at once; its addresses never change. */
struct devfs_segment {
	struct sg_table sgt;
	size_t first;			/* index of its first page */
	size_t npages;
	enum dma_data_direction direction;	/* in which it is mapped */
	bool need_sync;
};

/* Another driver's device, for which a dma-buf of the buffer may be mapped. */
struct devfs_attachment {
	struct list_head entry;
	struct device *dev;
	struct sg_table sgt;
	size_t size;
	enum dma_data_direction mapped;	/* DMA_NONE: it is not */
	bool need_sync;
};

/* What every inode of the module's pseudo-fs begins with. */
struct devfs_inode {
	struct inode inode;
	bool pins_module;
	struct devfs_device *dev;
};

/* One buffer: an inode of the module's pseudo-fs. */
struct devfs_buffer {
	struct devfs_inode base;
	struct list_head attached;	/* devfs_device.lock */

	/* Names: devfs_device.lock. */
	struct rhash_head by_name;
	char name[DEVFS_DMA_NAME_SIZE];
	u64 id;
	bool listed;
	u32 lease_kind;
	struct pid *owner;
	struct devfs_lease *lease;

	u32 heap;
	u32 direction;
	u64 created_ns;

	/* Memory: changed with both i_rwsem and invalidate_lock, read with either. */
	bool detached;			/* nothing is mapped for the device any more */
	bool need_sync;			/* some of it, for its own device */
	size_t capacity;
	struct page **pages;		/* NULL for coherent and imported memory */
	size_t npages;
	size_t pages_room;
	unsigned int offset;		/* of the first byte in the first page */
	struct devfs_segment **segments;
	unsigned int nsegments;
	unsigned int segments_room;
	void *vaddr;			/* of coherent, reserved and imported memory */
	dma_addr_t dma_addr;		/* of coherent and reserved memory */
	phys_addr_t phys;		/* of reserved memory */
	struct mm_struct *mm;		/* charged for pinned memory */
	struct dma_buf_attachment *attach;
	struct sg_table *import_sgt;	/* as the exporter gave it */
	void __iomem *iomem;		/* of imported device memory that is not ours */
	bool readonly;			/* imported by a descriptor that cannot write */
	bool pinned;			/* its exporter was asked not to move it */
	bool revoked;			/* its exporter took it back: dma_buf.resv */
	struct work_struct revoke;

	struct rw_semaphore sync_lock;
	struct list_head attachments;	/* of its dma-bufs: sync_lock */

	atomic_t opens;
	atomic_t mappings;
	atomic_t exports;
	atomic_t importers;		/* attachments and kernel mappings of its dma-bufs */
	atomic64_t sync_cpu;
	atomic64_t sync_device;
	u32 sync_owner;
};

/* How a region is reached: one access of @width bytes at @offset. */
struct devfs_region_ops {
	unsigned int widest;
	u64 (*read)(struct devfs_region *region, size_t offset, unsigned int width);
	void (*write)(struct devfs_region *region, size_t offset, unsigned int width, u64 value);
	/* What it takes to write there, where the open file is not enough. */
	int (*may_write)(struct devfs_region *region, struct file *file, size_t offset,
			 size_t length);
};

/* What a stretch of device memory, ports or registers is. */
struct devfs_region_setup {
	char name[DEVFS_DMA_NAME_SIZE];
	const struct devfs_region_ops *ops;
	u32 flags;			/* DEVFS_DMA_REGION_* */
	resource_size_t start;		/* CPU address, or first port */
	size_t size;
	size_t guard_start;		/* the MSI-X table: not mapped, not written */
	size_t guard_end;
};

/* The stretch as a file. */
struct devfs_region {
	struct devfs_inode base;
	struct devfs_region_setup is;
	struct devfs_region *twin;	/* the same memory by another kind of mapping */

	/* base.inode.i_mapping->invalidate_lock, exclusively to change: */
	void __iomem *mapped;		/* while it is open */
	unsigned int opens;		/* devfs_device.lock, too */
	bool gone;

	struct list_head exports;	/* devfs_device.lock */
	atomic_t importers;		/* devices for which its dma-bufs are mapped */
};

static inline struct devfs_region *devfs_region_of(struct inode *inode)
{
	return container_of(inode, struct devfs_region, base.inode);
}

static inline struct devfs_buffer *devfs_buffer_of(struct inode *inode)
{
	return container_of(inode, struct devfs_buffer, base.inode);
}

/* One bus range, mapped once, never synced. */
static inline bool devfs_is_coherent(struct devfs_buffer *buf)
{
	return buf->heap == DEVFS_DMA_HEAP_COHERENT || buf->heap == DEVFS_DMA_HEAP_RESERVED;
}

/* Whether an access takes a sync_lock: with i_rwsem held, within which no export begins. */
static inline bool devfs_is_synced(struct devfs_buffer *buf)
{
	return !devfs_is_coherent(buf) &&
	       (buf->attach || buf->need_sync || atomic_read(&buf->exports));
}

/* Imported memory of a device, which has no pages and is not for memcpy(). */
static inline bool devfs_is_iomem(struct devfs_buffer *buf)
{
	return buf->heap == DEVFS_DMA_HEAP_IMPORTED && !buf->vaddr;
}

/* Pinned memory whose first or last cache line may be someone else's, too. */
static inline bool devfs_is_bounced(struct devfs_buffer *buf)
{
	return buf->heap == DEVFS_DMA_HEAP_USER && (buf->offset || !PAGE_ALIGNED(buf->capacity));
}

static inline bool devfs_dead(struct devfs_device *dev)
{
	return READ_ONCE(dev->dead);
}

/* Its memory is out of reach for ever: the device is gone, or the exporter took it back. */
static inline bool devfs_buffer_dead(struct devfs_buffer *buf)
{
	return devfs_dead(buf->base.dev) || READ_ONCE(buf->revoked);
}

/* main.c */
extern unsigned long devfs_limit_bytes;
extern unsigned int devfs_max_buffers;
extern char *devfs_event_helper;
extern struct workqueue_struct *devfs_workqueue;

/* device.c */
bool devfs_is_translated(struct device *dev);
bool devfs_is_ram(phys_addr_t start, resource_size_t size);
void devfs_tell_address(struct devfs_device *dev);
struct devfs_device *devfs_device_new(struct device *parent, const char *name);
int devfs_device_register(struct devfs_device *dev);
void devfs_device_remove(struct devfs_device *dev);
void devfs_device_get(struct devfs_device *dev);
void devfs_device_put(struct devfs_device *dev);

/* detach.c */
int devfs_buffer_attach(struct devfs_buffer *buf);
void devfs_buffer_leave(struct devfs_buffer *buf);
void devfs_buffers_detach(struct devfs_device *dev);
void devfs_buffer_revoke(struct work_struct *work);
int devfs_lock(struct devfs_buffer *buf);
int devfs_lock_shared(struct devfs_buffer *buf);

/* node.c */
extern const struct file_operations devfs_node_fops;

/* platform.c */
int devfs_platform_init(void);
void devfs_platform_exit(void);

/* pseudofs.c */
int devfs_pseudofs_init(void);
void devfs_pseudofs_exit(void);
struct devfs_buffer *devfs_buffer_inode(struct devfs_device *dev);
struct devfs_region *devfs_region_inode(struct devfs_device *dev);
struct file *devfs_inode_open(struct inode *inode, unsigned int flags);
long devfs_hand_out(struct file *file, u32 fd_flags, __s32 *fd, void __user *user,
		    const void *arg, size_t size);

/* buffer.c */
bool devfs_name_valid(const char *name);
int devfs_registry_init(struct devfs_device *dev);
void devfs_registry_exit(struct devfs_device *dev);
int devfs_buffer_create(struct devfs_client *client, struct devfs_dma_alloc *arg,
			int (*fill)(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why),
			void *ctx, int (*report)(void *ctx), void *report_ctx);
int devfs_buffer_preset(struct devfs_device *dev, const char *name, u64 size, u32 heap,
			u32 direction);
int devfs_buffer_open(struct devfs_device *dev, struct devfs_dma_open *arg,
		      struct file **file);
int devfs_buffer_free(struct devfs_client *client, u64 id);
bool devfs_buffer_unlist(struct devfs_buffer *buf, struct devfs_client *by);
struct devfs_buffer *devfs_buffer_get(struct devfs_device *dev, u64 id);
int devfs_buffer_set_lease(struct devfs_buffer *buf, u32 kind, u32 owner);
void devfs_buffer_evict(struct devfs_buffer *buf);

/* rename.c */
int devfs_buffer_rename(struct devfs_buffer *buf, const char *name, u32 flags,
			struct devfs_client *by);

/* info.c */
void devfs_buffer_info(struct devfs_buffer *buf, struct devfs_dma_buf_info *info);
int devfs_buffer_list(struct devfs_device *dev, struct devfs_dma_list *arg);

/* lease.c */
struct devfs_lease *devfs_lease_new(struct devfs_device *dev, u64 id, struct pid *pid);
void devfs_lease_start(struct devfs_lease *lease);
void devfs_lease_end(struct devfs_lease *lease);
bool devfs_buffer_expire(struct devfs_device *dev, u64 id, struct devfs_lease *lease);

/* file.c */
bool devfs_map_read_only(struct vm_area_struct *vma);
extern const struct file_operations devfs_buffer_fops;
extern const struct inode_operations devfs_buffer_iops;
ssize_t devfs_copy(struct devfs_buffer *buf, size_t pos, size_t count, struct iov_iter *iter,
		   bool write);
ssize_t devfs_buffer_rw(struct devfs_buffer *buf, struct kiocb *iocb,
			struct iov_iter *iter, bool write);

/* bufctl.c */
long devfs_buffer_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* heap.c */
int devfs_heap_named(const char *name);
bool devfs_heap_exists(struct devfs_device *dev, u32 heap);
u64 devfs_heap_room(struct devfs_device *dev);
void devfs_heap_info(struct devfs_device *dev, struct devfs_dma_heap *info);
int devfs_heap_alloc(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why);
int devfs_heap_grow(struct devfs_buffer *buf, size_t size, u32 *why);
void devfs_heap_shrink(struct devfs_buffer *buf, size_t size);
void devfs_heap_detach(struct devfs_buffer *buf);
void devfs_heap_release(struct devfs_buffer *buf);
void *devfs_heap_run(struct devfs_buffer *buf, size_t pos, size_t max, size_t *len);
int devfs_heap_zero(struct devfs_buffer *buf, size_t from, size_t to);
int devfs_charge(struct devfs_device *dev, u32 heap, size_t bytes);
void devfs_uncharge(struct devfs_device *dev, u32 heap, size_t bytes);

int devfs_map_segment(struct devfs_buffer *buf, struct devfs_segment *segment,
		      struct page **pages, unsigned int offset, size_t size);
void devfs_unmap_segment(struct devfs_buffer *buf, struct devfs_segment *segment);

/* reserved.c */
int devfs_reserved_add(struct devfs_device *dev, phys_addr_t start, resource_size_t size);
void devfs_reserved_end(struct devfs_device *dev);
void devfs_reserved_info(struct devfs_device *dev, struct devfs_dma_heap *info);
int devfs_reserved_alloc(struct devfs_buffer *buf, size_t size, u32 *why);
void devfs_reserved_free(struct devfs_buffer *buf);
/* region.c */
extern const struct devfs_region_ops devfs_memory_ops;
extern const struct devfs_region_ops devfs_port_ops;
u32 devfs_memory_flags(resource_size_t start, resource_size_t size);
struct devfs_region *devfs_region_add(struct devfs_device *dev,
				      const struct devfs_region_setup *is);
void devfs_regions_end(struct devfs_device *dev);
long devfs_get_region(struct devfs_device *dev, void __user *user);
long devfs_open_region(struct devfs_device *dev, struct file *node, void __user *user);
int devfs_region_open(struct inode *inode, struct file *file);
int devfs_region_release(struct inode *inode, struct file *file);

/* regionfile.c */
extern const struct file_operations devfs_region_fops;
extern const struct inode_operations devfs_region_iops;
int devfs_region_access(struct devfs_region *region, size_t pos, void *data, size_t count,
			bool write);

/* regionexport.c */
long devfs_region_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
void devfs_region_revoke(struct devfs_region *region);
bool devfs_is_region_dmabuf(struct dma_buf *dmabuf);
int devfs_region_dmabuf_access(struct dma_buf *dmabuf, size_t pos, void *data, size_t count,
			       bool write);

/* irq.c */
struct devfs_irq_ops {
	/* Whether the device asks for attention, and masks it then. Any context. */
	bool (*mask_pending)(struct device *dev);
	void (*mask)(struct device *dev, bool masked);
};

int devfs_irq_add(struct devfs_device *dev, const char *name, unsigned int nr,
		  const struct devfs_irq_ops *ops, bool level);
int devfs_irq_set(struct devfs_irq *irq, u32 flags);
void devfs_irqs_end(struct devfs_device *dev);

/* pci.c and config.c */
extern const struct devfs_region_ops devfs_config_ops;
#ifdef CONFIG_PCI
int devfs_pci_init(void);
void devfs_pci_exit(void);
#else
static inline int devfs_pci_init(void) { return 0; }
static inline void devfs_pci_exit(void) { }
#endif

/* How long importers have to let go of memory of a device that is removed. */
#define DEVFS_IMPORTERS_WAIT (5 * HZ)

/* export.c */
int devfs_export_check(struct file *file, u32 fd_flags);
long devfs_buffer_export(struct file *file, void __user *user);
struct devfs_buffer *devfs_import_of(struct devfs_buffer *buf);
int devfs_lock_exported(struct devfs_buffer *buf);

/* import.c */
int devfs_pin(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why);
void devfs_unpin(struct devfs_buffer *buf);
int devfs_import(struct devfs_buffer *buf, u64 size, void *ctx, u32 *why);
void devfs_unimport(struct devfs_buffer *buf);
int devfs_import_begin(struct devfs_buffer *buf, enum dma_data_direction direction);
int devfs_import_end(struct devfs_buffer *buf, enum dma_data_direction direction);
int devfs_import_flush(struct devfs_buffer *buf, enum dma_data_direction direction);
int devfs_import_mmap(struct devfs_buffer *buf, struct vm_area_struct *vma);

/* iomem.c */
ssize_t devfs_iomem_copy(struct devfs_buffer *buf, size_t pos, size_t count,
			 struct iov_iter *iter, bool write);
int devfs_iomem_zero(struct devfs_buffer *buf, size_t from, size_t to);

/* sync.c */
struct devfs_access {
	struct devfs_buffer *buf;	/* whose memory it is */
	struct devfs_attachment *by;	/* of the import by which it is reached, or NULL */
	size_t pos;
	bool write;
	bool synced;			/* sync_lock is held */
	bool shared;
};

unsigned int devfs_max_range(struct device *dev);
bool devfs_is_copied(struct device *dev);
int devfs_map_shared(struct device *dev, struct sg_table *sgt, enum dma_data_direction *direction,
		     bool *need_sync);
void devfs_unmap_shared(struct device *dev, struct sg_table *sgt,
			enum dma_data_direction direction, bool need_sync);
void devfs_sync_shared(struct device *dev, struct sg_table *sgt,
		       enum dma_data_direction direction, size_t from, size_t to, bool cpu);
void devfs_sync_lock(struct devfs_buffer *buf);
size_t devfs_access_step(struct devfs_buffer *buf, size_t left);
int devfs_access_begin(struct devfs_access *access, struct devfs_buffer *buf, size_t pos,
		       size_t count, bool write);
int devfs_access_end(struct devfs_access *access, size_t done);
int devfs_sync(struct devfs_buffer *buf, size_t offset, size_t length,
	       enum dma_data_direction direction, u32 what);
void devfs_sync_export(struct devfs_buffer *buf, size_t size, enum dma_data_direction direction,
		       bool cpu, bool alive);
unsigned int devfs_sg_count(struct devfs_buffer *buf);
bool devfs_dma_addr(struct devfs_buffer *buf, u64 *addr);
bool devfs_phys_addr(struct devfs_buffer *buf, u64 *addr);

/* event.c */
int devfs_events_init(struct devfs_device *dev);
void devfs_events_end(struct devfs_device *dev);
void devfs_events_exit(struct devfs_device *dev);
void devfs_source_fire(struct devfs_source *source, u64 missed);
void devfs_source_fire_mark(struct devfs_source *source, u64 missed, u32 clear, u32 set);
void devfs_source_mark(struct devfs_source *source, u32 clear, u32 set);
struct devfs_source *devfs_source_add_irq(struct devfs_device *dev, const char *name,
					  struct devfs_irq *irq, u32 flags);
long devfs_signal_ctl(struct devfs_device *dev, void __user *user);
long devfs_signal_history(struct devfs_device *dev, void __user *user);
struct devfs_source *devfs_source_find(struct devfs_device *dev, u32 id);

/* record.c */
#define DEVFS_RECORDS 1024
void devfs_record(struct devfs_events *events, struct devfs_source *source);
void devfs_client_start(struct devfs_client *client, u64 sources);
long devfs_subscribe(struct devfs_client *client, void __user *user);
ssize_t devfs_node_read(struct file *file, char __user *to, size_t size, loff_t *pos);
__poll_t devfs_node_poll(struct file *file, struct poll_table_struct *table);
int devfs_node_fasync(int fd, struct file *file, int on);

/* listener.c */
#define DEVFS_LISTENERS_MAX 64
enum devfs_take { DEVFS_TAKE_ALL, DEVFS_TAKE_EVENTFDS, DEVFS_TAKE_PROCESS };
void devfs_listeners_tell(struct list_head *listeners, unsigned int *count);
void devfs_listeners_take(struct list_head *listeners, unsigned int *count,
			  struct devfs_client *client, enum devfs_take what, struct pid *pid,
			  struct list_head *taken);
void devfs_listeners_free(struct list_head *taken);
long devfs_set_eventfd(struct devfs_client *client, void __user *user);
long devfs_signal_notify(struct devfs_client *client, void __user *user);
void devfs_client_end(struct devfs_client *client);

#endif /* DEVFS_DMA_INTERNAL_H */
