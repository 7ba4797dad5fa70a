/*
 * The private directory of this process in which the control sockets of its ssh masters lie.
 *
 * Made new by each process, in XDG_RUNTIME_DIR, else TMPDIR, else /tmp; whichever is first that
 * is absolute, short enough for the name of a socket, and in which nobody else can put another one
 * in its place. Mode 0700, and locked (flock(2)) as long as the process lives: what a killed one
 * left behind is found by its name, known by the free lock, and removed by the next.
 * systemd-tmpfiles leaves locked directories alone, too.
 */
#ifndef PHANTOM_CI_SSH_PLACE_H
#define PHANTOM_CI_SSH_PLACE_H

#include <glib.h>

struct place;

/* ERROR_DENIED when there is no such directory. */
struct place *place_open(GError **error);

/* With all that is in it. */
void place_close(struct place *place);

/* The path of the socket with this number. Free with g_free(). */
char *place_socket(const struct place *place, unsigned number);

/* Removes that socket, if it is there. */
void place_remove_socket(const struct place *place, unsigned number);

#endif
