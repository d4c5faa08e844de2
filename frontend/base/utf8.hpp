// Characters and their bytes. Used by the readers of JSON and Python text, and by all that prints foreign
// text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace convsmith {

void append_utf8(std::string& out, uint32_t code);

// Bytes of the character at the beginning of the text, which is not empty; 0 if it is malformed.
std::size_t utf8_length(std::string_view text);

// Foreign text as a terminal may be given it: '?' for what could steer it (control characters, those of two
// bytes too) and for what is no character; lines and tabs stay.
std::string without_controls(std::string_view text);

}  // namespace convsmith
