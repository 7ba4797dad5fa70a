#include <string.h>

#include "store/store_internal.h"

static const char *const job_states[] = {
    [JOB_QUEUED] = "queued",         [JOB_RUNNING] = "running",
    [JOB_SUCCESS] = "success",       [JOB_FAILED] = "failed",
    [JOB_ERROR] = "error",           [JOB_TIMEOUT] = "timeout",
    [JOB_CANCELED] = "canceled",     [JOB_INTERRUPTED] = "interrupted",
    [JOB_SUPERSEDED] = "superseded", [JOB_SKIPPED] = "skipped",
    [JOB_BLOCKED] = "blocked",
};

static const char *const job_triggers[] = {
    [JOB_TRIGGER_PUSH] = "push", [JOB_TRIGGER_RUN] = "run",     [JOB_TRIGGER_RETRY] = "retry",
    [JOB_TRIGGER_ADD] = "add",   [JOB_TRIGGER_RERUN] = "rerun", [JOB_TRIGGER_SCHEDULE] = "schedule",
};

static const char *const job_stops[] = {
    [JOB_STOP_NONE] = "none",
    [JOB_STOP_CANCEL] = "cancel",
    [JOB_STOP_SUPERSEDE] = "supersede",
    [JOB_STOP_KILL] = "kill",
};

static const char *const step_states[] = {
    [STEP_RUNNING] = "running", [STEP_SUCCESS] = "success",   [STEP_FAILED] = "failed",
    [STEP_TIMEOUT] = "timeout", [STEP_CANCELED] = "canceled", [STEP_INTERRUPTED] = "interrupted",
    [STEP_ERROR] = "error",
};

const char *job_state_name(enum job_state state)
{
    return job_states[state];
}

static int find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

bool job_state_from_name(const char *name, enum job_state *state)
{
    int found = find_name(job_states, G_N_ELEMENTS(job_states), name);
    if (found >= 0) {
        *state = (enum job_state)found;
    }
    return found >= 0;
}

bool job_state_is_final(enum job_state state)
{
    return state != JOB_QUEUED && state != JOB_RUNNING;
}

const char *job_trigger_name(enum job_trigger trigger)
{
    return job_triggers[trigger];
}

bool job_trigger_from_name(const char *name, enum job_trigger *trigger)
{
    int found = find_name(job_triggers, G_N_ELEMENTS(job_triggers), name);
    if (found >= 0) {
        *trigger = (enum job_trigger)found;
    }
    return found >= 0;
}

static const char *const job_blocks[] = {[JOB_BLOCK_REWIND] = "rewind",
                                         [JOB_BLOCK_SIGNATURE] = "signature",
                                         [JOB_BLOCK_WORKFLOW] = "workflow"};

const char *job_block_name(enum job_block block)
{
    return job_blocks[block];
}

enum job_block job_block_from_name(const char *name)
{
    for (enum job_block block = JOB_BLOCK_REWIND; name && block <= JOB_BLOCK_WORKFLOW; block++) {
        if (strcmp(job_blocks[block], name) == 0) {
            return block;
        }
    }
    return JOB_BLOCK_NONE;
}

const char *job_stop_name(enum job_stop stop)
{
    return job_stops[stop];
}

bool job_stop_from_name(const char *name, enum job_stop *stop)
{
    int found = find_name(job_stops, G_N_ELEMENTS(job_stops), name);
    if (found >= 0) {
        *stop = (enum job_stop)found;
    }
    return found >= 0;
}

const char *step_state_name(enum step_state state)
{
    return step_states[state];
}

bool step_state_from_name(const char *name, enum step_state *state)
{
    int found = find_name(step_states, G_N_ELEMENTS(step_states), name);
    if (found >= 0) {
        *state = (enum step_state)found;
    }
    return found >= 0;
}
