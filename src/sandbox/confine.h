/*
 * The confinement of a process that talks to the network: what it has no use for, it can't do, even
 * when somebody else's bytes have taken it over.
 *
 * Linux, in this order, none of which can be taken back:
 * 1. no_new_privs: no set-user-id program helps.
 * 2. Landlock, with what the kernel's version of it knows: of the file system only the system's
 *    configuration, certificates and libraries may be read (name resolution loads modules), and
 *    what `readable_paths` names; nothing may be written or executed; no TCP port may be bound; no
 *    signal and no abstract socket reaches a process outside. A kernel without Landlock is no
 *    error: one line on standard error says so, and step 3 still refuses every way to write.
 * 3. seccomp: an allow-list of system calls with their arguments where they decide; everything else
 *    fails with EPERM. Files can be opened for reading only; sockets are TCP and UDP over IPv4
 *    and IPv6; no execve, no process (threads are fine), no ptrace, no kill, no bind, listen or
 *    accept, no mount, no io_uring, bpf, keyctl and the like.
 *
 * Sockets of the family AF_UNIX are refused, for behind them are services that act for the user
 * (D-Bus, docker, ssh-agent); so name resolution by nscd or systemd-resolved's own module falls
 * back to DNS, which is what /etc/nsswitch.conf and /etc/resolv.conf arrange for. AF_NETLINK is
 * refused as well; getaddrinfo(3) then takes it that both IPv4 and IPv6 may be there.
 *
 * What is left: names, sizes and times of files can still be asked for (stat), and what a user may
 * reach over the network, this process may reach.
 *
 * Elsewhere (macOS): nothing is done, and nothing is promised.
 */
#ifndef PHANTOM_CI_SANDBOX_CONFINE_H
#define PHANTOM_CI_SANDBOX_CONFINE_H

#include <glib.h>
#include <stdbool.h>

/* Confines this process for the rest of its life. To be called while there is one thread, with
 * libraries initialised and before the first foreign byte. `readable_paths` (NULL-terminated) are
 * files and directories; those that do not exist are left out. False when it could not be done:
 * the process must not go on. */
bool confine_network_client(const char *const *readable_paths, GError **error);

#endif
