# ./dev lint: each check is one function `lint_NAME`, whose output goes to build/logs/lint-NAME.log.
# shellcheck shell=bash
# shellcheck source=tools/dev/format.sh
. "$ROOT/tools/dev/format.sh"
# shellcheck source=tools/dev/build.sh
. "$ROOT/tools/dev/build.sh"
# shellcheck source=tools/dev/setup.sh
. "$ROOT/tools/dev/setup.sh"

LINT_CHECKS='format arrows libraries lengths banned twice listed headers_gcc headers_clang shell rules manual cppcheck analyzer tidy'

help_lint() {
    cat <<'EOF'
usage: ./dev lint [CHECK...]

  format          clang-format has nothing to change
  arrows          which folder of src/ may include which
  libraries       a third-party header is included in its one place
  lengths         files up to 700 lines, functions up to 80
  banned          functions that have no place here
  twice           no macro that evaluates its arguments twice asks the clock
  listed          every source file is named in a meson.build
  headers_gcc     each header compiles alone, with gcc
  headers_clang   each header compiles alone, with clang
  shell           shellcheck on ./dev and its parts
  rules           the tests of the checks themselves
  manual          mandoc -Tlint on the man pages
  cppcheck        cppcheck
  analyzer        gcc -fanalyzer
  tidy            clang-tidy

Without a name all of them run. Logs: build/logs/lint-CHECK.log.
EOF
}

c_files() { find "$ROOT/src" -name '*.c' | LC_ALL=C sort; }
header_files() { find "$ROOT/src" -name '*.h' | LC_ALL=C sort; }

# Compiler flags for a file of this tree, without a build directory's database. fuzz and asan builds do not matter.
source_flags() {
    printf '%s ' -std=c17 -D_GNU_SOURCE -DPHANTOM_CI_FAULTS=1 "-I$ROOT/src" "-I$ROOT/build/gcc" "-I$ROOT/build/gcc/src"
    pkg-config --cflags glib-2.0 sqlite3 jansson libcurl
}

# each_in_parallel COMMAND...: runs it once for each line of stdin, which stands where {} is.
each_in_parallel() { xargs -P "$(cores)" -I '{}' "$@"; }

lint_format() { check_format; }
lint_arrows() { "$PYTHON" tools/check_source.py arrows; }
lint_libraries() { "$PYTHON" tools/check_source.py libraries; }
lint_lengths() { "$PYTHON" tools/check_source.py lengths; }
lint_banned() { "$PYTHON" tools/check_source.py banned; }
lint_twice() { "$PYTHON" tools/check_source.py twice; }
lint_listed() { "$PYTHON" tools/check_source.py listed; }
lint_rules() { "$PYTHON" -m pytest -q -p no:cacheprovider tools; }

lint_shell() {
    local files='dev .ci/run tools/dev/*.sh packaging/completions/phantom_ci.bash examples/post-receive'
    # shellcheck disable=SC2086
    bash -n $files && { ! has shellcheck || shellcheck --external-sources $files; }
}

# Whether other programs' pages are installed here is no matter of ours.
lint_manual() {
    if has mandoc; then
        ! mandoc -Tlint "$ROOT"/docs/man/*.[157] 2>/dev/null | grep -v 'referenced manual not found'
    fi
}

# Each header as the only include of an empty C file.
headers_alone() {
    # shellcheck disable=SC2046
    header_files | each_in_parallel "$1" $(source_flags) -Wall -Wextra -Wstrict-prototypes -Werror \
        -Wno-unused-function -fsyntax-only -x c -include '{}' /dev/null
}
lint_headers_gcc() { headers_alone gcc; }
lint_headers_clang() { headers_alone clang; }

lint_cppcheck() {
    # shellcheck disable=SC2046
    cppcheck --quiet -j "$(cores)" --std=c11 --enable=warning,performance,portability \
        --error-exitcode=1 --inline-suppr --library=gnu --library=posix --library=gtk \
        --suppressions-list="$ROOT/tools/cppcheck.suppress" -D_GNU_SOURCE -D__linux__ -D__GNUC__ \
        -I "$ROOT/src" "$ROOT/src"
}

# Null and uninitialized pointers are left to clang's analyzer: gcc 12 sees some where arrays of GLib are.
# Leaks, double frees and use after free, with cleanup attributes understood, are what it is here for.
lint_analyzer() {
    # shellcheck disable=SC2046
    c_files | each_in_parallel gcc $(source_flags) -O1 -fanalyzer -Werror \
        -Wno-analyzer-null-dereference -Wno-analyzer-use-of-uninitialized-value -o /dev/null -c '{}'
}

lint_tidy() {
    # shellcheck disable=SC2046
    c_files | each_in_parallel clang-tidy --quiet '{}' -- $(source_flags)
}

# run_checks NAME...: prints one line a check; sets LINT_PASSED and LINT_FAILED.
run_checks() {
    local name begin log
    LINT_PASSED=0 LINT_FAILED=0
    for name; do
        begin=$(now)
        log=$LOGS/lint-$name.log
        if (set -o pipefail && "lint_$name") >"$log" 2>&1 </dev/null; then
            LINT_PASSED=$((LINT_PASSED + 1))
            printf 'ok      %-14s %s s\n' "$name" "$(($(now) - begin))"
        else
            LINT_FAILED=$((LINT_FAILED + 1))
            printf 'FAILED  %-14s %s s  (%s)\n' "$name" "$(($(now) - begin))" "${log#"$ROOT"/}"
            head -n 40 "$log"
        fi
    done
}

prepare_lint() {
    mkdir -p "$LOGS"
    PYTHON=$(find_python pytest) || die "no Python with pytest; ./dev setup installs it"
    # The generated header is part of what is checked.
    with_lock gcc logged "$LOGS/configure-gcc.log" configure gcc
}

run_lint() {
    local name
    for name; do
        case " $LINT_CHECKS " in
        *" $name "*) ;;
        *) usage_error "lint: no check \"$name\" (see ./dev lint --help)" ;;
        esac
    done
    setup_for test
    prepare_lint || return 1
    # shellcheck disable=SC2086
    [ $# -gt 0 ] || set -- $LINT_CHECKS
    run_checks "$@"
    printf '%s passed, %s failed\n' "$LINT_PASSED" "$LINT_FAILED"
    [ "$LINT_FAILED" = 0 ]
}
