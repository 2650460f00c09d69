// SPDX-License-Identifier: GPL-2.0
/*
 * Memory shared with drivers that are not ours: vivid captures frames into it, vgem has
 * handles of it and fences on it, udmabuf and a dma-heap give theirs.
 */
#include "tests/libcheck.h"

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

static int sync_dmabuf(int fd, uint64_t flags)
{
	struct dma_buf_sync arg = { flags };

	return ioctl(fd, DMA_BUF_IOCTL_SYNC, &arg);
}

static char *map(int fd, size_t size, off_t offset)
{
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	CHECK(at != MAP_FAILED);
	return at;
}

/* Both directions: by the imported buffer's file, and by a mapping of whose memory it is. */
static void share(int fd, int dmabuf, char *memory, size_t size)
{
	char *data = malloc(size);

	fill(data, size, 1);
	CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
	CHECK(!sync_dmabuf(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW));
	CHECK(filled(memory, size, 1));
	fill(memory, size, 2);
	CHECK(!sync_dmabuf(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW));
	CHECK(pread(fd, data, size, 0) == (ssize_t)size && filled(data, size, 2));
	CHECK(pwrite(fd, "mine", 4, size - 4) == 4);
	CHECK(!sync_dmabuf(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ));
	CHECK(!memcmp(memory + size - 4, "mine", 4) && memory[0] == data[0]);
	CHECK(!sync_dmabuf(dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ));
	free(data);
}

/* What of drm.h and vgem_drm.h is wanted, which not every machine has. */
struct drm_version {
	int version[3];
	size_t name_size;
	char *name;
	size_t date_size;
	char *date;
	size_t text_size;
	char *text;
};

struct drm_handle {
	uint32_t handle, pad;
};

struct drm_prime {
	uint32_t handle, flags;
	int32_t fd;
};

struct drm_dumb {
	uint32_t height, width, bpp, flags, handle, pitch;
	uint64_t size;
};

struct drm_map {
	uint32_t handle, pad;
	uint64_t offset;
};

struct vgem_attach {
	uint32_t handle, flags, fence, pad;
};

struct vgem_signal {
	uint32_t fence, flags;
};

#define DRM_VERSION		_IOWR('d', 0x00, struct drm_version)
#define DRM_GEM_CLOSE		_IOW('d', 0x09, struct drm_handle)
#define DRM_PRIME_HANDLE_TO_FD	_IOWR('d', 0x2d, struct drm_prime)
#define DRM_PRIME_FD_TO_HANDLE	_IOWR('d', 0x2e, struct drm_prime)
#define DRM_CREATE_DUMB		_IOWR('d', 0xb2, struct drm_dumb)
#define DRM_MAP_DUMB		_IOWR('d', 0xb3, struct drm_map)
#define VGEM_ATTACH		_IOWR('d', 0x41, struct vgem_attach)
#define VGEM_SIGNAL		_IOW('d', 0x42, struct vgem_signal)
#define VGEM_WRITES		1

static int vgem_fd = -1;

static int vgem(void)
{
	char name[8] = "";
	struct drm_version version = { .name_size = sizeof(name) - 1, .name = name };

	if (vgem_fd < 0)
		vgem_fd = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
	if (vgem_fd < 0)
		check_skip("vgem is not loaded");
	CHECK(!ioctl(vgem_fd, DRM_VERSION, &version) && !strcmp(name, "vgem"));
	return vgem_fd;
}

static uint32_t vgem_handle(int dmabuf)
{
	struct drm_prime arg = { .fd = dmabuf };

	CHECK(!ioctl(vgem(), DRM_PRIME_FD_TO_HANDLE, &arg));
	return arg.handle;
}

static int vgem_export(uint32_t handle)
{
	struct drm_prime arg = { .handle = handle, .flags = O_RDWR | O_CLOEXEC };

	CHECK(!ioctl(vgem(), DRM_PRIME_HANDLE_TO_FD, &arg));
	return arg.fd;
}

static void vgem_close(uint32_t handle)
{
	struct drm_handle arg = { .handle = handle };

	CHECK(!ioctl(vgem(), DRM_GEM_CLOSE, &arg));
}

/* Memory of vgem's own, of @pages pages. */
static uint32_t vgem_new(size_t pages)
{
	struct drm_dumb arg = { .height = pages, .width = PAGE / 4, .bpp = 32 };

	CHECK(!ioctl(vgem(), DRM_CREATE_DUMB, &arg) && arg.size == pages * PAGE);
	return arg.handle;
}

