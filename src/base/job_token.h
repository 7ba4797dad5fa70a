/*
 * The mark of a job in the environment of its processes: "PHANTOM_CI_JOB_TOKEN=<16 hex
 * digits>-<job>", where the digits are the SHA-256 of the state directory, so that two
 * installations on one machine never meet.
 */
#ifndef PHANTOM_CI_BASE_JOB_TOKEN_H
#define PHANTOM_CI_BASE_JOB_TOKEN_H

#include <glib.h>
#include <stdint.h>

/* The whole "NAME=value". Free with g_free(). */
char *job_token(const char *state_directory, int64_t job);

#endif
