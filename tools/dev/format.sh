# ./dev format
# shellcheck shell=bash

help_format() {
    cat <<'EOF'
usage: ./dev format [--check]

Puts every C and C++ file of src/, tests/ and bench/ into the format of .clang-format. With --check nothing is
written; files that differ are named, and the exit status is 1.
EOF
}

source_files() {
    find "$ROOT/src" "$ROOT/tests" "$ROOT/bench" \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) | LC_ALL=C sort
}

check_format() { source_files | xargs clang-format --dry-run -Werror --style=file; }

run_format() {
    local check=no
    while [ $# -gt 0 ]; do
        case $1 in
        --check) check=yes ;;
        *) usage_error "format: unknown argument \"$1\" (see ./dev format --help)" ;;
        esac
        shift
    done
    if ! has clang-format; then
        # shellcheck source=tools/dev/setup.sh
        . "$ROOT/tools/dev/setup.sh"
        setup_for test
    fi
    if [ $check = yes ]; then
        check_format
    else
        source_files | xargs clang-format -i --style=file
    fi
}
