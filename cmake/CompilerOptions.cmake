# How every translation unit of the project is compiled.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

# The bits of a result must not depend on what the optimiser found worth contracting: g++ fuses a*b+c under
# -std=c++20 unless told not to. Where a fused multiply-add pays, code asks for it by name.
add_compile_options(-ffp-contract=off)
# -Wno-restrict: g++ 12 reports it inside std::string::assign where there is nothing (GCC bug 105651).
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wno-restrict)
# g++ 12 warns falsely about assignments to std::string (GCC bug 105329).
if(CONVOY_WERROR)
  add_compile_options(-Werror)
endif()

if(CONVOY_SANITIZE)
  # -g1: the lines that reports name, and no more.
  add_compile_options(-fsanitize=${CONVOY_SANITIZE} -fno-omit-frame-pointer -O1 -g1)
  add_link_options(-fsanitize=${CONVOY_SANITIZE})
endif()