/* Something that is done with the memory until it is signaled, 10 s at the most. */
static uint32_t vgem_fence(uint32_t handle, uint32_t flags)
{
	struct vgem_attach arg = { .handle = handle, .flags = flags };

	CHECK(!ioctl(vgem(), VGEM_ATTACH, &arg));
	return arg.fence;
}

static void vgem_signal(uint32_t fence)
{
	struct vgem_signal arg = { .fence = fence };

	CHECK(!ioctl(vgem(), VGEM_SIGNAL, &arg));
}

TEST(vgem_imports, "vgem has handles of exported dma-bufs, which keep them")
{
	vgem();
	FOR_EACH_HEAP(heap) {
		size_t size = fitting(200 * PAGE, heap);
		int fd = buffer("x", size, heap), dmabuf = export_buffer(fd, O_RDWR), again;
		uint32_t handle = vgem_handle(dmabuf);
		struct drm_map refused = { .handle = handle };
		struct stat one, other;
		char *memory;

		CHECK(vgem_handle(dmabuf) == handle);
		CHECK(!fstat(dmabuf, &one));
		close(dmabuf);
		CHECK(buffer_info(fd).exports == 1);
		REFUSES(ftruncate(fd, 0), EBUSY);
		again = vgem_export(handle);
		CHECK(!fstat(again, &other) && one.st_ino == other.st_ino);
		memory = map(again, size, 0);
		share(fd, again, memory, size);
		/* DRM's rule, of any that is imported. */
		REFUSES(ioctl(vgem(), DRM_MAP_DUMB, &refused), EINVAL);
		munmap(memory, size);
		close(again);
		vgem_close(handle);
		EVENTUALLY(buffer_info(fd).exports == 0);
		close(fd);
		EVENTUALLY(bytes_used() == 0);
	}
}

TEST(vgem_exports, "memory of vgem's is imported, read and written")
{
	uint32_t handle = vgem_new(4);
	struct drm_map where = { .handle = handle };
	int dmabuf = vgem_export(handle), fd = import_dmabuf("y", dmabuf);
	char *memory;

	CHECK(!ioctl(vgem(), DRM_MAP_DUMB, &where));
	memory = map(vgem(), 4 * PAGE, where.offset);
	share(fd, dmabuf, memory, 4 * PAGE);
	munmap(memory, 4 * PAGE);
	vgem_close(handle);
	close(dmabuf);
	/* The last to have it. */
	CHECK(pwrite(fd, "alone", 5, 0) == 5);
	memory = map(fd, PAGE, 0);
	CHECK(!memcmp(memory, "alone", 5));
	munmap(memory, PAGE);
}

TEST(udmabuf, "pages of a memfd are imported by way of udmabuf, read and written")
{
	struct udmabuf_create create = { .size = 4 * PAGE };
	int device = open("/dev/udmabuf", O_RDWR), dmabuf, fd;
	char *memory;

	if (device < 0)
		check_skip("the kernel has no udmabuf");
	if (!access("/sys/kernel/debug/dma-api", F_OK))
		check_skip("udmabuf maps its pages twice, of which DMA_API_DEBUG warns");
	create.memfd = memfd_create("memory", MFD_ALLOW_SEALING);
	CHECK(!ftruncate(create.memfd, 4 * PAGE) && !fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	memory = map(create.memfd, 4 * PAGE, 0);
	dmabuf = ioctl(device, UDMABUF_CREATE, &create);
	CHECK(dmabuf >= 0);
	fd = import_dmabuf("y", dmabuf);
	share(fd, dmabuf, memory, 4 * PAGE);
}

TEST(dma_heap, "memory of a dma-heap is imported, read and written between its syncs")
{
	/* No longer than a copy of swiotlb's can be. */
	struct dma_heap_allocation_data data = { .len = 16 * PAGE, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDWR);

	if (heap < 0)
		check_skip("the kernel has no dma-heap");
	CHECK(!ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data));
	share(import_dmabuf("y", data.fd), data.fd, map(data.fd, data.len, 0), data.len);
}

#define WIDTH 320
#define HEIGHT 180
#define FRAME (2 * WIDTH * HEIGHT)
#define FRAMES 3
#define POISON 0xa5

