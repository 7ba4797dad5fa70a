# ./dev demo: the main job, on a real repository, in directories of its own.
# shellcheck shell=bash
# shellcheck source=tools/dev/build.sh
. "$ROOT/tools/dev/build.sh"
# shellcheck source=tools/dev/setup.sh
. "$ROOT/tools/dev/setup.sh"

help_demo() {
    cat <<'EOF'
usage: ./dev demo

Sets up and builds (release), then in a temporary directory: makes a small C project with a workflow, a
bare repository to push it to, and a phantom_ci with its own configuration, state and cache. Three pushes:
a good one, one whose second step fails, and the fix. Shows what a person at the terminal would see, stops
the daemon, and removes everything.
EOF
}

DEMO_DAEMON=''

# Shows a command as it would be typed, and runs it.
show() {
    local word line=''
    for word; do
        case $word in
        *' '*) line="$line '$word'" ;;
        *) line="$line $word" ;;
        esac
    done
    printf '\n\033[1m$%s\033[0m\n' "$line" | demo_colour
    "$@"
}

demo_colour() {
    if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then cat; else sed $'s/\033\\[[0-9;]*m//g'; fi
}

chapter() { printf '\n\033[1;34m--- %s\033[0m\n' "$*" | demo_colour; }

phantom_ci() { "$ROOT/build/release/src/phantom_ci" "$@"; }

demo_finish() {
    local i
    trap - EXIT INT TERM HUP
    if [ -n "$DEMO_DAEMON" ] && kill -TERM "$DEMO_DAEMON" 2>/dev/null; then
        for ((i = 0; i < 100; i++)); do
            kill -0 "$DEMO_DAEMON" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$DEMO_DAEMON" 2>/dev/null
    fi
    [ -n "$DEMO_DAEMON" ] && wait "$DEMO_DAEMON" 2>/dev/null
    DEMO_DAEMON=''
    [ -n "${DEMO:-}" ] && rm -rf "$DEMO"
}

demo_project() {
    mkdir -p "$DEMO/hello/workflow"
    cd "$DEMO/hello" || return 1
    cat >hello.c <<'EOF'
#include <stdio.h>

int add(int a, int b) { return a + b; }

int main(void)
{
    printf("2 + 2 = %d\n", add(2, 2));
    return add(2, 2) == 4 ? 0 : 1;
}
EOF
    cat >Makefile <<'EOF'
CC ?= cc
hello: hello.c
	$(CC) -Wall -o $@ $<
check: hello
	./hello
EOF
    cat >workflow/master.toml <<'EOF'
[0]
run = "make"

[1]
run = "make check"

[2]
run = ["bash", "-c", "echo \"built $PHANTOM_CI_BRANCH at ${PHANTOM_CI_SHA:0:10} as job $PHANTOM_CI_JOB\""]
EOF
    git -c init.defaultBranch=master init -q . &&
        git -c init.defaultBranch=master init -q --bare "$DEMO/hello.git" &&
        git remote add origin "$DEMO/hello.git" && demo_commit "hello: begin"
}

demo_commit() {
    git add -A && git commit -q -m "$1" && git push -q origin HEAD:master
}

# The states of all jobs, oldest first: "success failed running".
job_states() {
    phantom_ci jobs --json --limit 0 |
        "$PYTHON" -c 'import json, sys; print(*[job["state"] for job in reversed(json.load(sys.stdin))])'
}

# Waits until N jobs are over, at most 20 seconds.
wait_for_jobs() {
    local i states
    for ((i = 0; i < 200; i++)); do
        states=$(job_states)
        # shellcheck disable=SC2086
        case " $states " in
        *" queued "* | *" running "*) ;;
        *) [ "$(set -- $states && echo $#)" -ge "$1" ] && return 0 ;;
        esac
        if ! kill -0 "$DEMO_DAEMON" 2>/dev/null; then
            warn "the daemon is not there any more"
            return 1
        fi
        sleep 0.1
    done
    warn "job $1 did not end within 20 seconds"
    return 1
}

