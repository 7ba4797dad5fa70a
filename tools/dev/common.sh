# Shared by the commands of ./dev. Sourced; ROOT and LOGS are set.
# shellcheck shell=bash

say() { printf '== %s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
    warn "./dev: $*"
    exit 1
}

usage_error() {
    warn "./dev: $*"
    exit 2
}

has() { command -v "$1" >/dev/null 2>&1; }

cores() { getconf _NPROCESSORS_ONLN 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2; }

# A Python that has the modules named: the one on PATH may be another than the one the packages are for.
find_python() {
    local candidate modules=$1
    for candidate in /usr/bin/python3 python3; do
        if has "$candidate" && "$candidate" -c "import $modules" >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# Runs a command while holding build/NAME.lock, so that two ./dev at once do not build in one directory.
with_lock() {
    local name=$1
    shift
    mkdir -p "$ROOT/build"
    if ! has flock; then
        "$@"
        return
    fi
    (
        flock 9 || exit 1
        "$@" 9>&-
    ) 9>"$ROOT/build/$name.lock"
}

# Runs a command with its output in a log; shows the end of the log when it fails.
logged() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if "$@" >"$log" 2>&1 </dev/null; then
        return 0
    fi
    warn "failed: $* (the end of ${log#"$ROOT"/}:)"
    tail -n 60 "$log" >&2
    return 1
}

now() { date +%s; }
