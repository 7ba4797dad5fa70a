# ./dev fuzz
# shellcheck shell=bash
# shellcheck source=tools/dev/build.sh
. "$ROOT/tools/dev/build.sh"
# shellcheck source=tools/dev/setup.sh
. "$ROOT/tools/dev/setup.sh"

help_fuzz() {
    cat <<'EOF'
usage: ./dev fuzz [SECONDS [NAME...]]

Builds tests/fuzz/ with clang's libFuzzer and runs each fuzzer for SECONDS (default 60), as many at once
as there are processors. What is found on the way is kept in build/corpus/NAME, and an input that breaks
something in build/logs/fuzz-NAME-crash-*. Seeds: tests/fuzz/corpus/NAME/, if there is one.
EOF
}

fuzzer_names() {
    local source
    for source in tests/fuzz/fuzz_*.c; do
        [ -e "$source" ] && basename "$source" .c
    done
}

fuzz_one() {
    local name=$1 seconds=$2 corpus=$ROOT/build/corpus/$1
    mkdir -p "$corpus"
    set -- "$corpus"
    [ -d "$ROOT/tests/fuzz/corpus/$name" ] && set -- "$@" "$ROOT/tests/fuzz/corpus/$name"
    "$ROOT/build/fuzz/tests/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$LOGS/$name-crash-" "$@" \
        >"$LOGS/$name.log" 2>&1 </dev/null
}

# run_fuzzers SECONDS NAME...: prints one line a fuzzer; sets FUZZ_PASSED and FUZZ_FAILED.
run_fuzzers() {
    local seconds=$1 name failed
    shift
    FUZZ_PASSED=0 FUZZ_FAILED=0
    rm -f "$LOGS"/fuzz_*.failed
    # By number: who called this may have other children.
    local -a running=()
    for name; do
        (fuzz_one "$name" "$seconds" || : >"$LOGS/$name.failed") &
        running+=($!)
        if [ "${#running[@]}" -ge "$(cores)" ]; then
            wait "${running[@]}"
            running=()
        fi
    done
    [ "${#running[@]}" = 0 ] || wait "${running[@]}"
    for name; do
        failed=$LOGS/$name.failed
        if [ -e "$failed" ]; then
            rm -f "$failed"
            FUZZ_FAILED=$((FUZZ_FAILED + 1))
            printf 'FAILED  %s  (build/logs/%s.log)\n' "$name" "$name"
            tail -n 30 "$LOGS/$name.log"
        else
            FUZZ_PASSED=$((FUZZ_PASSED + 1))
            printf 'ok      %-24s %s runs\n' "$name" \
                "$(sed -n 's/^stat::number_of_executed_units: *//p' "$LOGS/$name.log")"
        fi
    done
}

run_fuzz() {
    local seconds=60
    case ${1:-} in
    '' | *[!0-9]*) ;;
    *)
        seconds=$1
        shift
        ;;
    esac
    setup_for test
    mkdir -p "$LOGS"
    build_kind fuzz || return 1
    # shellcheck disable=SC2046
    [ $# -gt 0 ] || set -- $(fuzzer_names)
    run_fuzzers "$seconds" "$@"
    printf '%s passed, %s failed\n' "$FUZZ_PASSED" "$FUZZ_FAILED"
    [ "$FUZZ_FAILED" = 0 ]
}
