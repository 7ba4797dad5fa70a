# ./dev bench
# shellcheck shell=bash
# shellcheck source=tools/dev/build.sh
. "$ROOT/tools/dev/build.sh"
# shellcheck source=tools/dev/setup.sh
. "$ROOT/tools/dev/setup.sh"

help_bench() {
    cat <<'EOF'
usage: ./dev bench [NAME...]

Builds a release build and runs the scripts of bench/, one a claim: each measures phantom_ci and, in the
same run, what it is compared with, and prints the figures.
EOF
}

run_bench() {
    local script name status=0
    setup_for build
    mkdir -p "$LOGS"
    build_kind release || return 1
    PYTHON=$(find_python sys) || die "no python3"
    for script in bench/*.py; do
        name=$(basename "$script" .py)
        if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
            continue
        fi
        say "$name"
        PHANTOM_CI_BUILD_DIR=$ROOT/build/release "$PYTHON" "$script" || status=1
    done
    return $status
}
