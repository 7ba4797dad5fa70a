# ./dev bench
# shellcheck shell=bash
# shellcheck source=tools/dev/build.sh
. "$ROOT/tools/dev/build.sh"
# shellcheck source=tools/dev/setup.sh
. "$ROOT/tools/dev/setup.sh"

help_bench() {
    cat <<'EOF'
usage: ./dev bench [NAME...] [--OPTION[=VALUE]...]

Builds a release build and runs the scripts of bench/, one a claim: each measures phantom_ci and, in the
same run, what it is compared with, and prints the figures. The options are the scripts' own:

  detection   what a look costs, beside `git ls-remote`, over http, https, ssh and on local paths
              --json --roads=http,https,ssh,local,watched --repositories=500 --rounds=3 --seconds=6
  fleet       10,000 repositories in one daemon: CPU, memory, descriptors, late looks
              --json --roads=http,local --repositories=10000 --interval=60 --seconds=90
  idle        what nothing costs, beside Buildbot
  latency     from a push to the first step, beside a hook
  local       a look at a repository on this machine alone, beside `git ls-remote` and two stat(2)
  net_looks   what a look costs in phantom_ci-net alone
  steps       what a step costs at each level of the sandbox, beside bubblewrap
EOF
}

run_bench() {
    local script name argument names='' status=0
    local -a options=()
    for argument; do
        case $argument in
        -*) options+=("$argument") ;;
        *)
            [ -f "bench/$argument.py" ] || usage_error "bench: no \"$argument\" (see ./dev bench --help)"
            names="$names $argument"
            ;;
        esac
    done
    setup_for test >&2
    mkdir -p "$LOGS"
    build_kind release >&2 || return 1
    PYTHON=$(find_python sys) || die "no python3"
    for script in bench/*.py; do
        name=$(basename "$script" .py)
        # What they share is no benchmark.
        if [ "$name" = common ] || { [ -n "$names" ] && [[ "$names " != *" $name "* ]]; }; then
            continue
        fi
        say "$name" >&2
        # bash 3.2 takes an empty array for an unset variable.
        PHANTOM_CI_BUILD_DIR=$ROOT/build/release "$PYTHON" "$script" ${options[@]+"${options[@]}"} || status=1
    done
    return $status
}
