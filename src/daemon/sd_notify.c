#include "daemon/sd_notify.h"

#include <glib.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

void sd_notify_send(const char *message)
{
    const char *address = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    if (!address || (address[0] != '/' && address[0] != '@') ||
        strlen(address) >= sizeof(peer.sun_path)) {
        return;
    }
    size_t length = strlen(address);
    memcpy(peer.sun_path, address, length);
    if (address[0] == '@') {
        peer.sun_path[0] = '\0'; /* the abstract namespace, unix(7) */
    }
#ifdef SOCK_CLOEXEC
    auto_fd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
    auto_fd fd = socket(AF_UNIX, SOCK_DGRAM, 0);
#endif
    if (fd >= 0) {
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
        ssize_t ignored =
            sendto(fd, message, strlen(message), 0, (const struct sockaddr *)&peer, size);
        (void)ignored;
    }
}

int64_t sd_notify_watchdog_ms(void)
{
    const char *interval_us = g_getenv("WATCHDOG_USEC");
    const char *pid = g_getenv("WATCHDOG_PID");
    if (!interval_us || (pid && g_ascii_strtoll(pid, NULL, 10) != getpid())) {
        return 0;
    }
    return g_ascii_strtoll(interval_us, NULL, 10) / 2000;
}
