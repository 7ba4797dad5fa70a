// TOML by toml++ as a plain C tree; see toml.h. The only C++ of the project, and no exception
// leaves it.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "config/toml.h"
#include "config/toml_scan.h"

namespace
{

// Recursion, bounded by TOML_MAX_DEPTH. toml++ itself refuses values nested deeper than 256
// (TOML_MAX_NESTED_VALUES), toml_scan() long keys.
toml_value *convert(const toml::node &node, unsigned depth);

char *copy(std::string_view text)
{
    auto *bytes = static_cast<char *>(std::malloc(text.size() + 1));
    if (!bytes) {
        throw std::bad_alloc();
    }
    std::memcpy(bytes, text.data(), text.size());
    bytes[text.size()] = '\0';
    return bytes;
}

toml_value *make_value(const toml::node &node, toml_type type)
{
    auto *value = static_cast<toml_value *>(std::calloc(1, sizeof(toml_value)));
    if (!value) {
        throw std::bad_alloc();
    }
    value->type = type;
    value->line = node.source().begin.line;
    value->column = node.source().begin.column;
    return value;
}

void adopt(toml_value *parent, std::vector<toml_value *> &items)
{
    auto **list = static_cast<toml_value **>(std::calloc(items.size() + 1, sizeof(toml_value *)));
    if (!list) {
        throw std::bad_alloc();
    }
    std::copy(items.begin(), items.end(), list);
    parent->as.children.items = list;
    parent->as.children.count = items.size();
}

// Frees what was converted so far when a later part throws.
struct item_list {
    std::vector<toml_value *> items;
    ~item_list()
    {
        for (auto *item : items) {
            toml_free(item);
        }
    }
};

struct value_owner {
    toml_value *value;
    ~value_owner()
    {
        toml_free(value);
    }
    toml_value *release()
    {
        return std::exchange(value, nullptr);
    }
};

bool comes_before(const toml_value *left, const toml_value *right)
{
    return std::pair(left->key_line, left->key_column) <
           std::pair(right->key_line, right->key_column);
}

toml_value *convert_table(const toml::table &table, unsigned depth)
{
    value_owner owner{make_value(table, TOML_TABLE)};
    item_list children;
    for (auto &&[key, node] : table) {
        value_owner child{convert(node, depth + 1)};
        child.value->key = copy(key.str());
        child.value->key_length = key.length();
        child.value->key_line = key.source().begin.line;
        child.value->key_column = key.source().begin.column;
        children.items.push_back(child.value);
        child.release();
    }
    std::stable_sort(children.items.begin(), children.items.end(), comes_before);
    adopt(owner.value, children.items);
    children.items.clear();
    return owner.release();
}

toml_value *convert_array(const toml::array &array, unsigned depth)
{
    value_owner owner{make_value(array, TOML_ARRAY)};
    item_list children;
    for (auto &&node : array) {
        children.items.push_back(nullptr);
        children.items.back() = convert(node, depth + 1);
    }
    adopt(owner.value, children.items);
    children.items.clear();
    return owner.release();
}

toml_value *convert(const toml::node &node, unsigned depth)
{
    if (depth > TOML_MAX_DEPTH) {
        throw std::length_error("tables and arrays are nested too deeply");
    }
    if (const auto *table = node.as_table()) {
        return convert_table(*table, depth);
    }
    if (const auto *array = node.as_array()) {
        return convert_array(*array, depth);
    }
    if (const auto *string = node.as_string()) {
        value_owner owner{make_value(node, TOML_STRING)};
        owner.value->as.string.bytes = copy(string->get());
        owner.value->as.string.length = string->get().size();
        return owner.release();
    }
    toml_value *value = make_value(node, TOML_DATE);
    if (const auto *integer = node.as_integer()) {
        value->type = TOML_INTEGER;
        value->as.integer = integer->get();
    } else if (const auto *real = node.as_floating_point()) {
        value->type = TOML_FLOAT;
        value->as.real = real->get();
    } else if (const auto *boolean = node.as_boolean()) {
        value->type = TOML_BOOLEAN;
        value->as.boolean = boolean->get();
    }
    return value;
}

void describe(toml_error *error, unsigned line, unsigned column, std::string_view message)
{
    error->line = line;
    error->column = column;
    size_t length = std::min(message.size(), sizeof(error->message) - 1);
    std::memcpy(error->message, message.data(), length);
    error->message[length] = '\0';
}

} // namespace

extern "C" toml_value *toml_parse(const char *bytes, size_t length, toml_error *error)
{
    if (!toml_scan(bytes, length, error)) {
        return nullptr;
    }
    try {
        return convert(toml::parse(std::string_view(bytes, length)), 0);
    } catch (const toml::parse_error &failure) {
        describe(error, failure.source().begin.line, failure.source().begin.column,
                 failure.description());
    } catch (const std::bad_alloc &) {
        describe(error, 0, 0, "out of memory");
    } catch (const std::exception &failure) {
        describe(error, 0, 0, failure.what());
    } catch (...) {
        describe(error, 0, 0, "the TOML parser failed");
    }
    return nullptr;
}
