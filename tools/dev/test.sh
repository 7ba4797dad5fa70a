# ./dev test: sections, each of which adds to one tally.
# shellcheck shell=bash
# shellcheck source=tools/dev/lint.sh
. "$ROOT/tools/dev/lint.sh"
# shellcheck source=tools/dev/fuzz.sh
. "$ROOT/tools/dev/fuzz.sh"

help_test() {
    cat <<'EOF'
usage: ./dev test [--quick] [-k EXPRESSION]

Sets up, builds with gcc, clang, and gcc with sanitizers, and runs: the unit tests (gcc and sanitizers),
the end-to-end tests (gcc; all but the slow ones also with sanitizers), the attacks (gcc), each fuzzer for a
few seconds, and lint (beside the end-to-end tests, at the lowest priority). The last line is
`N passed, N failed` for all of it. Logs: build/logs/.

  --quick         the gcc build alone: unit tests, and end-to-end tests and attacks that are not marked `slow`
  -k EXPRESSION   the gcc build alone: end-to-end tests and attacks as pytest selects them, and unit test
                  programs whose name contains EXPRESSION

PHANTOM_CI_TESTS_MUST_RUN=1 makes a skipped test a failed one. PHANTOM_CI_TEST_JOBS is the number of end-to-end
tests at once (default: three times the processors).
EOF
}

TOTAL_PASSED=0 TOTAL_FAILED=0 TOTAL_SKIPPED=0 SUMMARY='' SECTION_BEGIN=0 LINT_PID=''

section() {
    SECTION_BEGIN=$(now)
    printf '\n'
    say "$*"
}

# tally NAME PASSED FAILED SKIPPED
tally() {
    local line
    if [ "${PHANTOM_CI_TESTS_MUST_RUN:-}" = 1 ] && [ "$4" -gt 0 ]; then
        warn "$1: $4 skipped, and PHANTOM_CI_TESTS_MUST_RUN is set"
        set -- "$1" "$2" $(($3 + $4)) 0
    fi
    TOTAL_PASSED=$((TOTAL_PASSED + $2))
    TOTAL_FAILED=$((TOTAL_FAILED + $3))
    TOTAL_SKIPPED=$((TOTAL_SKIPPED + $4))
    line=$(printf '%-26s %5s passed %4s failed %4s skipped %5s s' "$1" "$2" "$3" "$4" \
        "$(($(now) - SECTION_BEGIN))")
    SUMMARY="$SUMMARY$line
"
    printf '%s\n' "$line"
}

# tally_results NAME meson|pytest FILE: what count_results.py says; failures and skips by name.
tally_results() {
    local counted
    counted=$("$PYTHON" tools/count_results.py "$2" "$3")
    printf '%s\n' "$counted" | tail -n +2
    # shellcheck disable=SC2046
    tally "$1" $(printf '%s\n' "$counted" | head -n 1)
}

# build_section KIND: a build is one check.
build_section() {
    section "build ($1)"
    if build_kind "$1"; then
        tally "build ($1)" 1 0 0
    else
        tally "build ($1)" 0 1 0
        return 1
    fi
}

# unit_section KIND [PROGRAM...]
unit_section() {
    local kind=$1 directory=$ROOT/build/$1
    shift
    section "unit tests ($kind)"
    rm -f "$directory/meson-logs/testlog.json"
    # Many of them wait for git.
    with_lock "$kind" logged "$LOGS/unit-$kind.log" \
        meson test -C "$directory" --no-rebuild --print-errorlogs --num-processes "$((2 * $(cores)))" "$@"
    tally_results "unit tests ($kind)" meson "$directory/meson-logs/testlog.json"
}

# e2e_section KIND [PYTEST ARGUMENTS...]
e2e_section() {
    local kind=$1
    shift
    pytest_section "end-to-end" e2e "$kind" "$@"
}

# attacks_section KIND [PYTEST ARGUMENTS...]
attacks_section() {
    local kind=$1
    shift
    pytest_section "attacks" attacks "$kind" "$@"
}

