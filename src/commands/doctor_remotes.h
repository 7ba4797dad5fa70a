/* What the two files about remotes share. */
#ifndef PHANTOM_CI_COMMANDS_DOCTOR_REMOTES_H
#define PHANTOM_CI_COMMANDS_DOCTOR_REMOTES_H

#include "commands/doctor.h"
#include "git/url.h"

/* The key file of a section: there, private, a private key, usable without a person. */
void doctor_check_ssh_key(struct doctor *doctor, const char *path);

/* Whether known_hosts has the host, with fingerprints; when not, what the host offers (unless it
 * `is_silent`) and the command that accepts it. */
void doctor_check_host_key(struct doctor *doctor, const struct url *url, bool is_silent);

#endif
