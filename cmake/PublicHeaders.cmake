# The headers that a program built on the library may include: library/convoy.h, library/operator.h and all they
# include. Installed they stand in include/convoy in the same folders (those two in include/convoy itself). In the
# sources includes start at the root ("core/ops/matmul.h"), installed they start at the package
# (<convoy/core/ops/matmul.h>), so that they cannot be mistaken for a program's own.
#
#   cmake -DFROM=… -DTO=… -P PublicHeaders.cmake      writes them to TO/convoy
if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.25)
  set(root ${FROM})
else()
  set(root ${CMAKE_SOURCE_DIR})
endif()

set(CONVOY_PUBLIC_HEADERS)
set(found library/convoy.h library/operator.h)
while(found)
  list(POP_FRONT found header)
  list(APPEND CONVOY_PUBLIC_HEADERS ${header})
  file(STRINGS ${root}/${header} lines REGEX "^#include \"")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" included "${line}")
    if(NOT included IN_LIST CONVOY_PUBLIC_HEADERS AND NOT included IN_LIST found)
      list(APPEND found ${included})
    endif()
  endforeach()
endwhile()

if(CMAKE_SCRIPT_MODE_FILE)
  file(REMOVE_RECURSE ${TO}/convoy)
  foreach(header IN LISTS CONVOY_PUBLIC_HEADERS)
    file(READ ${FROM}/${header} text)
    string(REGEX REPLACE "#include \"([^\"]+)\"" "#include <convoy/\\1>" text "${text}")
    string(REPLACE "library/" "" name ${header})
    file(WRITE ${TO}/convoy/${name} "${text}")
  endforeach()
endif()
