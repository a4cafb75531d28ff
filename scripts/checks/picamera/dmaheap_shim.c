/*
 * Emulate /dev/dma_heap/linux,cma in the memory of a process.
 *
 * Picamera2 and libcamera allocate picture buffers from a dma-heap of the kernel. The kernel of a container or of a virtual
 * machine often has neither dma-heaps nor udmabuf. For the processor a dma-buf is a descriptor that can be mapped, as a
 * memfd is.
 *
 * Build: gcc -shared -fPIC -O1 -o dmaheap_shim.so dmaheap_shim.c
 * Run:   LD_PRELOAD=/path/dmaheap_shim.so python …
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char heap[] = "/dev/dma_heap/linux,cma";

static int opened(int dir, const char *path, int flags, mode_t mode)
{
	if (path && !strcmp(path, heap))
		return syscall(SYS_memfd_create, "dma-heap", flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
	return syscall(SYS_openat, dir, path, flags, mode);
}

#define OPEN(name)                                                                     \
	int name(const char *path, int flags, ...)                                         \
	{                                                                                  \
		va_list more;                                                                  \
		va_start(more, flags);                                                         \
		mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;      \
		va_end(more);                                                                  \
		return opened(AT_FDCWD, path, flags, mode);                                    \
	}
OPEN(open)
OPEN(open64)

int ioctl(int fd, unsigned long call, ...)
{
	va_list more;
	va_start(more, call);
	void *given = va_arg(more, void *);
	va_end(more);
	if (call == DMA_HEAP_IOCTL_ALLOC) {
		struct dma_heap_allocation_data *wanted = given;
		int made = syscall(SYS_memfd_create, "dma-buf", wanted->fd_flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
		if (made < 0 || ftruncate(made, wanted->len) < 0)
			return -1;
		wanted->fd = made;
		return 0;
	}
	if (call == DMA_BUF_IOCTL_SYNC || call == DMA_BUF_SET_NAME || call == DMA_BUF_SET_NAME_B)
		return 0;
	return syscall(SYS_ioctl, fd, call, given);
}
