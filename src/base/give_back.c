#include "base/give_back.h"

#ifdef __linux__

#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Segments that can't be written have nothing but what stands in the file: relocations, also those
 * of RELRO, are in writable ones. */
static int give_back_object(struct dl_phdr_info *object, size_t size, void *data)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)size;
    (void)data;
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W)) {
            uintptr_t begin = (object->dlpi_addr + segment->p_vaddr + page - 1) & ~(page - 1);
            uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz) & ~(page - 1);
            if (begin < end) {
                /* madvise(2): the next access reads a private mapping from its file again */
                madvise((void *)begin, end - begin, MADV_DONTNEED);
            }
        }
    }
    return 0;
}

void give_back_code(void)
{
    dl_iterate_phdr(give_back_object, NULL);
}

#else

void give_back_code(void)
{
}

#endif
