// TFRecord, the framing of TensorBoard's event files: length, checksum of the length, data, checksum of the data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace convoy::scheduler {

// CRC-32C (Castagnoli): crc32c("123456789") is 0xe3069283.
std::uint32_t crc32c(std::string_view bytes);

// The record that holds `data`.
std::string tfrecord(std::string_view data);

}  // namespace convoy::scheduler