# push_and_watch N SUBJECT: the daemon prints the job's output on this terminal.
push_and_watch() {
    local sha
    show git commit -qam "$2" && git push -q origin HEAD:master || return 1
    sha=$(git rev-parse --short=10 HEAD)
    printf 'pushed %s to %s\n' "$sha" "$DEMO/hello.git"
    show phantom_ci poll hello && wait_for_jobs "$1"
}

start_daemon() {
    local ready
    mkfifo "$DEMO/ready" || return 1
    # A directory of its own, so that nothing of the user's installation is touched.
    "$ROOT/build/release/src/phantom_ci" --ready-fd 9 9>"$DEMO/ready" </dev/null &
    DEMO_DAEMON=$!
    # The byte comes when it is ready; without one, the pipe ends with it.
    IFS= read -r -n 1 -d '' -t 15 ready <"$DEMO/ready" || [ -n "${ready:-}" ]
}

demo_story() {
    demo_project || return 1
    chapter "phantom_ci, with its own directories, and a repository to watch"
    start_daemon || {
        warn "the daemon did not become ready"
        return 1
    }
    show phantom_ci add "$DEMO/hello.git" master --name hello && wait_for_baseline || return 1
    chapter "a good commit"
    sed -i.bak 's/2 + 2 =/two and two is/' hello.c && rm -f hello.c.bak
    push_and_watch 1 "hello: say it in words" || return 1
    chapter "a commit whose second step fails"
    sed -i.bak 's/return a + b/return a - b/' hello.c && rm -f hello.c.bak
    push_and_watch 2 "hello: be clever" || return 1
    chapter "the fix"
    sed -i.bak 's/return a - b/return a + b/' hello.c && rm -f hello.c.bak
    push_and_watch 3 "hello: add again" || return 1
    chapter "what is known afterwards"
    show phantom_ci repo && show phantom_ci jobs && show phantom_ci logs 2 && show phantom_ci why hello ||
        return 1
    demo_proof
}

# The demo shows what it promises, or fails.
demo_proof() {
    local states
    states=$(job_states)
    [ "$states" = "success failed success" ] && return 0
    warn "expected the jobs to be: success failed success; they are: $states"
    return 1
}

# Waits until the daemon has seen the branch for the first time: what is pushed from then on runs.
wait_for_baseline() {
    local i
    for ((i = 0; i < 200; i++)); do
        phantom_ci repo --json | grep -qE '"tip": *"[0-9a-f]{40}' && return 0
        sleep 0.1
    done
    warn "the first look at the repository did not end within 20 seconds"
    return 1
}

run_demo() {
    local status begin
    [ $# = 0 ] || usage_error "demo takes no arguments (see ./dev demo --help)"
    setup_for build
    mkdir -p "$LOGS"
    say "building (log: build/logs/build-release.log)"
    build_kind release || return 1
    PYTHON=$(find_python json) || die "no python3"
    begin=$(now)
    DEMO=$(mktemp -d "${TMPDIR:-/tmp}/phantom_ci-demo.XXXXXX") || return 1
    DEMO=$(cd "$DEMO" && pwd -P)
    trap demo_finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir -m 0700 "$DEMO/home"
    # Nothing of the user's own git or phantom_ci counts here, and nothing of theirs is touched.
    export HOME=$DEMO/home GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
    export GIT_AUTHOR_NAME=Demo GIT_AUTHOR_EMAIL=demo@example.org
    export GIT_COMMITTER_NAME=Demo GIT_COMMITTER_EMAIL=demo@example.org
    unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_CACHE_HOME GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
    unset PHANTOM_CI_LIBEXEC_DIR NOTIFY_SOCKET JOURNAL_STREAM
    export PHANTOM_CI_CONFIG_DIR=$DEMO/config PHANTOM_CI_STATE_DIR=$DEMO/state PHANTOM_CI_CACHE_DIR=$DEMO/cache
    demo_story
    status=$?
    cd "$ROOT" || status=1
    demo_finish
    printf '\n'
    if [ $status = 0 ]; then
        say "done in $(($(now) - begin)) s; the daemon is stopped and $DEMO is removed"
    else
        say "the demo failed; the daemon is stopped and $DEMO is removed"
    fi
    return $status
}