# pytest_section NAME FOLDER KIND [PYTEST ARGUMENTS...]: the tests of tests/FOLDER.
pytest_section() {
    local name=$1 folder=$2 kind=$3 report=$LOGS/$2-$3.xml status
    shift 3
    section "$name tests ($kind)"
    rm -f "$report"
    (
        export PHANTOM_CI_BUILD_DIR=$ROOT/build/$kind
        exec "$PYTHON" -m pytest "tests/$folder" -q -n "${PHANTOM_CI_TEST_JOBS:-$((3 * $(cores)))}" \
            -p no:cacheprovider --junitxml="$report" "$@"
    ) >"$LOGS/$folder-$kind.log" 2>&1 </dev/null
    status=$?
    # 5: no test was selected, which is no failure of a selection by -k.
    if [ $status != 0 ]; then
        tail -n 200 "$LOGS/$folder-$kind.log"
    fi
    if [ $status = 5 ] && [ -n "$EXPRESSION" ]; then
        tally "$name ($kind)" 0 0 0
    elif [ $status -gt 1 ]; then
        tally "$name ($kind)" 0 1 0
    else
        tally_results "$name ($kind)" pytest "$report"
    fi
}

fuzz_section() {
    section "fuzzers"
    # shellcheck disable=SC2046
    run_fuzzers 6 $(fuzzer_names)
    tally fuzzers "$FUZZ_PASSED" "$FUZZ_FAILED" 0
}

# Lint needs processors, and the end-to-end tests mostly wait: it takes what they leave, in a process group of
# its own, so that it can be ended with this script.
begin_lint() {
    set -m
    nice -n 19 ./dev lint >"$LOGS/lint.log" 2>&1 </dev/null &
    LINT_PID=$!
    set +m
    trap 'kill_lint' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

kill_lint() {
    [ -z "$LINT_PID" ] || kill -- "-$LINT_PID" 2>/dev/null
}

# end_lint: what begin_lint has found.
end_lint() {
    local counted
    section "lint"
    wait "$LINT_PID"
    LINT_PID=''
    cat "$LOGS/lint.log"
    counted=$(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$LOGS/lint.log")
    # shellcheck disable=SC2086
    tally lint ${counted:-0 1} 0
}

selected_unit_tests() {
    local source
    for source in tests/unit/test_*.c; do
        case $(basename "$source" .c) in
        *"$1"*) basename "$source" .c ;;
        esac
    done
}

run_selection() {
    build_section gcc || return
    local programs
    programs=$(selected_unit_tests "$EXPRESSION")
    # shellcheck disable=SC2086
    [ -n "$programs" ] && unit_section gcc $programs
    e2e_section gcc -k "$EXPRESSION"
    attacks_section gcc -k "$EXPRESSION"
}

run_quick() {
    build_section gcc || return
    unit_section gcc
    e2e_section gcc -m 'not slow'
    attacks_section gcc -m 'not slow'
}

run_everything() {
    build_section gcc && unit_section gcc
    build_section clang
    build_section asan && unit_section asan
    begin_lint
    if [ -x build/gcc/src/phantom_ci ]; then
        e2e_section gcc
        attacks_section gcc
    fi
    [ -x build/asan/src/phantom_ci ] && e2e_section asan -m "not slow"
    build_section fuzz && fuzz_section
    end_lint
}

run_test() {
    local quick=no begin
    EXPRESSION=''
    while [ $# -gt 0 ]; do
        case $1 in
        --quick) quick=yes ;;
        -k)
            [ $# -gt 1 ] || usage_error "test: -k needs an expression"
            EXPRESSION=$2
            shift
            ;;
        *) usage_error "test: unknown argument \"$1\" (see ./dev test --help)" ;;
        esac
        shift
    done
    begin=$(now)
    setup_for test
    mkdir -p "$LOGS"
    PYTHON=$(find_python 'pytest, xdist') || die "no Python with pytest and pytest-xdist; ./dev setup"
    if [ -n "$EXPRESSION" ]; then
        run_selection
    elif [ $quick = yes ]; then
        run_quick
    else
        run_everything
    fi
    printf '\n'
    say "summary ($(($(now) - begin)) s)"
    printf '%s' "$SUMMARY"
    [ $((TOTAL_PASSED + TOTAL_FAILED)) = 0 ] && TOTAL_FAILED=1
    if [ "$TOTAL_SKIPPED" -gt 0 ]; then
        printf '%s passed, %s failed, %s skipped\n' "$TOTAL_PASSED" "$TOTAL_FAILED" "$TOTAL_SKIPPED"
    else
        printf '%s passed, %s failed\n' "$TOTAL_PASSED" "$TOTAL_FAILED"
    fi
    [ "$TOTAL_FAILED" = 0 ]
}
