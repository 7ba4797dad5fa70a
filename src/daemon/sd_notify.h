/*
 * The service manager's notification protocol, sd_notify(3): datagrams to $NOTIFY_SOCKET. The only
 * socket that phantom_ci ever opens, and only when a service manager asks for it. Where there is
 * none, nothing happens.
 */
#ifndef PHANTOM_CI_DAEMON_SD_NOTIFY_H
#define PHANTOM_CI_DAEMON_SD_NOTIFY_H

#include <stdint.h>

/* Sends e.g. "READY=1\nSTATUS=...". */
void sd_notify_send(const char *message);

/* How often WATCHDOG=1 should be sent, in milliseconds (half of WATCHDOG_USEC); 0 = never. */
int64_t sd_notify_watchdog_ms(void);

#endif
