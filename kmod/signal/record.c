// SPDX-License-Identifier: GPL-2.0
/*
 * devfs_dma - events as records: what reading and polling the node gives.
 *
 * The latest DEVFS_RECORDS records of a device are kept; each open node has
 * its own position among them.
 */
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/uaccess.h>

#include "core/command.h"
#include "signal/source.h"

/* Records that go to the user in one piece. */
#define DEVFS_BATCH 16

/* With events.lock held. */
void devfs_record(struct devfs_events *events, struct devfs_source *source)
{
	struct devfs_dma_event *record = &events->ring[events->next_seq % DEVFS_RECORDS];

	record->seq = events->next_seq++;
	record->count = source->count;
	record->missed = source->missed;
	record->timestamp_ns = source->last_ns;
	record->source = source->id;
	record->flags = source->told;
}

void devfs_client_start(struct devfs_client *client, u64 sources)
{
	struct devfs_events *events = client->dev->events;

	spin_lock_irq(&events->lock);
	client->position = events->next_seq;
	client->subscribed = sources;
	client->lost = false;
	spin_unlock_irq(&events->lock);
}

long devfs_subscribe(struct devfs_call *call)
{
	devfs_client_start(call->file->private_data, call->arg.subscribe.sources);
	return 0;
}

/* Moves on to the next record the client wants; NULL if there is none yet. */
static struct devfs_dma_event *devfs_next_record(struct devfs_client *client)
{
	struct devfs_events *events = client->dev->events;

	lockdep_assert_held(&events->lock);
	if (events->next_seq - client->position > DEVFS_RECORDS) {
		client->position = events->next_seq - DEVFS_RECORDS;
		client->lost = true;
	}
	for (; client->position != events->next_seq; client->position++) {
		struct devfs_dma_event *record = &events->ring[client->position % DEVFS_RECORDS];

		if (client->subscribed & BIT_ULL(record->source))
			return record;
	}
	return NULL;
}

static bool devfs_has_record(struct devfs_client *client)
{
	bool has;

	spin_lock_irq(&client->dev->events->lock);
	has = devfs_next_record(client);
	spin_unlock_irq(&client->dev->events->lock);
	return has;
}

/* Up to @room records; *position is where the client stands after them. */
static unsigned int devfs_peek(struct devfs_client *client, struct devfs_dma_event *to,
			       unsigned int room, u64 *position)
{
	struct devfs_events *events = client->dev->events;
	struct devfs_dma_event *record;
	unsigned int count = 0;
	u64 start;

	spin_lock_irq(&events->lock);
	record = devfs_next_record(client);
	start = client->position;
	while (record && count < room) {
		to[count] = *record;
		if (!count && client->lost)
			to[count].flags |= DEVFS_DMA_EVENT_LOST;
		count++;
		client->position++;
		record = devfs_next_record(client);
	}
	*position = client->position;
	/* They count as read only once the user has them. */
	client->position = start;
	spin_unlock_irq(&events->lock);
	return count;
}

static void devfs_consume(struct devfs_client *client, u64 position)
{
	spin_lock_irq(&client->dev->events->lock);
	client->position = max(client->position, position);
	client->lost = false;
	spin_unlock_irq(&client->dev->events->lock);
}

static ssize_t devfs_read_records(struct devfs_client *client, char __user *to, size_t size)
{
	struct devfs_dma_event records[DEVFS_BATCH];
	ssize_t done = 0;

	while (size - done >= sizeof(records[0])) {
		size_t room = min_t(size_t, (size - done) / sizeof(records[0]), DEVFS_BATCH);
		u64 position;
		unsigned int count = devfs_peek(client, records, room, &position);

		if (!count)
			break;
		if (copy_to_user(to + done, records, count * sizeof(records[0])))
			return done ?: -EFAULT;
		devfs_consume(client, position);
		done += count * sizeof(records[0]);
	}
	return done;
}

ssize_t devfs_node_read(struct file *file, char __user *to, size_t size, loff_t *pos)
{
	struct devfs_client *client = file->private_data;
	struct devfs_device *dev = client->dev;
	ssize_t done;

	if (size < sizeof(struct devfs_dma_event))
		return -EINVAL;
	for (;;) {
		if (devfs_dead(dev))
			return -ENODEV;
		if (mutex_lock_interruptible(&client->lock))
			return -ERESTARTSYS;
		done = devfs_read_records(client, to, size);
		mutex_unlock(&client->lock);
		if (done)
			return done;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(dev->events->wait,
					     devfs_has_record(client) || devfs_dead(dev)))
			return -ERESTARTSYS;
	}
}

__poll_t devfs_node_poll(struct file *file, struct poll_table_struct *table)
{
	struct devfs_client *client = file->private_data;

	poll_wait(file, &client->dev->events->wait, table);
	if (devfs_dead(client->dev))
		return EPOLLERR | EPOLLHUP;
	return devfs_has_record(client) ? EPOLLIN | EPOLLRDNORM : 0;
}

int devfs_node_fasync(int fd, struct file *file, int on)
{
	struct devfs_client *client = file->private_data;

	return fasync_helper(fd, file, on, &client->dev->events->fasync);
}