/* A camera of vivid's, and the buffers that it fills. */
struct camera {
	int fd;
	int buffers[FRAMES];
	int dmabufs[FRAMES];
};

enum { ANY_MEMORY, ONE_RANGE };

/* The first takes memory wherever it is, the second one range: vivid's parameter allocators. */
static struct camera camera(unsigned int kind)
{
	struct v4l2_format format = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.fmt.pix = { .width = WIDTH, .height = HEIGHT, .pixelformat = V4L2_PIX_FMT_YUYV,
			     .field = V4L2_FIELD_NONE },
	};
	struct v4l2_requestbuffers want = {
		.count = FRAMES, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_DMABUF,
	};
	struct v4l2_capability is;
	struct camera it;
	char path[] = "/dev/videoN";

	path[sizeof(path) - 2] = '0' + kind;
	it.fd = open(path, O_RDWR | O_CLOEXEC);
	if (it.fd < 0)
		check_skip("vivid is not loaded");
	CHECK(!ioctl(it.fd, VIDIOC_QUERYCAP, &is) && !strcmp((char *)is.driver, "vivid"));
	CHECK(is.bus_info[strlen((char *)is.bus_info) - 1] == '0' + (int)kind);
	CHECK(!ioctl(it.fd, VIDIOC_S_FMT, &format) && format.fmt.pix.sizeimage == FRAME);
	CHECK(!ioctl(it.fd, VIDIOC_REQBUFS, &want) && want.count == FRAMES);
	return it;
}

static int queue(struct camera *camera, unsigned int index)
{
	struct v4l2_buffer arg = {
		.index = index, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_DMABUF,
		.m.fd = camera->dmabufs[index], .length = FRAME,
	};

	return ioctl(camera->fd, VIDIOC_QBUF, &arg);
}

/* Gives the camera a buffer that has no part of a frame. */
static void queue_empty(struct camera *camera, unsigned int index)
{
	static unsigned char empty[FRAME];

	memset(empty, POISON, FRAME);
	CHECK(pwrite(camera->buffers[index], empty, FRAME, 0) == FRAME);
	CHECK(!queue(camera, index));
}

/* Vertical bars of colours, below what the camera writes over them: the time among other things. */
static bool is_frame(const unsigned char *frame)
{
	const uint32_t *row = (const uint32_t *)(frame + FRAME - 2 * WIDTH);
	unsigned int colours = 1;

	for (unsigned int i = 1; i < WIDTH / 2; i++)
		colours += row[i] != row[i - 1];
	return colours >= 8 && colours <= 24 && !memcmp(row, frame + FRAME - 4 * WIDTH, 2 * WIDTH) &&
	       row[0] != POISON * 0x01010101U;
}

/* The next frame, as the module's file has it. */
static unsigned int capture(struct camera *camera, unsigned char *frame)
{
	struct v4l2_buffer arg = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_DMABUF,
	};
	struct pollfd ready = { .fd = camera->fd, .events = POLLIN };

	CHECK(poll(&ready, 1, 60000) == 1);
	CHECK(!ioctl(camera->fd, VIDIOC_DQBUF, &arg) && !(arg.flags & V4L2_BUF_FLAG_ERROR));
	CHECK(arg.index < FRAMES && arg.bytesused == FRAME);
	/* vivid stores by a mapping of the kernel's and ends no access. */
	if (bounced())
		CHECK(!sync_dmabuf(camera->dmabufs[arg.index], DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW));
	CHECK(pread(camera->buffers[arg.index], frame, FRAME, 0) == FRAME);
	return arg.index;
}

/* Captures into the camera's buffers, and takes it away from them. */
static void film(struct camera *camera)
{
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	static unsigned char frames[2][FRAME];
	unsigned int index;

	for (index = 0; index < FRAMES; index++) {
		camera->dmabufs[index] = export_buffer(camera->buffers[index], O_RDWR | O_CLOEXEC);
		queue_empty(camera, index);
	}
	CHECK(!ioctl(camera->fd, VIDIOC_STREAMON, &type));
	/* Each buffer comes round again. */
	for (unsigned int i = 0; i < 2 * FRAMES; i++) {
		index = capture(camera, frames[i % 2]);
		CHECK(is_frame(frames[i % 2]));
		CHECK(!i || memcmp(frames[0], frames[1], FRAME));
		CHECK(buffer_info(camera->buffers[index]).exports == 1);
		queue_empty(camera, index);
	}
	/* The camera alone keeps the last one. */
	for (index = 0; index < FRAMES; index++)
		close(camera->dmabufs[index]);
	REFUSES(ftruncate(camera->buffers[0], 0), EBUSY);
	close(camera->fd);
	for (index = 0; index < FRAMES; index++) {
		EVENTUALLY(buffer_info(camera->buffers[index]).exports == 0);
		close(camera->buffers[index]);
	}
	EVENTUALLY(bytes_used() == 0);
}

