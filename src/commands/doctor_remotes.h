/* What the two files about remotes share. */
#ifndef PHANTOM_CI_COMMANDS_DOCTOR_REMOTES_H
#define PHANTOM_CI_COMMANDS_DOCTOR_REMOTES_H

#include "commands/doctor.h"
#include "git/url.h"

/* The key file of a section: there, private, a private key, usable without a person. */
void doctor_check_ssh_key(struct doctor *doctor, const char *path);

/* What came of the look at a remote behind the host. */
enum doctor_host { DOCTOR_HOST_ANSWERED, DOCTOR_HOST_FAILED, DOCTOR_HOST_SILENT };

/* Whether known_hosts has the host, with fingerprints; when not, and ssh did not accept it all the
 * same, what the host offers (unless it is silent) and the command that accepts it. */
void doctor_check_host_key(struct doctor *doctor, const struct url *url, enum doctor_host host);

#endif
