#include "cluster/address.h"

#include <gtest/gtest.h>

#include "cluster/link.h"
#include "core/base/error.h"

namespace convoy::cluster {
namespace {

TEST(AddressTest, LoopbackIsNoAddressForOthers) {
  for (const std::string& address : own_addresses()) EXPECT_FALSE(address.starts_with("127.")) << address;
}

TEST(AddressTest, IsSplitAtItsLastColon) {
  const HostPort where = split_address("tcp://10.0.0.1:4321");
  EXPECT_EQ(where.host, "10.0.0.1");
  EXPECT_EQ(where.port, 4321);
  for (const char* wrong : {"10.0.0.1:4321", "tcp://10.0.0.1", "tcp://:1", "tcp://10.0.0.1:x", "tcp://10.0.0.1:70000"})
    EXPECT_THROW(split_address(wrong), Error) << wrong;
}

TEST(AddressTest, AHubAcceptsConnectionsUntilItIsGone) {
  std::string address;
  {
    const Hub hub("tcp://127.0.0.1:0", make_token(), Uuid::random());
    address = hub.credentials().address;
    EXPECT_TRUE(accepts_connections(address, std::chrono::seconds(5)));
  }
  EXPECT_FALSE(accepts_connections(address, std::chrono::seconds(5)));
}

TEST(AddressTest, AListenerIsReachedAtItsBoundAddress) {
  std::string address;
  {
    const UniqueFd listener = listen_at("tcp://127.0.0.1:0");
    address = bound_address(listener.get());
    EXPECT_TRUE(address.starts_with("tcp://127.0.0.1:")) << address;
    EXPECT_NE(split_address(address).port, 0);
    EXPECT_TRUE(connect_to(address, std::chrono::seconds(20)));
    try {
      listen_at(address);
      ADD_FAILURE() << "two listeners on one port";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
      EXPECT_NE(std::string(error.what()).find(address), std::string::npos) << error.what();
    }
  }
  EXPECT_FALSE(connect_to(address, std::chrono::seconds(20)));
  EXPECT_THROW(listen_at("tcp://nowhere:0"), Error);
}

}  // namespace
}  // namespace convoy::cluster