static void film_heap(unsigned int kind, uint32_t heap)
{
	struct camera it = camera(kind);

	for (unsigned int i = 0; i < FRAMES; i++)
		it.buffers[i] = buffer((char[]){ 'v', '0' + i, 0 }, FRAME, heap);
	film(&it);
}

/* Memory in as many places as it has pages: what is between them belongs to the others. */
static void scatter(struct camera *camera)
{
	for (unsigned int i = 0; i < FRAMES; i++)
		camera->buffers[i] = buffer((char[]){ 'v', '0' + i, 0 }, 0, DEVFS_DMA_HEAP_SYSTEM);
	for (size_t size = PAGE; size < FRAME + PAGE; size += PAGE)
		for (unsigned int i = 0; i < FRAMES; i++)
			CHECK(!ftruncate(camera->buffers[i], size));
}

TEST(vivid_any, "vivid captures frames into exported buffers of each heap")
{
	struct camera it;

	FOR_EACH_HEAP(heap)
		film_heap(ANY_MEMORY, heap);
	it = camera(ANY_MEMORY);
	scatter(&it);
	film(&it);
}

TEST(vivid_range, "vivid captures frames into memory that is mapped for it as one range")
{
	film_heap(ONE_RANGE, DEVFS_DMA_HEAP_CONTIGUOUS);
	film_heap(ONE_RANGE, DEVFS_DMA_HEAP_COHERENT);
}

TEST(vivid_scattered, "memory of many ranges is refused by a driver that wants one")
{
	struct camera it = camera(ONE_RANGE);

	if (bounced())
		check_skip("the copies may be one range");
	scatter(&it);
	it.dmabufs[0] = export_buffer(it.buffers[0], O_RDWR);
	REFUSES(queue(&it, 0), EFAULT);
	close(it.dmabufs[0]);
	EVENTUALLY(buffer_info(it.buffers[0]).exports == 0);
}

TEST(for_reading, "what was exported for reading is refused by drivers that would write to it")
{
	vgem();
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", FRAME, heap), dmabuf = export_buffer(fd, O_RDONLY);
		struct drm_prime arg = { .fd = dmabuf };
		static char back[FRAME];

		REFUSES(ioctl(vgem(), DRM_PRIME_FD_TO_HANDLE, &arg), EACCES);
		for (unsigned int kind = ANY_MEMORY; kind <= ONE_RANGE; kind++) {
			struct camera it = camera(kind);

			it.dmabufs[0] = dmabuf;
			/* videobuf2 has errors of its own. */
			REFUSES(queue(&it, 0), kind == ANY_MEMORY ? EFAULT : EINVAL);
			close(it.fd);
		}
		CHECK(pread(fd, back, FRAME, 0) == FRAME && zeroed(back, FRAME));
		close(dmabuf);
		close(fd);
		EVENTUALLY(bytes_used() == 0);
	}
}

/* A call in a process of its own, whose exit status is the errno. */
static pid_t start(int (*call)(int fd), int fd)
{
	pid_t pid = fork();

	if (!pid)
		_exit(call(fd) < 0 ? errno : 0);
	CHECK(pid > 0);
	return pid;
}

/* It waits for a fence, and for no lock. */
static bool waits_for_fence(pid_t pid)
{
	char path[32], at[64] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0 && read(fd, at, sizeof(at) - 1) >= 0);
	close(fd);
	return !strncmp(at, "dma_fence", 9);
}

/* How the process ended; it does within five seconds. */
static siginfo_t end_of(pid_t pid)
{
	siginfo_t end = {};

	EVENTUALLY(!waitid(P_PID, pid, &end, WEXITED | WNOHANG | WNOWAIT) && end.si_pid == pid);
	CHECK(waitpid(pid, NULL, 0) == pid);
	return end;
}

static void check_ends(pid_t pid, int error)
{
	siginfo_t end = end_of(pid);

	CHECK(end.si_code == CLD_EXITED);
	errno = end.si_status;
	CHECK(end.si_status == error);
}

static void check_dies(pid_t pid)
{
	CHECK(!kill(pid, SIGKILL));
	CHECK(end_of(pid).si_code == CLD_KILLED);
}

static bool is_ready(int fd, short events)
{
	struct pollfd arg = { .fd = fd, .events = events };

	return poll(&arg, 1, 0) == 1 && arg.revents == events;
}

static int fences_of(int dmabuf, uint32_t flags)
{
	struct dma_buf_export_sync_file arg = { .flags = flags };

	CHECK(!ioctl(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &arg));
	return arg.fd;
}

static void add_fences(int dmabuf, int sync_file, uint32_t flags)
{
	struct dma_buf_import_sync_file arg = { .flags = flags, .fd = sync_file };

	CHECK(!ioctl(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &arg));
}

static int begin_access(int dmabuf)
{
	return sync_dmabuf(dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
}

static int read_page(int fd)
{
	char data[PAGE];

	return pread(fd, data, PAGE, 0) == (ssize_t)PAGE ? 0 : -1;
}

static int write_page(int fd)
{
	char data[PAGE] = "written";

	return pwrite(fd, data, PAGE, 0) == (ssize_t)PAGE ? 0 : -1;
}

static int sync_for_cpu(int fd)
{
	struct devfs_dma_buf_sync arg = {
		.flags = DEVFS_DMA_SYNC_FOR_CPU, .direction = DEVFS_DMA_SYNC_BUFFER_DIRECTION,
	};

	return ioctl(fd, DEVFS_DMA_IOC_BUF_SYNC, &arg);
}

TEST(fence_export, "poll, sync_file and DMA_BUF_IOCTL_SYNC of an exported dma-buf wait for fences")
{
	vgem();
	FOR_EACH_HEAP(heap) {
		int fd = buffer("x", PAGE, heap), dmabuf = export_buffer(fd, O_RDWR), done;
		uint32_t handle = vgem_handle(dmabuf), fence;
		pid_t waiting, killed;

		CHECK(is_ready(dmabuf, POLLIN | POLLOUT));
		fence = vgem_fence(handle, VGEM_WRITES);
		done = fences_of(dmabuf, DMA_BUF_SYNC_READ);
		CHECK(!is_ready(dmabuf, POLLIN) && !is_ready(dmabuf, POLLOUT));
		CHECK(!is_ready(done, POLLIN));
		waiting = start(begin_access, dmabuf);
		killed = start(begin_access, dmabuf);
		EVENTUALLY(waits_for_fence(waiting) && waits_for_fence(killed));
		check_dies(killed);
		/* The buffer's own file waits for nobody. */
		CHECK(!write_page(fd) && !read_page(fd) && !sync_for_cpu(fd) && !begin_access(fd));
		CHECK(!fsync(fd) && waits_for_fence(waiting));
		vgem_signal(fence);
		check_ends(waiting, 0);
		EVENTUALLY(is_ready(done, POLLIN));
		EVENTUALLY(is_ready(dmabuf, POLLIN | POLLOUT));
		close(done);
		close(dmabuf);
		vgem_close(handle);
		close(fd);
		EVENTUALLY(bytes_used() == 0);
	}
}

TEST(fence_readers, "who only reads an exported dma-buf holds up writers alone")
{
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM), dmabuf = export_buffer(fd, O_RDWR), done;
	uint32_t handle = vgem_handle(dmabuf), fence = vgem_fence(handle, 0);

	CHECK(is_ready(dmabuf, POLLIN) && !is_ready(dmabuf, POLLOUT));
	CHECK(!begin_access(dmabuf));
	done = fences_of(dmabuf, DMA_BUF_SYNC_READ);
	CHECK(is_ready(done, POLLIN));
	close(done);
	done = fences_of(dmabuf, DMA_BUF_SYNC_WRITE);
	CHECK(!is_ready(done, POLLIN));
	vgem_signal(fence);
	EVENTUALLY(is_ready(done, POLLIN) && is_ready(dmabuf, POLLOUT));
}

TEST(fence_shared, "all dma-bufs of a buffer have the same fences")
{
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM);
	int one = export_buffer(fd, O_RDWR), other = export_buffer(fd, O_RDWR), later;
	uint32_t fence = vgem_fence(vgem_handle(one), VGEM_WRITES);

	CHECK(!is_ready(one, POLLIN) && !is_ready(other, POLLIN));
	close(other);
	later = export_buffer(fd, O_RDONLY);
	CHECK(!is_ready(later, POLLIN));
	vgem_signal(fence);
	EVENTUALLY(is_ready(later, POLLIN));
}

TEST(fence_given, "a sync_file given to an exported dma-buf is waited for, and outlives it")
{
	uint32_t handle = vgem_new(1), fence = vgem_fence(handle, VGEM_WRITES);
	int theirs = vgem_export(handle), done = fences_of(theirs, DMA_BUF_SYNC_WRITE);
	int fd = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM), dmabuf = export_buffer(fd, O_RDWR);

	add_fences(dmabuf, done, DMA_BUF_SYNC_WRITE);
	close(done);
	done = fences_of(dmabuf, DMA_BUF_SYNC_READ);
	/* Who polls keeps a dma-buf until the fence is signaled. */
	close(dmabuf);
	close(fd);
	EVENTUALLY(bytes_used() == 0);
	CHECK(!is_ready(done, POLLIN));
	vgem_signal(fence);
	EVENTUALLY(is_ready(done, POLLIN));
}

/* Calls of an imported buffer's file that wait for what another driver does with the memory. */
static void check_import_waits(int fd, uint32_t handle, int (*call)(int fd), uint32_t flags)
{
	uint32_t fence = vgem_fence(handle, flags);
	pid_t one = start(call, fd), other = start(call, fd), killed = start(call, fd);

	EVENTUALLY(waits_for_fence(one) && waits_for_fence(other) && waits_for_fence(killed));
	check_dies(killed);
	vgem_signal(fence);
	check_ends(one, 0);
	check_ends(other, 0);
}

static int sync_file(int fd)
{
	return fsync(fd);
}

static int zero_page(int fd)
{
	return fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, PAGE);
}

TEST(fence_import, "accesses to imported memory wait for fences, each by itself, and can be killed")
{
	uint32_t handle = vgem_new(1), fence;
	int dmabuf = vgem_export(handle), fd = import_dmabuf("y", dmabuf);

	check_import_waits(fd, handle, read_page, VGEM_WRITES);
	check_import_waits(fd, handle, write_page, VGEM_WRITES);
	check_import_waits(fd, handle, write_page, 0);
	check_import_waits(fd, handle, sync_for_cpu, VGEM_WRITES);
	check_import_waits(fd, handle, sync_file, VGEM_WRITES);
	check_import_waits(fd, handle, begin_access, VGEM_WRITES);
	check_import_waits(fd, handle, zero_page, VGEM_WRITES);
	fence = vgem_fence(handle, 0);
	CHECK(!read_page(fd) && !begin_access(fd));
	CHECK(buffer_info(fd).size == PAGE && is_ready(dmabuf, POLLIN));
	vgem_signal(fence);
}

TEST(fence_of_own, "so do those to an export of the module's that it imported")
{
	int own = buffer("x", PAGE, DEVFS_DMA_HEAP_SYSTEM), dmabuf = export_buffer(own, O_RDWR);
	int fd = import_dmabuf("y", dmabuf);
	uint32_t handle = vgem_handle(dmabuf);

	check_import_waits(fd, handle, read_page, VGEM_WRITES);
	check_import_waits(fd, handle, write_page, 0);
}

TEST(fence_removal, "removal of a device does not wait for fences of what it imported")
{
	uint32_t handle = vgem_new(1), fence;
	int fd = import_dmabuf("y", vgem_export(handle));
	struct timespec from, to;
	pid_t reader;

	fence = vgem_fence(handle, VGEM_WRITES);
	reader = start(read_page, fd);
	EVENTUALLY(waits_for_fence(reader));
	clock_gettime(CLOCK_MONOTONIC, &from);
	set_bound("devfs_dma_host", false);
	clock_gettime(CLOCK_MONOTONIC, &to);
	CHECK(waits_for_fence(reader));
	vgem_signal(fence);
	check_ends(reader, ENODEV);
	CHECK(to.tv_sec - from.tv_sec < 5);
	REFUSES(read_page(fd), ENODEV);
	set_bound("devfs_dma_host", true);
}
